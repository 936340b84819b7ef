import { addSeconds, timestampFromDate } from "../../prefect-api/timestamp.ts";
import type { Store } from "../../storage/store.ts";
import type { BatchResult } from "../states/change-each.ts";

/** A holder that was cut off for less than this and renews gets its slots back if they are still free. */
const FORGET_LEASES_SECONDS = 3600;

/**
 * Forgets leases that ended an hour ago; at most `most`. Their slots have been free since they ended, because slots are
 * counted from leases that have not: this only keeps the table small. As in Prefect nothing happens to the run that held
 * one: its engine finds out when it renews, and stops the run if its slot was given away.
 */
export function repossessLeases(
  { store }: { store: Pick<Store, "transaction"> },
  now: Date,
  most: number,
): Promise<BatchResult> {
  return store.transaction(async (tx) => {
    const changed = await tx.leases.removeExpired(addSeconds(timestampFromDate(now), -FORGET_LEASES_SECONDS), most);
    return { changed, more: changed === most };
  });
}
