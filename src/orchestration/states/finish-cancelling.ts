import { isTerminal, type StateCreate } from "../../prefect-api/states.ts";
import { addSeconds, timestampFromDate } from "../../prefect-api/timestamp.ts";
import type { Tx } from "../../storage/store.ts";
import { type BatchResult, changeEach } from "./change-each.ts";
import type { LoopDeps } from "./mark-late-runs.ts";
import { setFlowRunStateIn } from "./set-flow-run-state.ts";
import { setTaskRunStateIn } from "./set-task-run-state.ts";

/** As the history of a run names it. */
const LOOP = "loop finish-cancelling";

const TIMED_OUT_MESSAGE = "Flow run cancellation timed out; marked this flow run as Cancelled.";
/** Task runs of a run that was cancelled longer ago than this are let be (Prefect's bound). */
const CANCELLED_WITHIN_SECONDS = 86_400;
const PARENT_MESSAGE = "The parent flow run was cancelled.";

/**
 * Ends cancellations that nobody else ends: a run that has been CANCELLING for `timeoutSeconds` becomes CANCELLED; the
 * subflows of a CANCELLED run are cancelled (asked to stop, when a deployment gives them infrastructure of their own),
 * and so are its task runs that have not ended. At most `most` of each.
 */
export async function finishCancelling(
  deps: LoopDeps,
  now: Date,
  { timeoutSeconds, most }: { timeoutSeconds: number; most: number },
): Promise<BatchResult> {
  const timestamp = timestampFromDate(now);
  const { overdueRuns } = deps.store;
  const deadline = addSeconds(timestamp, -timeoutSeconds);
  const stuck = await overdueRuns.listStuckCancelling(deadline, most);
  const ended = await changeEach(deps.store, stuck, async (tx, id) => {
    const run = await tx.transitions.find(id);
    if (run?.state?.type !== "CANCELLING" || run.state.timestamp > deadline) {
      return false;
    }
    return await propose(tx, deps, id, { type: "CANCELLED", message: TIMED_OUT_MESSAGE, state_details: {} }, now);
  });
  const subflows = await overdueRuns.listSubflowsOfCancelled(most);
  const stopped = await changeEach(deps.store, subflows, (tx, id) => cancelSubflow(tx, deps, id, now));
  const since = addSeconds(timestamp, -CANCELLED_WITHIN_SECONDS);
  const taskRuns = await overdueRuns.listTaskRunsOfCancelled(since, most);
  const closed = await changeEach(deps.store, taskRuns, (tx, id) => cancelTaskRun(tx, id, now));
  const changed = ended + stopped + closed;
  // What was cancelled may have subflows and task runs itself.
  return { changed, more: changed > 0 };
}

async function cancelSubflow(tx: Tx, deps: LoopDeps, id: string, now: Date): Promise<boolean> {
  const run = await tx.transitions.find(id);
  if (!run?.state || run.parent_task_run_id === null || isTerminal(run.state.type)) {
    return false;
  }
  const hasOwnWorker = run.deployment_id !== null;
  if (hasOwnWorker && run.state.type === "CANCELLING") {
    return false;
  }
  if (!(await tx.overdueRuns.isParentCancelled(run.parent_task_run_id))) {
    return false;
  }
  const type = hasOwnWorker ? "CANCELLING" : "CANCELLED";
  return await propose(tx, deps, id, { type, message: PARENT_MESSAGE, state_details: {} }, now);
}

async function cancelTaskRun(tx: Tx, id: string, now: Date): Promise<boolean> {
  const taskRun = await tx.taskRuns.find(id);
  if (!taskRun?.state || isTerminal(taskRun.state.type)) {
    return false;
  }
  const state: StateCreate = { type: "CANCELLED", message: PARENT_MESSAGE, state_details: {} };
  return (await setTaskRunStateIn(tx, { taskRunId: id, state, force: true }, now)).written;
}

async function propose(tx: Tx, deps: LoopDeps, flowRunId: string, state: StateCreate, now: Date): Promise<boolean> {
  const proposal = { flowRunId, state, mode: "normal" as const, clientApiVersion: null, by: LOOP };
  return (await setFlowRunStateIn(tx, deps, proposal, now)).written;
}
