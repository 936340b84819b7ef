import type { EmpiricalPolicy } from "../../prefect-api/flow-runs.ts";
import { isTerminal, type State, type StateType } from "../../prefect-api/states.ts";
import { secondsBetween, type Timestamp, timestampFromMs, timestampToMs } from "../../prefect-api/timestamp.ts";
import { buildState, type StateDraft, tracksPauses } from "./transition.ts";

/** The columns that every state change of a flow run or task run writes. */
export interface RunTimes {
  state_id: string | null;
  state_type: StateType | null;
  state_name: string | null;
  state_timestamp: Timestamp | null;
  run_count: number;
  expected_start_time: Timestamp | null;
  next_scheduled_start_time: Timestamp | null;
  start_time: Timestamp | null;
  end_time: Timestamp | null;
  total_run_time: number;
}

/** The times of a run that has no state yet. */
export const NO_STATE: RunTimes = {
  state_id: null,
  state_type: null,
  state_name: null,
  state_timestamp: null,
  run_count: 0,
  expected_start_time: null,
  next_scheduled_start_time: null,
  start_time: null,
  end_time: null,
  total_run_time: 0,
};

/** `now`, or the first microsecond after the previous state: the states of one run never share a timestamp. */
export function decideStateTimestamp(previous: Timestamp | null, now: Timestamp): Timestamp {
  return previous === null || previous < now ? now : timestampFromMs(timestampToMs(previous) + 0.001);
}

/** What a run's columns become when it enters `state`. `countsRun` false: RUNNING goes on with an earlier attempt. */
export function decideRunTimes(
  before: RunTimes,
  state: Pick<State, "id" | "type" | "name" | "timestamp" | "state_details">,
  countsRun = true,
): RunTimes {
  const running = state.type === "RUNNING";
  const ended = isTerminal(state.type);
  const wasRunning = before.state_type === "RUNNING" && before.state_timestamp !== null;
  const scheduledTime = state.type === "SCHEDULED" ? state.state_details.scheduled_time : null;
  const endTime = ended ? (before.end_time ?? state.timestamp) : null;
  return {
    state_id: state.id,
    state_type: state.type,
    state_name: state.name,
    state_timestamp: state.timestamp,
    run_count: before.run_count + (running && countsRun ? 1 : 0),
    expected_start_time: before.expected_start_time ?? scheduledTime ?? state.timestamp,
    next_scheduled_start_time: scheduledTime,
    // A run that ends before it ran (crashed in its container's start) starts and ends at once.
    start_time: before.start_time ?? (running || ended ? state.timestamp : null),
    end_time: endTime,
    total_run_time: before.total_run_time + (wasRunning ? secondsSince(before.state_timestamp, state.timestamp) : 0),
  };
}

function secondsSince(earlier: Timestamp | null, later: Timestamp): number {
  return earlier === null ? 0 : Math.max(0, secondsBetween(earlier, later));
}

interface EnteringRun extends RunTimes {
  id: string;
  parent_task_run_id: string | null;
}

export interface EnteredState {
  state: State;
  times: RunTimes;
  policy: EmpiricalPolicy;
}

/**
 * Makes the state that is written out of a draft, with all that changes on the flow run beside it. Used for every
 * state a flow run gets, its first included.
 */
export function enterState(
  run: EnteringRun,
  draft: StateDraft,
  policy: EmpiricalPolicy,
  write: { stateId: string; now: Timestamp; clientApiVersion: string | null },
): EnteredState {
  const state: State = {
    id: write.stateId,
    type: draft.type,
    name: draft.name,
    timestamp: decideStateTimestamp(run.state_timestamp, write.now),
    message: draft.message,
    data: draft.data,
    state_details: {
      ...draft.state_details,
      flow_run_id: run.id,
      task_run_id: run.parent_task_run_id ?? draft.state_details.task_run_id,
    },
  };
  const resumes = policy.resuming && tracksPauses(write.clientApiVersion);
  const resumed = resumes && (state.type === "RUNNING" || isTerminal(state.type));
  return {
    state,
    times: decideRunTimes(run, state, !resumes),
    policy: resumed ? { ...policy, resuming: false } : policy,
  };
}

/** A subflow's state as the task run that stands for it in the parent flow has it. */
export function buildParentTaskState(
  taskRun: RunTimes & { id: string; flow_run_id: string | null },
  child: State,
  write: { stateId: string; now: Timestamp },
): State {
  const draft = buildState(child.type, {
    name: child.name,
    message: child.message,
    data: child.data,
    details: {
      ...child.state_details,
      flow_run_id: taskRun.flow_run_id,
      task_run_id: taskRun.id,
      child_flow_run_id: child.state_details.flow_run_id,
    },
  });
  return { ...draft, id: write.stateId, timestamp: decideStateTimestamp(taskRun.state_timestamp, write.now) };
}
