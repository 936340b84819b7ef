import { z } from "zod";
import { Event, type EventFilter } from "../prefect-api/events.ts";
import type { LogFilter } from "../prefect-api/filters.ts";
import { Log } from "../prefect-api/logs.ts";
import { createEventEmitter, type EventEmitter } from "./event-emitter.ts";
import type { Connection } from "./http.ts";
import { openSubscription, type Subscription } from "./subscription.ts";

const LogFrame = z.object({ type: z.literal("log"), log: Log }).transform((frame) => frame.log);
const EventFrame = z.object({ type: z.literal("event"), event: Event }).transform((frame) => frame.event);

export function createSocketRoutes(connection: Connection) {
  return {
    /** Log lines from now on; the server sends nothing that was stored before. Resolves once authenticated. */
    openLogs: (filter: z.input<typeof LogFilter>, signal: AbortSignal): Promise<Subscription<Log>> =>
      openSubscription(connection, { path: "/logs/out", filter, frame: LogFrame, signal }),
    /** Events: first those since `occurred.since`, then live. Resolves once authenticated. */
    openEvents: (filter: z.input<typeof EventFilter>, signal: AbortSignal): Promise<Subscription<Event>> =>
      openSubscription(connection, { path: "/events/out", filter, frame: EventFrame, signal }),
    createEventEmitter: (signal: AbortSignal): EventEmitter => createEventEmitter(connection, signal),
  };
}
