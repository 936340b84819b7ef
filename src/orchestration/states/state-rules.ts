import type { EmpiricalPolicy } from "../../prefect-api/flow-runs.ts";
import { waitsInProcess } from "../../prefect-api/occupancy.ts";
import { isTerminal } from "../../prefect-api/states.ts";
import { addSeconds, secondsBetween } from "../../prefect-api/timestamp.ts";
import {
  cancelLateBehindFullLimit,
  carryLease,
  decideSlotAfter,
  keepSlotAtStart,
  passGates,
  takeSlot,
} from "../slots/concurrency-rules.ts";
import { pauseOnlyRunning, resumePaused } from "./pause-rules.ts";
import {
  buildState,
  type Decision,
  hasPersistedResult,
  type Rule,
  type SlotChange,
  type StateDraft,
  type Stop,
  type Transition,
  tracksPauses,
  type Verdict,
} from "./transition.ts";

/** A client that lost our answer asks again: the same transition is not made twice. */
const refuseSameTransition: Rule = ({ run, proposed }) => {
  const current = run.state?.state_details.transition_id ?? null;
  if (current === null || current !== proposed.state_details.transition_id) {
    return undefined;
  }
  return {
    outcome: "reject",
    reason: "This run has already made this state transition.",
    reasonCode: "SAME_TRANSITION",
  };
};

const NEVER_AFTER_THE_END: ReadonlySet<string> = new Set(["CANCELLING", "PAUSED", "CRASHED"]);

/** A run that ended stays ended, except that a person or an engine may run it again. */
const leaveEndedRunsAlone: Rule = ({ run, proposed, clientApiVersion }) => {
  if (run.state === null || !isTerminal(run.state.type)) {
    return undefined;
  }
  if (NEVER_AFTER_THE_END.has(proposed.type)) {
    return {
      outcome: "abort",
      reason: `Run is already in terminal state ${run.state.type}.`,
      reasonCode: "RUN_ENDED",
    };
  }
  if (run.state.type === "COMPLETED" && !isTerminal(proposed.type) && hasPersistedResult(run.state)) {
    return { outcome: "reject", reason: "Run is already COMPLETED.", reasonCode: "RUN_ENDED" };
  }
  const lost = keepResult({ run, proposed });
  if (lost !== undefined) {
    return lost;
  }
  if (proposed.type === "SCHEDULED" && run.deployment_id === null) {
    return {
      outcome: "abort",
      reason: "Cannot reschedule a run without an associated deployment.",
      reasonCode: "NO_DEPLOYMENT",
    };
  }
  if (isTerminal(proposed.type) || !tracksPauses(clientApiVersion)) {
    return undefined;
  }
  return {
    outcome: "amend",
    policy: {
      resuming: false,
      pause_keys: [],
      retry_type: proposed.type === "SCHEDULED" ? "reschedule" : null,
    },
  };
};

/** Even a forced COMPLETED does not throw away the result that a COMPLETED state points to. */
function keepResult({ run, proposed }: Pick<Transition, "run" | "proposed">): Verdict {
  if (run.state?.type !== "COMPLETED" || proposed.type !== "COMPLETED") {
    return undefined;
  }
  if (!hasPersistedResult(run.state) || hasPersistedResult(proposed)) {
    return undefined;
  }
  return {
    outcome: "reject",
    reason: "Cannot overwrite a COMPLETED state that carries persisted result data with one that does not.",
    reasonCode: "RESULT_KEPT",
  };
}

const cancellingEndsCancelled: Rule = ({ run, proposed }) => {
  if (run.state?.type !== "CANCELLING" || proposed.type === "CANCELLED") {
    return undefined;
  }
  return {
    outcome: "reject",
    reason: "Cannot transition flows that are cancelling to a state other than Cancelled.",
    reasonCode: "CANCELLING",
  };
};

/** Nothing runs for a waiting or suspended run, so nobody would ever end its CANCELLING. */
const cancelWithoutInfrastructure: Rule = ({ run, proposed }) => {
  if (run.state === null || proposed.type !== "CANCELLING") {
    return undefined;
  }
  const waits = run.state.type === "SCHEDULED" && (run.infrastructure_pid === null || run.state.name === "Resuming");
  const suspended = run.state.type === "PAUSED" && run.state.state_details.pause_reschedule;
  if (!waits && !suspended) {
    return undefined;
  }
  return {
    outcome: "reject",
    reason: `${suspended ? "Suspended" : "Scheduled"} flow run has no infrastructure to terminate.`,
    reasonCode: "NO_INFRASTRUCTURE",
    state: buildState("CANCELLED"),
  };
};

