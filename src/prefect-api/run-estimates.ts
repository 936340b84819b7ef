import { isTerminal, type StateType } from "./states.ts";
import { secondsBetween, timestampFromDate } from "./timestamp.ts";

/** The two times of a run that are measured when it is read. Seconds. */
export interface RunEstimates {
  estimated_run_time: number;
  estimated_start_time_delta: number;
}

export interface RunTimes {
  state_type: StateType | null;
  state_timestamp: string | null;
  total_run_time: number;
  start_time: string | null;
  expected_start_time: string | null;
}

/** The run time including what passes now, and how late the run started or is to start. */
export function estimateTimes(run: RunTimes, now: Date): RunEstimates {
  const timestamp = timestampFromDate(now);
  const running = run.state_type === "RUNNING" && run.state_timestamp !== null;
  return {
    estimated_run_time:
      running && run.state_timestamp !== null
        ? run.total_run_time + Math.max(0, secondsBetween(run.state_timestamp, timestamp))
        : run.total_run_time,
    estimated_start_time_delta: estimateStartDelta(run, timestamp),
  };
}

function estimateStartDelta(run: RunTimes, now: string): number {
  if (run.expected_start_time === null) {
    return 0;
  }
  if (run.start_time !== null) {
    return run.start_time > run.expected_start_time ? secondsBetween(run.expected_start_time, run.start_time) : 0;
  }
  const ended = run.state_type !== null && isTerminal(run.state_type);
  return !ended && now > run.expected_start_time ? secondsBetween(run.expected_start_time, now) : 0;
}
