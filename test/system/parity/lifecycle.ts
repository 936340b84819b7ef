import { z } from "zod";
import { canonicalJson } from "../../../src/flowyard-api/canonical-json.ts";
import type { Side } from "./compare.ts";

const LIFECYCLE = /\.(created|updated|deleted)$/;
const MOST_PAGES = 200;

const SentEvent = z.object({
  event: z.string(),
  resource: z.record(z.string(), z.string()),
  related: z.array(z.unknown()),
  payload: z.looseObject({ updated_fields: z.array(z.string()).optional() }),
});
type SentEvent = z.infer<typeof SentEvent>;
const Page = z.object({ events: z.array(SentEvent), next_page: z.string().nullable() });

/** What a server tells of what was made, changed and removed since. */
export async function listLifecycle(apiUrl: string, since: string): Promise<SentEvent[]> {
  const filter = { occurred: { since }, event: { prefix: ["prefect."] }, order: "ASC" };
  const found: SentEvent[] = [];
  let request = fetch(`${apiUrl}/events/filter`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ filter, limit: 50 }),
  });
  for (let pages = 0; pages < MOST_PAGES; pages += 1) {
    const { events, next_page: next } = Page.parse(await (await request).json());
    found.push(...events.filter(({ event }) => LIFECYCLE.test(event)));
    if (next === null) {
      return found;
    }
    request = fetch(next);
  }
  throw new Error(`more than ${MOST_PAGES} pages of events`);
}

/** Each event as text that is equal where the events say the same: Prefect takes changed fields and labels from sets. */
export function describeLifecycle(side: Side, events: readonly SentEvent[]): string[] {
  return events.map(({ event, resource, related, payload }) => {
    const fields = payload.updated_fields;
    const told = fields === undefined ? payload : { ...payload, updated_fields: fields.toSorted() };
    return canonicalJson(side.normalize({ status: 200, body: { event, resource, related, payload: told } }).body);
  });
}

const TRIGGER = "stored as sent; theirs fills in defaults";
const REFUSED = "theirs takes what ours refuses; the answers are reviewed as different";

/** What one side alone tells on purpose: all of these parts are in its line. */
const REVIEWED_EVENTS: readonly { parts: string[]; reason: string }[] = [
  { parts: ["theirs", "prefect.automation.", '"for_each":[]'], reason: TRIGGER },
  { parts: ["ours", "prefect.automation."], reason: TRIGGER },
  { parts: ["theirs", '"updated_fields":["base_job_template"]', '"default":"x"'], reason: REFUSED },
  { parts: ["theirs", '"concurrency_limit":{"from":5,"to":1}'], reason: REFUSED },
  {
    parts: ["theirs", "prefect.work-queue.deleted", '"prefect.resource.name":"default"'],
    reason: "theirs tells of the end of a default queue that it then fails to remove",
  },
  {
    parts: ["theirs", '"parameters":{"from":{"a":1},"to":{}}'],
    reason: "theirs empties the parameters where a PATCH has none",
  },
  {
    parts: ["ours", '"updated_fields":["paused"]'],
    reason: "a pause is told whatever route makes it; theirs tells only of one by PATCH",
  },
  {
    parts: ["ours", '"updated_fields":["concurrency_limit_id"]', '"from":null'],
    reason: "theirs compares before it has written the new limit",
  },
];

export function isReviewedEvent(line: string): boolean {
  return REVIEWED_EVENTS.some(({ parts }) => parts.every((part) => line.includes(part)));
}

/** Lines of the first list that the second does not have as often. */
export function listMissing(lines: readonly string[], others: readonly string[]): string[] {
  const left = [...others];
  return lines.filter((line) => {
    const place = left.indexOf(line);
    if (place !== -1) {
      left.splice(place, 1);
    }
    return place === -1;
  });
}
