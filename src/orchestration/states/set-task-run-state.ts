import { v7 as uuidv7 } from "uuid";
import { isTerminal, type SetStateResult, type State, type StateCreate } from "../../prefect-api/states.ts";
import { timestampFromDate } from "../../prefect-api/timestamp.ts";
import { UserError } from "../../shared/errors.ts";
import type { Store, Tx } from "../../storage/store.ts";
import { decideRunTimes, decideStateTimestamp } from "./bookkeeping.ts";
import { timesOf } from "./mirror-subflow-state.ts";
import type { StateOutcome } from "./set-flow-run-state.ts";
import { buildProposedState } from "./transition.ts";

interface TaskStateProposal {
  taskRunId: string;
  state: StateCreate;
  force: boolean;
}

/**
 * Sets a task run's state over REST. Engines orchestrate their tasks themselves and tell of it by events; this is for
 * the few callers that still ask. A task run that has ended stays so unless it is forced. Throws UserError NOT_FOUND.
 */
export function setTaskRunState(
  store: Pick<Store, "transaction">,
  proposal: TaskStateProposal,
  now: Date,
): Promise<StateOutcome> {
  return store.transaction((tx) => setTaskRunStateIn(tx, proposal, now));
}

/** The same inside a transaction of the caller's. */
export async function setTaskRunStateIn(tx: Tx, proposal: TaskStateProposal, now: Date): Promise<StateOutcome> {
  const taskRun = await tx.taskRuns.find(proposal.taskRunId);
  if (taskRun === undefined) {
    throw new UserError("NOT_FOUND", `Task run with id ${proposal.taskRunId} not found`);
  }
  const timestamp = timestampFromDate(now);
  const draft = buildProposedState(proposal.state, timestamp);
  const before = timesOf(taskRun);
  if (!proposal.force && taskRun.state && isTerminal(taskRun.state.type) && !isTerminal(draft.type)) {
    const reason = "This run is already in a terminal state.";
    return kept({ state: taskRun.state, status: "ABORT", details: { type: "abort_details", reason } });
  }
  const state: State = {
    id: uuidv7(),
    type: draft.type,
    name: draft.name,
    timestamp: decideStateTimestamp(before.state_timestamp, timestamp),
    message: draft.message,
    data: draft.data,
    state_details: {
      ...draft.state_details,
      flow_run_id: taskRun.flow_run_id ?? null,
      task_run_id: taskRun.id,
    },
  };
  await tx.taskRuns.put({ ...taskRun, ...decideRunTimes(before, state), updated: timestamp, state });
  return { result: { state, status: "ACCEPT", details: { type: "accept_details" } }, written: true };
}

function kept(result: SetStateResult): StateOutcome {
  return { result, written: false };
}
