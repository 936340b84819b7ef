import type { WebSocket } from "@fastify/websocket";
import type { FastifyRequest } from "fastify";
import { matchesEventFilter } from "../../orchestration/events/event-filter.ts";
import { EventFilter, type ReceivedEvent } from "../../prefect-api/events.ts";
import { CLOSE_OVERLOADED } from "../../prefect-api/socket-messages.ts";
import { addSeconds, timestampFromDate } from "../../prefect-api/timestamp.ts";
import { FrameReader } from "../../sockets/frame-reader.ts";
import { sendLive, sendPaced, whenClosed } from "../../sockets/outlet.ts";
import { keepAlive } from "../../sockets/socket-support.ts";
import type { EventPosition } from "../../storage/events.ts";
import type { AppDeps } from "../app-deps.ts";
import { authenticate, readFilter } from "./handshake.ts";

const MAX_BACKFILL_SECONDS = 900;
const BACKFILL_PAGE = 250;
/** Live events that wait for the end of the back-fill. */
const MAX_HELD_EVENTS = 10_000;

const frames = new WeakMap<ReceivedEvent, string>();

/** The frame of an event, made once for all its subscribers. */
function frameOf(event: ReceivedEvent): string {
  const known = frames.get(event);
  if (known !== undefined) {
    return known;
  }
  const frame = JSON.stringify({ type: "event", event });
  frames.set(event, frame);
  return frame;
}

/** `/events/out`: what happened since `occurred.since` (15 minutes at most), then what happens, nothing twice. */
export async function streamEvents(deps: AppDeps, socket: WebSocket, request: FastifyRequest): Promise<void> {
  const reader = new FrameReader(socket);
  keepAlive(socket);
  if (!(await authenticate({ socket, reader }, request, deps.credentials))) {
    return;
  }
  const asked = await readFilter({ socket, reader }, EventFilter.default({ order: "ASC" }));
  if (asked === undefined) {
    return;
  }
  const filter = limitBackfill(asked.filter, deps.clock.now());
  let held: ReceivedEvent[] | null = [];
  const unsubscribe = deps.bus.subscribeToEvents((event) => {
    if (!matchesEventFilter(event, filter)) {
      return;
    }
    if (held === null) {
      sendLive(socket, frameOf(event));
    } else if (held.push(event) > MAX_HELD_EVENTS) {
      socket.close(CLOSE_OVERLOADED, `more than ${MAX_HELD_EVENTS} events during the back-fill`);
    }
  });
  whenClosed(socket, unsubscribe);
  const sent = asked.backfill ? await backfill(deps, socket, filter) : new Set<string>();
  // From here to the end nothing awaits, so no event can come between what was held and what is live.
  for (const event of held) {
    if (!sent.has(event.id)) {
      sendLive(socket, frameOf(event));
    }
  }
  held = null;
}

function limitBackfill(filter: EventFilter, now: Date): EventFilter {
  const earliest = addSeconds(timestampFromDate(now), -MAX_BACKFILL_SECONDS);
  const since = filter.occurred?.since;
  return {
    ...filter,
    order: "ASC",
    occurred: { ...filter.occurred, since: since && since > earliest ? since : earliest },
  };
}

/** Answers the ids of what was sent. */
async function backfill({ store }: AppDeps, socket: WebSocket, filter: EventFilter): Promise<Set<string>> {
  const sent = new Set<string>();
  let after: EventPosition | null = null;
  while (socket.readyState === socket.OPEN) {
    const page: ReceivedEvent[] = await store.events.list(filter, { after, limit: BACKFILL_PAGE });
    for (const event of page.filter((one) => matchesEventFilter(one, filter))) {
      sent.add(event.id);
      await sendPaced(socket, frameOf(event));
    }
    const last = page.at(-1);
    if (last === undefined || page.length < BACKFILL_PAGE) {
      break;
    }
    after = { occurred: last.occurred, id: last.id };
  }
  return sent;
}
