import type { EventFilter, EventResource, ReceivedEvent } from "../../prefect-api/events.ts";
import { parseTextQuery } from "../../prefect-api/text-query.ts";

type LabelSelector = Record<string, string | string[]>;
type AnyResourceFilter = NonNullable<Extract<EventFilter["any_resource"], { id?: unknown }>>;
type RelatedFilter = NonNullable<Extract<EventFilter["related"], { role?: unknown }>>;

/** Whether an event is what a subscriber or a query asks for. Empty and absent lists ask for nothing. */
export function matchesEventFilter(event: ReceivedEvent, filter: EventFilter): boolean {
  return (
    matchesOccurred(event, filter.occurred) &&
    matchesName(event.event, filter.event) &&
    matchesResource(event.resource, filter.resource) &&
    listOf(filter.related).every((related) => event.related.some((resource) => matchesRelated(resource, related))) &&
    listOf(filter.any_resource).every((any) =>
      [event.resource, ...event.related].some((resource) => matchesResource(resource, any)),
    ) &&
    isAsked(filter.id?.id, (id) => id === event.id) &&
    matchesText(event, filter.text?.query)
  );
}

function listOf<T>(filter: T | T[] | null | undefined): T[] {
  if (filter === null || filter === undefined) {
    return [];
  }
  return Array.isArray(filter) ? filter : [filter];
}

function isAsked<T>(wanted: readonly T[] | null | undefined, matches: (value: T) => boolean): boolean {
  return !wanted || wanted.length === 0 || wanted.some(matches);
}

function matchesOccurred({ occurred }: ReceivedEvent, filter: EventFilter["occurred"]): boolean {
  return (!filter?.since || filter.since <= occurred) && (!filter?.until || occurred <= filter.until);
}

function matchesName(name: string, filter: EventFilter["event"]): boolean {
  return (
    isAsked(filter?.prefix, (prefix) => name.startsWith(prefix)) &&
    isAsked(filter?.name, (wanted) => name === wanted) &&
    !filter?.exclude_prefix?.some((prefix) => name.startsWith(prefix)) &&
    !filter?.exclude_name?.includes(name)
  );
}

function idOf(resource: EventResource): string {
  return resource["prefect.resource.id"] ?? "";
}

function matchesResource(resource: EventResource, filter: AnyResourceFilter | null | undefined): boolean {
  const id = idOf(resource);
  return (
    isAsked(filter?.id, (wanted) => id === wanted) &&
    isAsked(filter?.id_prefix, (prefix) => id.startsWith(prefix)) &&
    matchesLabels(resource, filter?.labels)
  );
}

function matchesRelated(resource: EventResource, filter: RelatedFilter): boolean {
  const id = idOf(resource);
  const role = resource["prefect.resource.role"];
  return (
    isAsked(filter.id, (wanted) => id === wanted) &&
    isAsked(filter.role, (wanted) => role === wanted) &&
    isAsked(filter.resources_in_roles, ([wantedId, wantedRole]) => id === wantedId && role === wantedRole) &&
    matchesLabels(resource, filter.labels)
  );
}

/** Every label must match one of its values; a label with an empty list of values matches nothing. */
function matchesLabels(resource: EventResource, selector: LabelSelector | null | undefined): boolean {
  return Object.entries(selector ?? {}).every(([label, expected]) => {
    const value = resource[label];
    return value !== undefined && [expected].flat().some((candidate) => matchesLabel(candidate, value));
  });
}

function matchesLabel(expected: string, value: string): boolean {
  const negated = expected.startsWith("!");
  const pattern = negated ? expected.slice(1) : expected;
  const matches = pattern.endsWith("*") ? value.startsWith(pattern.slice(0, -1)) : value === pattern;
  return matches !== negated;
}

function matchesText(event: ReceivedEvent, query: string | undefined): boolean {
  if (query === undefined || query.trim() === "") {
    return true;
  }
  const { included, excluded, required } = parseTextQuery(query.toLowerCase());
  const text = [
    event.event,
    ...[event.resource, ...event.related].flatMap((resource) => Object.values(resource)),
    JSON.stringify(event.payload),
  ]
    .join(" ")
    .toLowerCase();
  return (
    isAsked(included, (term) => text.includes(term)) &&
    !excluded.some((term) => text.includes(term)) &&
    required.every((term) => text.includes(term))
  );
}
