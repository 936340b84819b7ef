import { timestampFromDate } from "../../prefect-api/timestamp.ts";
import { type BatchResult, changeEach } from "./change-each.ts";
import type { LoopDeps } from "./mark-late-runs.ts";
import { PAUSE_EXPIRED_MESSAGE } from "./pause-rules.ts";
import { setFlowRunStateIn } from "./set-flow-run-state.ts";

/** As the history of a run names it. */
const LOOP = "loop expire-pauses";

/** Fails runs that were paused or suspended and not resumed within the pause's timeout; at most `most`. */
export async function expirePauses(deps: LoopDeps, now: Date, most: number): Promise<BatchResult> {
  const timestamp = timestampFromDate(now);
  const ids = await deps.store.overdueRuns.listExpiredPauses(timestamp, most);
  const changed = await changeEach(deps.store, ids, async (tx, id) => {
    const run = await tx.transitions.find(id);
    const timeout = run?.state?.type === "PAUSED" ? run.state.state_details.pause_timeout : null;
    if (timeout === null || timeout >= timestamp) {
      return false;
    }
    const state = { type: "FAILED" as const, message: PAUSE_EXPIRED_MESSAGE, state_details: {} };
    const proposal = { flowRunId: id, state, mode: "forced" as const, clientApiVersion: null, by: LOOP };
    return (await setFlowRunStateIn(tx, deps, proposal, now)).written;
  });
  return { changed, more: ids.length === most };
}
