import type { Timestamp } from "../../prefect-api/timestamp.ts";
import type { Tx } from "../../storage/store.ts";
import type { AwaitingRun } from "../../storage/waiting-runs.ts";

/** Runs that one pass looks at; the next pass is a second away. */
const MAX_RUNS = 1000;

/**
 * Makes runs that were told to wait for a slot of their deployment due, as many as have free slots: the more urgent
 * queue first, then who has waited longest. Of one limit, or of all. No state is written: the run keeps its place in
 * the line, which is its first scheduled time. Answers how many there were.
 */
export async function wakeSlotWaiters(tx: Tx, now: Timestamp, limitId: string | null = null): Promise<number> {
  const awaiting = await tx.waitingRuns.listAwaitingSlot(limitId, MAX_RUNS);
  const byLimit = Map.groupBy(awaiting, (run) => run.limit_id);
  const free = await tx.waitingRuns.countFree([...byLimit.keys()].filter((id) => id !== null));
  let woken = 0;
  for (const [id, runs] of byLimit) {
    // Without a limit, which was removed or switched off meanwhile, nothing holds the runs back.
    const slots = id === null ? runs.length : (free.get(id) ?? runs.length);
    for (const run of runs.slice(0, slots)) {
      await wake(tx, run, now);
      woken += 1;
    }
  }
  if (limitId !== null) {
    tx.wakeUps.notify("slot_released", limitId);
  }
  return woken;
}

async function wake(tx: Tx, run: AwaitingRun, now: Timestamp): Promise<void> {
  await tx.waitingRuns.makeDue(run.id, run.expected_start_time ?? now);
  if (run.work_pool_id !== null) {
    tx.wakeUps.notify("flow_run_scheduled", run.work_pool_id);
  }
}
