import { v7 as uuidv7 } from "uuid";
import type { State } from "../../prefect-api/states.ts";
import type { TaskRun } from "../../prefect-api/task-runs.ts";
import type { Tx } from "../../storage/store.ts";
import { buildParentTaskState, decideRunTimes, type RunTimes } from "./bookkeeping.ts";

/** Gives the task run that stands for a subflow in its parent flow the subflow's state. */
export async function mirrorSubflowState(tx: Pick<Tx, "taskRuns">, taskRun: TaskRun, child: State): Promise<void> {
  const before = timesOf(taskRun);
  const state = buildParentTaskState({ ...before, id: taskRun.id, flow_run_id: taskRun.flow_run_id ?? null }, child, {
    stateId: uuidv7(),
    now: child.timestamp,
  });
  await tx.taskRuns.put({ ...taskRun, ...decideRunTimes(before, state), updated: state.timestamp, state });
}

export function timesOf(run: TaskRun): RunTimes {
  return {
    state_id: run.state_id ?? null,
    state_type: run.state_type ?? null,
    state_name: run.state_name ?? null,
    state_timestamp: run.state?.timestamp ?? null,
    run_count: run.run_count,
    expected_start_time: run.expected_start_time ?? null,
    next_scheduled_start_time: run.next_scheduled_start_time ?? null,
    start_time: run.start_time ?? null,
    end_time: run.end_time ?? null,
    total_run_time: run.total_run_time,
  };
}
