import { z } from "zod";
import { estimateTimes, type RunTimes } from "./run-estimates.ts";
import type { StateType } from "./states.ts";
import { addSeconds, Timestamp, timestampToMs } from "./timestamp.ts";

/** Prefect's: what lies beyond the last of them is left out. */
const MAX_INTERVALS = 500;
export const LEAST_INTERVAL_SECONDS = 1;

export const historyKeys = {
  history_start: Timestamp,
  history_end: Timestamp,
  /** Checked by the route, which must answer Prefect's own text. */
  history_interval_seconds: z.number(),
};

interface HistoryState {
  state_type: StateType;
  state_name: string;
  count_runs: number;
  sum_estimated_run_time: number;
  sum_estimated_lateness: number;
}

/** Runs that were to start within one interval, by their state. Sums in seconds. */
export interface HistoryInterval {
  interval_start: Timestamp;
  interval_end: Timestamp;
  states: HistoryState[];
}

/** What a history reads of a run. */
export type HistoryRun = RunTimes & { state_name: string | null };

export interface AskedHistory {
  history_start: Timestamp;
  history_end: Timestamp;
  history_interval_seconds: number;
}

/** Counts runs into the intervals of a stretch of time. */
export class RunHistory {
  readonly start: Timestamp;
  /** The first instant that is no longer counted. */
  readonly end: Timestamp;
  readonly #intervals: Map<string, HistoryState>[];
  readonly #seconds: number;
  readonly #startMs: number;

  constructor(asked: AskedHistory) {
    const { history_start: start, history_end: end, history_interval_seconds: seconds } = asked;
    const elapsed = (timestampToMs(end) - timestampToMs(start)) / 1000;
    const count = Math.max(0, Math.min(Math.ceil(elapsed / seconds), MAX_INTERVALS));
    this.start = start;
    this.#startMs = timestampToMs(start);
    this.end = addSeconds(start, count * seconds);
    this.#seconds = seconds;
    this.#intervals = Array.from({ length: count }, () => new Map());
  }

  get isEmpty(): boolean {
    return this.#intervals.length === 0;
  }

  add(run: HistoryRun, now: Date): void {
    if (run.expected_start_time === null || run.state_type === null) {
      return;
    }
    const passed = (timestampToMs(run.expected_start_time) - this.#startMs) / 1000;
    const states = this.#intervals[Math.floor(passed / this.#seconds)];
    const name = run.state_name ?? "";
    const key = `${run.state_type} ${name}`;
    const none = { count_runs: 0, sum_estimated_run_time: 0, sum_estimated_lateness: 0 };
    const state = states?.get(key) ?? { state_type: run.state_type, state_name: name, ...none };
    const times = estimateTimes(run, now);
    state.count_runs += 1;
    state.sum_estimated_run_time += Math.max(0, times.estimated_run_time);
    state.sum_estimated_lateness += times.estimated_start_time_delta;
    states?.set(key, state);
  }

  list(): HistoryInterval[] {
    return this.#intervals.map((states, index) => ({
      interval_start: addSeconds(this.start, index * this.#seconds),
      interval_end: addSeconds(this.start, (index + 1) * this.#seconds),
      states: [...states.entries()].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, state]) => state),
    }));
  }
}
