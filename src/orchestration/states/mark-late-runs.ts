import { addSeconds, type Timestamp, timestampFromDate } from "../../prefect-api/timestamp.ts";
import type { Logger } from "../../shared/logger.ts";
import type { Store } from "../../storage/store.ts";
import type { ChangingRun } from "../../storage/transitions.ts";
import type { LiveBus } from "../events/live-bus.ts";
import { type BatchResult, changeEach } from "./change-each.ts";
import { setFlowRunStateIn } from "./set-flow-run-state.ts";

/** As the history of a run names it. */
const LOOP = "loop mark-late-runs";

export interface LoopDeps {
  store: Store;
  bus: LiveBus;
  logger: Logger;
}

/**
 * Marks runs Late that nobody has taken `afterSeconds` after their time; at most `most`, the longest overdue first. They
 * are handed out as before. As in Prefect that also happens to what waits behind a paused pool or queue, and not to a
 * run that waits for a slot or a retry. Behind a full limit of strategy CANCEL_NEW the run is cancelled instead.
 */
export async function markLateRuns(
  deps: LoopDeps,
  now: Date,
  { afterSeconds, most }: { afterSeconds: number; most: number },
): Promise<BatchResult> {
  const before = addSeconds(timestampFromDate(now), -afterSeconds);
  const ids = await deps.store.overdueRuns.listLate(before, most);
  const changed = await changeEach(deps.store, ids, async (tx, id) => {
    const run = await tx.transitions.find(id);
    if (run === undefined || !isLate(run, before)) {
      return false;
    }
    const state = {
      type: "SCHEDULED" as const,
      name: "Late",
      state_details: { scheduled_time: run.next_scheduled_start_time },
    };
    const proposal = { flowRunId: id, state, mode: "late" as const, clientApiVersion: null, by: LOOP };
    return (await setFlowRunStateIn(tx, deps, proposal, now)).written;
  });
  return { changed, more: ids.length === most };
}

function isLate(run: Pick<ChangingRun, "state_name" | "next_scheduled_start_time">, before: Timestamp): boolean {
  return (
    run.state_name === "Scheduled" && run.next_scheduled_start_time !== null && run.next_scheduled_start_time <= before
  );
}
