import { z } from "zod";
import { matchesEventFilter } from "../../orchestration/events/event-filter.ts";
import { receiveEvents } from "../../orchestration/events/receive-events.ts";
import { Event, EventFilter, type ReceivedEvent } from "../../prefect-api/events.ts";
import { Timestamp } from "../../prefect-api/timestamp.ts";
import { UserError } from "../../shared/errors.ts";
import type { EventPosition } from "../../storage/events.ts";
import type { Store } from "../../storage/store.ts";
import type { App, AppDeps } from "../app-deps.ts";

const MAX_PAGE = 50;
/** Rows read for one answer. A rare label among many events then takes several pages, each of them quick. */
const MAX_SCANNED = 20_000;
const SCAN_PAGE = 500;
/** `total` is counted up to here. */
const MAX_TOTAL = 10_000;

const PageToken = z.object({
  filter: EventFilter,
  after: z.object({ occurred: Timestamp, id: z.string() }),
  limit: z.number().int().min(1).max(MAX_PAGE),
});
type PageToken = z.infer<typeof PageToken>;

const FilterEvents = z.object({
  filter: EventFilter.nullish(),
  limit: z
    .number()
    .int()
    .min(0)
    .max(MAX_PAGE)
    .nullish()
    .transform((limit) => limit ?? MAX_PAGE),
});

export function registerEvents(api: App, deps: AppDeps): void {
  api.post("/events", { schema: { body: z.array(Event) } }, async (request, reply) => {
    await receiveEvents(deps, request.body, deps.clock.now());
    return reply.code(204).send();
  });

  api.post("/events/filter", { schema: { body: FilterEvents } }, async (request) => {
    const filter = request.body.filter ?? { order: "DESC" as const };
    const page = await findPage(deps.store, filter, null, request.body.limit);
    return answerPage(deps.store, filter, page, request.body.limit, baseUrl(request));
  });

  api.get(
    "/events/filter/next",
    { schema: { querystring: z.object({ "page-token": z.string() }) } },
    async (request) => {
      const { filter, after, limit } = parseToken(request.query["page-token"]);
      const page = await findPage(deps.store, filter, after, limit);
      return answerPage(deps.store, filter, page, limit, baseUrl(request));
    },
  );
}

function baseUrl({ protocol, host }: { protocol: string; host: string }): string {
  return `${protocol}://${host}`;
}

interface Page {
  events: ReceivedEvent[];
  /** Where the next page starts; null at the end. */
  next: EventPosition | null;
}

async function findPage(store: Store, filter: EventFilter, start: EventPosition | null, limit: number): Promise<Page> {
  const events: ReceivedEvent[] = [];
  let after = start;
  for (let scanned = 0; scanned < MAX_SCANNED && limit > 0; scanned += SCAN_PAGE) {
    const rows = await store.events.list(filter, { after, limit: SCAN_PAGE });
    for (const event of rows) {
      if (events.length === limit) {
        return { events, next: after };
      }
      after = { occurred: event.occurred, id: event.id };
      if (matchesEventFilter(event, filter)) {
        events.push(event);
      }
    }
    if (rows.length < SCAN_PAGE) {
      return { events, next: null };
    }
  }
  return { events, next: after };
}

async function answerPage(store: Store, filter: EventFilter, { events, next }: Page, limit: number, base: string) {
  const token = next === null || limit === 0 ? null : buildToken({ filter, after: next, limit });
  return {
    events,
    total: await store.events.count(filter, MAX_TOTAL),
    next_page: token === null ? null : `${base}/api/events/filter/next?page-token=${token}`,
  };
}

function buildToken(token: PageToken): string {
  return Buffer.from(JSON.stringify(token)).toString("base64url");
}

function parseToken(text: string): PageToken {
  try {
    return PageToken.parse(JSON.parse(Buffer.from(text, "base64url").toString("utf8")));
  } catch (cause) {
    throw new UserError("INVALID_REQUEST", "The page token is not one of ours.", { cause });
  }
}
