import { v7 as uuidv7 } from "uuid";
import { timestampFromDate } from "../../prefect-api/timestamp.ts";
import type { Tx } from "../../storage/store.ts";
import type { News } from "./lifecycle-event.ts";

/** Stores what has changed as events, with the change, and tells every plane of them once they are on disk. */
export async function announceChanges(tx: Tx, news: readonly (News | undefined)[], now: Date): Promise<void> {
  const timestamp = timestampFromDate(now);
  const events = news
    .filter((one) => one !== undefined)
    .map((one) => ({ ...one, id: uuidv7(), occurred: timestamp, received: timestamp, follows: null }));
  if (events.length > 0) {
    await tx.events.insert(events);
    tx.announce(
      "events",
      events.map(({ id }) => id),
      "every plane",
    );
  }
}
