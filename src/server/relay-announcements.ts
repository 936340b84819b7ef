import type { LiveBus } from "../orchestration/events/live-bus.ts";
import type { Logger } from "../shared/logger.ts";
import type { Announcement, Store } from "../storage/store.ts";

/** Announcements that wait for their rows; beyond it sockets miss some, as they do when a connection is lost. */
const MAX_WAITING = 1000;

/** Shows the sockets of this plane what planes announce to it, in its order. Nothing is read when nobody looks. */
export function relayAnnouncements(store: Store, bus: LiveBus, logger: Pick<Logger, "warn">): void {
  let last: Promise<void> = Promise.resolve();
  let waiting = 0;
  store.onAnnounced((announced) => {
    for (const announcement of announced) {
      if (waiting < MAX_WAITING) {
        waiting += 1;
        last = last
          .then(() => relay(store, bus, announcement))
          .catch((error: unknown) => logger.warn({ err: error }, "sockets miss what a plane wrote"))
          .finally(() => {
            waiting -= 1;
          });
      }
    }
  });
}

async function relay(store: Store, bus: LiveBus, { kind, ids }: Announcement): Promise<void> {
  switch (kind) {
    case "events":
      for (const event of bus.hasEventListeners ? await store.events.listByIds(ids) : []) {
        bus.publishEvent(event);
      }
      break;
    case "logs":
      if (bus.hasLogListeners) {
        bus.publishLogs(await store.logs.listByIds(ids));
      }
      break;
  }
}
