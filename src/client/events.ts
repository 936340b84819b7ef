import { z } from "zod";
import { Event, type EventFilter } from "../prefect-api/events.ts";
import { type Connection, command, request } from "./http.ts";

/** Prefect's own ceiling for one page of events. */
const MAX_EVENT_PAGE = 50;
const EventPage = z.object({ events: z.array(Event), total: z.number() });

export function createEventRoutes(connection: Connection) {
  return {
    create: (events: z.input<typeof Event>[]): Promise<void> =>
      command(connection, { method: "POST", path: "/events", body: events }),
    /** The first page, at most 50. */
    async list(filter: z.input<typeof EventFilter>): Promise<Event[]> {
      const body = { filter, limit: MAX_EVENT_PAGE };
      return (await request(connection, EventPage, { method: "POST", path: "/events/filter", body })).events;
    },
  };
}