/**
 * The lock that lets one worker take a run: PENDING is entered once per attempt. Only a worker's own sub-states
 * (Pending → Submitting) may follow. Unlike Prefect, which starts a COMPLETED, FAILED or CRASHED run again for a
 * worker with a stale poll list, every ended run is closed to it: a retry goes through SCHEDULED or is forced. So is a
 * run that waits for its retry inside a process, which Prefect starts a second time beside it.
 */
const enterPendingOnce: Rule = ({ run, proposed }) => {
  if (run.state === null || proposed.type !== "PENDING") {
    return undefined;
  }
  const { type, name, state_details: details } = run.state;
  if (type === "PENDING" && proposed.name !== name && proposed.name !== "Pending") {
    return {
      outcome: "amend",
      details: {
        scheduled_time: details.scheduled_time,
        deployment_concurrency_lease_id: details.deployment_concurrency_lease_id,
      },
    };
  }
  if (waitsInProcess(run)) {
    return {
      outcome: "abort",
      reason: "This run waits in its own process to try again and cannot transition to a PENDING state.",
      reasonCode: "ALREADY_TAKEN",
    };
  }
  if (type === "PENDING" || type === "RUNNING" || type === "CANCELLING" || isTerminal(type)) {
    return {
      outcome: "abort",
      reason: `This run is in a ${type} state and cannot transition to a PENDING state.`,
      reasonCode: isTerminal(type) ? "RUN_ENDED" : "ALREADY_TAKEN",
    };
  }
  return undefined;
};

const lateOnlyOnce: Rule = ({ run, proposed }) => {
  if (run.state === null || proposed.type !== "SCHEDULED" || proposed.name !== "Late") {
    return undefined;
  }
  if (run.state.type !== "SCHEDULED") {
    return { outcome: "reject", reason: "Only scheduled flows can be marked late.", reasonCode: "NOT_SCHEDULED" };
  }
  if (run.state.name === "Late") {
    return { outcome: "reject", reason: "This flow run is already marked late.", reasonCode: "SAME_TRANSITION" };
  }
  return undefined;
};

const copyScheduledTime: Rule = ({ run, proposed, now }) => {
  if (run.state?.type !== "SCHEDULED" || proposed.type !== "PENDING") {
    return undefined;
  }
  if (proposed.state_details.scheduled_time !== null) {
    return undefined;
  }
  const scheduledTime = run.state.state_details.scheduled_time;
  // The time that it was told to wait for a slot is over with the slot.
  const waitedForSlot = run.state.name === "AwaitingConcurrencySlot" && scheduledTime !== null && scheduledTime > now;
  const startTime = waitedForSlot ? (run.expected_start_time ?? now) : scheduledTime;
  return { outcome: "amend", details: { scheduled_time: startTime } };
};

/** Workers prefetch, so engines may be up before the time has come. */
const waitForScheduledTime: Rule = ({ run, proposed, now }) => {
  if (proposed.type !== "RUNNING" || (run.state?.type !== "SCHEDULED" && run.state?.type !== "PENDING")) {
    return undefined;
  }
  const scheduledTime = run.state.state_details.scheduled_time;
  const delaySeconds = scheduledTime === null ? 0 : Math.round(secondsBetween(now, scheduledTime));
  if (delaySeconds <= 0) {
    return undefined;
  }
  return { outcome: "wait", delaySeconds, reason: "Scheduled time is in the future", reasonCode: "TOO_EARLY" };
};

/**
 * A run that is scheduled anew out of its process is not waited for there: without this a run that was suspended, or
 * stopped and rescheduled, after a retry in its process would be in no poll (Prefect forgets it).
 */
const leaveProcess: Rule = ({ run, proposed }) => {
  const leaves = proposed.type === "SCHEDULED" && run.state !== null && run.state.type !== "SCHEDULED";
  return leaves && run.empirical_policy.retry_type === "in_process"
    ? { outcome: "amend", policy: { retry_type: "reschedule" } }
    : undefined;
};

