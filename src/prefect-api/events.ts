import { z } from "zod";
import { JsonObject, Uuid } from "./primitives.ts";
import { Timestamp } from "./timestamp.ts";

const MAX_RESOURCE_LABELS = 500;
const MAX_RELATED_RESOURCES = 100;

/** Labels of one resource, `prefect.resource.id` among them. Values may arrive as null or numbers; kept as text. */
export const EventResource = z
  .record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]))
  .transform((labels) => Object.fromEntries(Object.entries(labels).map(([key, value]) => [key, String(value ?? "")])))
  .refine((labels) => typeof labels["prefect.resource.id"] === "string", {
    error: "resource lacks prefect.resource.id",
  })
  .refine((labels) => Object.keys(labels).length <= MAX_RESOURCE_LABELS, {
    error: `resource has more than ${MAX_RESOURCE_LABELS} labels`,
  });
export type EventResource = z.infer<typeof EventResource>;

export const Event = z.object({
  id: Uuid,
  occurred: Timestamp,
  event: z.string().min(1),
  resource: EventResource,
  related: z.array(EventResource).max(MAX_RELATED_RESOURCES).default([]),
  payload: JsonObject.default({}),
  follows: Uuid.nullish(),
});
export type Event = z.infer<typeof Event>;

export interface ReceivedEvent extends Event {
  received: Timestamp;
}

/** Each event that is read, and each that happens, is compared with all of a filter. */
const MAX_COMPARED = 100;
const MAX_RESOURCE_FILTERS = 50;
const TextList = z.array(z.string()).max(MAX_COMPARED).nullish();
const LabelSelector = z
  .record(z.string(), z.union([z.string(), z.array(z.string()).max(MAX_COMPARED)]))
  .refine((labels) => Object.keys(labels).length <= MAX_COMPARED, { error: `more than ${MAX_COMPARED} labels` })
  .nullish();

const AnyResourceFilter = z.object({ id: TextList, id_prefix: TextList, labels: LabelSelector });
const RelatedFilter = z.object({
  id: TextList,
  role: TextList,
  resources_in_roles: z
    .array(z.tuple([z.string(), z.string()]))
    .max(MAX_COMPARED)
    .nullish(),
  labels: LabelSelector,
});

/** Label values may end in `*` (prefix) or start with `!` (negation). */
export const EventFilter = z.object({
  occurred: z.object({ since: Timestamp.nullish(), until: Timestamp.nullish() }).nullish(),
  event: z.object({ prefix: TextList, exclude_prefix: TextList, name: TextList, exclude_name: TextList }).nullish(),
  resource: z
    .object({ id: TextList, id_prefix: TextList, labels: LabelSelector, distinct: z.boolean().nullish() })
    .nullish(),
  related: z.union([RelatedFilter, z.array(RelatedFilter).max(MAX_RESOURCE_FILTERS)]).nullish(),
  any_resource: z.union([AnyResourceFilter, z.array(AnyResourceFilter).max(MAX_RESOURCE_FILTERS)]).nullish(),
  id: z.object({ id: z.array(Uuid).max(MAX_COMPARED).nullish() }).nullish(),
  text: z.object({ query: z.string() }).nullish(),
  order: z.enum(["ASC", "DESC"]).default("DESC"),
});
export type EventFilter = z.infer<typeof EventFilter>;
