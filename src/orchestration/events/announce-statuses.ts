import { v7 as uuidv7 } from "uuid";
import { timestampFromDate } from "../../prefect-api/timestamp.ts";
import type { StatusChange } from "../../storage/statuses.ts";
import type { Tx } from "../../storage/store.ts";
import { type BatchResult, changeEach } from "../states/change-each.ts";
import type { LoopDeps } from "../states/mark-late-runs.ts";
import { buildStatusEvent } from "./status-event.ts";

/**
 * Tells by events which pools, queues and deployments have become ready, not ready or paused since it was last told; at
 * most `most` of each. A status that was left and taken again between two looks is no news.
 */
export async function announceStatuses(
  deps: Pick<LoopDeps, "store" | "bus">,
  now: Date,
  most: number,
): Promise<BatchResult> {
  const timestamp = timestampFromDate(now);
  const { statuses } = deps.store;
  const found = [
    await statuses.listChangedPools(timestamp, most),
    await statuses.listChangedQueues(timestamp, most),
    await statuses.listChangedDeployments(timestamp, most),
  ];
  const changed = await changeEach(deps.store, found.flat(), (tx, change) => announce(tx, deps, change, now));
  return { changed, more: found.some((changes) => changes.length === most) };
}

async function announce(tx: Tx, { bus }: Pick<LoopDeps, "bus">, change: StatusChange, now: Date): Promise<boolean> {
  const event = buildStatusEvent(change, uuidv7(), timestampFromDate(now));
  if (!(await tx.statuses.saveAnnounced(change, { id: event.id, at: event.occurred }))) {
    return false;
  }
  await tx.events.insert([event]);
  bus.announceEvents(tx, [event]);
  return true;
}