/** A failed attempt that has retries left waits for its next one; the engine stays and proposes RUNNING again. */
const retryFailedRun: Rule = ({ run, proposed, now, clientApiVersion }) => {
  if (run.state?.type !== "RUNNING" || proposed.type !== "FAILED") {
    return undefined;
  }
  const { retries, retry_delay: retryDelaySeconds } = run.empirical_policy;
  if (retries === null || run.run_count > retries) {
    return { outcome: "amend", policy: { retry_type: null } };
  }
  return {
    outcome: "reject",
    reason: "Retrying",
    reasonCode: "RETRYING",
    policy: tracksPauses(clientApiVersion) ? { resuming: false, pause_keys: [], retry_type: "in_process" } : {},
    state: buildState("SCHEDULED", {
      name: "AwaitingRetry",
      message: proposed.message,
      data: proposed.data,
      details: {
        scheduled_time: addSeconds(now, retryDelaySeconds ?? 0),
        deployment_concurrency_lease_id: run.state.state_details.deployment_concurrency_lease_id,
      },
    }),
  };
};

/** Order is meaning: the first rule that ends a proposal wins, and amendments are seen by the rules below. */
const RULES: readonly Rule[] = [
  carryLease,
  refuseSameTransition,
  leaveEndedRunsAlone,
  cancellingEndsCancelled,
  cancelWithoutInfrastructure,
  enterPendingOnce,
  pauseOnlyRunning,
  // Before a slot is asked for: a paused run is not taken, and must not be sent to wait for a slot either.
  resumePaused,
  leaveProcess,
  keepSlotAtStart,
  passGates,
  takeSlot,
  lateOnlyOnce,
  copyScheduledTime,
  waitForScheduledTime,
  retryFailedRun,
];

const FORCED_RULES: readonly Rule[] = [carryLease, keepResult, cancelWithoutInfrastructure, leaveProcess];
const LATE_RULES: readonly Rule[] = [lateOnlyOnce, cancelLateBehindFullLimit];

/**
 * May this state follow that one? Prefect's orchestration rules (3.9), in its order where that matters; pure.
 * The event of an accepted change and its bookkeeping are the caller's.
 */
export function decideTransition(transition: Transition & { force: boolean }): Decision {
  return applyRules(transition.force ? FORCED_RULES : RULES, transition);
}

/** The same question for the server's own loop that marks waiting runs Late. */
export function decideLate(transition: Transition): Decision {
  return applyRules(LATE_RULES, transition);
}

function applyRules(rules: readonly Rule[], transition: Transition): Decision {
  let proposed: StateDraft = transition.proposed;
  let policy: EmpiricalPolicy = transition.run.empirical_policy;
  let slot: SlotChange = { action: "keep" };
  let staleInputKeys: readonly string[] = [];
  for (const rule of rules) {
    const verdict = rule({ ...transition, proposed });
    if (verdict === undefined) {
      continue;
    }
    if (verdict.outcome !== "amend") {
      return decideStopped(transition, verdict);
    }
    proposed = { ...proposed, state_details: { ...proposed.state_details, ...verdict.details } };
    policy = { ...policy, ...verdict.policy };
    slot = verdict.slot ?? slot;
    staleInputKeys = verdict.staleInputKeys ?? staleInputKeys;
  }
  if (slot.action === "keep") {
    slot = decideSlotAfter(transition, { state: proposed, policy }, undefined);
  }
  return { status: "ACCEPT", change: { state: proposed, policy, slot, staleInputKeys } };
}

/** What earlier rules amended is dropped: it belonged to a state that is not written. */
function decideStopped(transition: Transition, verdict: Stop): Decision {
  const { reason, reasonCode } = verdict;
  switch (verdict.outcome) {
    case "abort":
      return { status: "ABORT", reason, reasonCode };
    case "wait":
      return { status: "WAIT", delaySeconds: verdict.delaySeconds, reason, reasonCode };
    case "reject": {
      if (verdict.state === undefined) {
        return { status: "REJECT", change: null, reason, reasonCode };
      }
      const state = answerTo(transition.proposed, verdict.state);
      const policy = { ...transition.run.empirical_policy, ...verdict.policy };
      const slot = decideSlotAfter(transition, { state, policy }, verdict);
      const change = { state, policy, slot, staleInputKeys: [] };
      return { status: "REJECT", change, reason, reasonCode };
    }
  }
}

/** The state that is written instead of a proposal is known by it: a client that lost the answer is given it again. */
function answerTo(proposed: StateDraft, state: StateDraft): StateDraft {
  return { ...state, state_details: { ...state.state_details, transition_id: proposed.state_details.transition_id } };
}
