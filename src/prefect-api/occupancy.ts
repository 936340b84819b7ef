import type { EmpiricalPolicy } from "./flow-runs.ts";
import type { State } from "./states.ts";

const OCCUPYING: ReadonlySet<string> = new Set(["PENDING", "RUNNING", "CANCELLING"]);

/**
 * Whether a flow run in this state counts against the limits of its queue and pool: it has, or is about to have, a
 * container. One that waits in its own process, to try again or to be resumed, still has it; Prefect gives a paused run's
 * slot away, and then has one run too many when it goes on.
 */
export function holdsSlot(
  state: Pick<State, "type" | "name" | "state_details"> | null,
  policy: Pick<EmpiricalPolicy, "retry_type">,
): boolean {
  if (state === null) {
    return false;
  }
  const isPausedInProcess = state.type === "PAUSED" && !state.state_details.pause_reschedule;
  return OCCUPYING.has(state.type) || isPausedInProcess || waitsInProcess({ state, empirical_policy: policy });
}

/** Whether the run waits for its next attempt in the process of the last one. */
export function waitsInProcess(run: {
  state: Pick<State, "type" | "name"> | null;
  empirical_policy: Pick<EmpiricalPolicy, "retry_type">;
}): boolean {
  const { state, empirical_policy: policy } = run;
  return state?.type === "SCHEDULED" && state.name === "AwaitingRetry" && policy.retry_type === "in_process";
}
