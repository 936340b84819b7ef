import { isTerminal } from "../../prefect-api/states.ts";
import { buildState, type Rule, tracksPauses } from "./transition.ts";

export const PAUSE_EXPIRED_MESSAGE = "The flow was paused and never resumed.";

/** Only a running flow can pause, each pause once; suspending needs a deployment that starts it again. */
export const pauseOnlyRunning: Rule = ({ run, proposed }) => {
  if (proposed.type !== "PAUSED") {
    return undefined;
  }
  const verb = proposed.name === "Suspended" ? "suspend" : "pause";
  if (run.state === null) {
    return { outcome: "abort", reason: `Cannot ${verb} flows with no state.`, reasonCode: "NOT_RUNNING" };
  }
  if (run.state.type !== "RUNNING") {
    return {
      outcome: "reject",
      reason: `Cannot ${verb} flows that are not currently running.`,
      reasonCode: "NOT_RUNNING",
    };
  }
  const { pause_key: key, pause_reschedule: reschedules, run_input_keyset: keyset } = proposed.state_details;
  const firedKeys = run.empirical_policy.pause_keys;
  if (key !== null && firedKeys.includes(key)) {
    return { outcome: "reject", reason: `This ${verb} has already fired.`, reasonCode: "PAUSE_ALREADY_FIRED" };
  }
  if (reschedules && run.parent_task_run_id !== null) {
    return { outcome: "abort", reason: `Cannot ${verb} subflows.`, reasonCode: "SUBFLOW_CANNOT_SUSPEND" };
  }
  if (reschedules && run.deployment_id === null) {
    return { outcome: "abort", reason: `Cannot ${verb} flows without a deployment.`, reasonCode: "NO_DEPLOYMENT" };
  }
  return {
    outcome: "amend",
    policy: key === null ? {} : { pause_keys: [...firedKeys, key] },
    staleInputKeys: Object.values(keyset ?? {}),
  };
};

/** How a paused run may go on, and that a pause ends when its time is over. */
export const resumePaused: Rule = ({ run, proposed, now, clientApiVersion }) => {
  if (run.state?.type !== "PAUSED") {
    return undefined;
  }
  const { pause_reschedule: reschedules, pause_timeout: timeout } = run.state.state_details;
  const mayFollow = proposed.type === "CANCELLING" || proposed.type === "RUNNING" || proposed.type === "SCHEDULED";
  if (!mayFollow && !isTerminal(proposed.type)) {
    return {
      outcome: "reject",
      reason: `This run cannot transition to the ${proposed.type} state from the PAUSED state.`,
      reasonCode: "PAUSED",
    };
  }
  const stateName = proposed.name.toLowerCase();
  if (reschedules && run.deployment_id === null) {
    return {
      outcome: "reject",
      reason: `Cannot reschedule a ${stateName} flow run without a deployment.`,
      reasonCode: "NO_DEPLOYMENT",
    };
  }
  // A blocking pause keeps its process: a cancellation must reach the worker even after the pause has timed out.
  if (proposed.type !== "CANCELLING" && timeout !== null && timeout < now) {
    return {
      outcome: "reject",
      reason: "The flow run pause has timed out and can no longer resume.",
      reasonCode: "PAUSE_TIMED_OUT",
      state: buildState("FAILED", { message: PAUSE_EXPIRED_MESSAGE }),
    };
  }
  // A blocking pause resumes in its process; from there to SCHEDULED means a new attempt from the top.
  if (proposed.type === "SCHEDULED" && !reschedules && tracksPauses(clientApiVersion)) {
    return { outcome: "amend", policy: { resuming: false, pause_keys: [], retry_type: "reschedule" } };
  }
  return { outcome: "amend", policy: { resuming: true } };
};
