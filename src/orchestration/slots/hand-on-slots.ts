import { type Timestamp, timestampFromDate } from "../../prefect-api/timestamp.ts";
import type { Logger } from "../../shared/logger.ts";
import type { Store, Tx } from "../../storage/store.ts";
import type { LiveBus } from "../events/live-bus.ts";
import { type BatchResult, changeEach } from "../states/change-each.ts";
import { setFlowRunStateIn } from "../states/set-flow-run-state.ts";
import { findConcurrency } from "./change-slot.ts";
import { wakeSlotWaiters } from "./wake-slot-waiters.ts";

/** As the history of a run names it. */
const LOOP = "loop hand-on-slots";

interface Deps {
  store: Store;
  bus: LiveBus;
  logger: Logger;
}

/**
 * Slots that become free without anybody's asking: a lease ended, a limit was raised, removed or switched off with a
 * deployment. Who waits for one is due again, and workers are told. Runs that are due behind a full limit of strategy
 * CANCEL_NEW are cancelled: no worker is given them, so no proposal ends them. `since`: when it was done last.
 */
export async function handOnSlots(
  deps: Deps,
  now: Date,
  { since, most }: { since: Date; most: number },
): Promise<BatchResult> {
  const timestamp = timestampFromDate(now);
  const woken = await wakeWhoCanStart(deps.store, timestamp);
  await tellOfEndedLeases(deps.store, timestampFromDate(since), timestamp, most);
  const ids = await deps.store.waitingRuns.listToCancel(timestamp, most);
  const cancelled = await changeEach(deps.store, ids, (tx, id) => cancelBehindFullLimit(tx, deps, id, now));
  return { changed: woken + cancelled, more: ids.length === most };
}

/** Reads first: a second in which nothing happened costs no turn of the writer. */
async function wakeWhoCanStart(store: Store, now: Timestamp): Promise<number> {
  const [first] = await store.waitingRuns.listAwaitingSlot(null, 1);
  return first === undefined ? 0 : store.transaction((tx) => wakeSlotWaiters(tx, now));
}

async function tellOfEndedLeases(store: Store, since: Timestamp, now: Timestamp, most: number): Promise<void> {
  const limitIds = await store.leases.listLimitsOfEnded({ after: since, until: now }, most);
  if (limitIds.length > 0) {
    await store.transaction(async (tx) => {
      for (const id of limitIds) {
        tx.wakeUps.notify("slot_released", id);
      }
    });
  }
}

async function cancelBehindFullLimit(tx: Tx, deps: Deps, id: string, now: Date): Promise<boolean> {
  const run = await tx.transitions.find(id);
  const concurrency = run === undefined ? null : await findConcurrency(tx, run, timestampFromDate(now));
  const waits = run?.state?.type === "SCHEDULED" && concurrency?.collisionStrategy === "CANCEL_NEW";
  if (!waits || concurrency.takenByOthers < concurrency.limit) {
    return false;
  }
  const state = { type: "CANCELLED" as const, message: "Deployment concurrency limit reached.", state_details: {} };
  const proposal = { flowRunId: id, state, mode: "normal" as const, clientApiVersion: null, by: LOOP };
  return (await setFlowRunStateIn(tx, deps, proposal, now)).written;
}
