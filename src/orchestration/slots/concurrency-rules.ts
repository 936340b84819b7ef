import type { EmpiricalPolicy } from "../../prefect-api/flow-runs.ts";
import { holdsSlot } from "../../prefect-api/occupancy.ts";
import { addSeconds } from "../../prefect-api/timestamp.ts";
import {
  buildState,
  type Rule,
  type SlotChange,
  type StateDraft,
  type Transition,
  type Verdict,
} from "../states/transition.ts";

/** How long a run waits before it asks again for a slot of a full limit (Prefect's default). */
const SLOT_WAIT_SECONDS = 30;

const KEEP_SLOT: SlotChange = { action: "keep" };

/** Clients send the lease id back as null: what the run holds is copied forward. */
export const carryLease: Rule = ({ run, proposed }) => {
  const leaseId = run.state?.state_details.deployment_concurrency_lease_id ?? null;
  if (leaseId === null || proposed.state_details.deployment_concurrency_lease_id !== null) {
    return undefined;
  }
  return { outcome: "amend", details: { deployment_concurrency_lease_id: leaseId } };
};

/** A run whose lease ended while its container was being made takes a free slot again, or stops. */
export const keepSlotAtStart: Rule = ({ run, proposed, concurrency }) => {
  if (run.state?.type !== "PENDING" || proposed.type !== "RUNNING" || concurrency === null) {
    return undefined;
  }
  if (run.state.state_details.deployment_concurrency_lease_id === null) {
    return undefined;
  }
  if (concurrency.leaseHeld || concurrency.takenByOthers < concurrency.limit) {
    return { outcome: "amend", slot: { action: "take", leaseSeconds: concurrency.graceSeconds } };
  }
  return {
    outcome: "reject",
    reason: "Deployment concurrency limit reached after lease expiry.",
    reasonCode: "SLOT_LOST",
    state: buildState("CANCELLED", {
      message: "Deployment concurrency slot lost during provisioning - no slots available to continue execution",
    }),
  };
};

const OCCUPYING_TYPES: ReadonlySet<string> = new Set(["PENDING", "RUNNING", "CANCELLING"]);

/**
 * Pools and queues are counted where the run is taken, so that workers with lists that are a moment old cannot overrun
 * a limit; Prefect counts only when it hands out the list. The run keeps its state and its place: to a worker that is
 * "not now", and a later poll brings the run again.
 */
export const passGates: Rule = ({ run, proposed, gates }) => {
  if (proposed.type !== "PENDING" || OCCUPYING_TYPES.has(run.state?.type ?? "")) {
    return undefined;
  }
  const closed = gates.find(({ paused, limit, taken }) => paused || (limit !== null && taken >= limit));
  if (closed === undefined) {
    return undefined;
  }
  const { kind, name, paused, limit } = closed;
  return {
    outcome: "reject",
    reason: paused
      ? `The work ${kind} "${name}" is paused.`
      : `The concurrency limit ${limit} of the work ${kind} "${name}" is reached.`,
    reasonCode: GATE_CODES[kind][paused ? "paused" : "full"],
  };
};

const GATE_CODES = {
  pool: { paused: "WORK_POOL_PAUSED", full: "WORK_POOL_LIMIT_REACHED" },
  queue: { paused: "WORK_QUEUE_PAUSED", full: "WORK_QUEUE_LIMIT_REACHED" },
} as const;

/** One slot of the deployment's limit is taken with PENDING, so that no infrastructure is made in vain. */
export const takeSlot: Rule = ({ run, proposed, concurrency, now }) => {
  if (proposed.type !== "PENDING" || concurrency === null || OCCUPYING_TYPES.has(run.state?.type ?? "")) {
    return undefined;
  }
  if (concurrency.limit === 0) {
    return {
      outcome: "abort",
      reason: "The deployment concurrency limit is 0. The flow will deadlock if submitted again.",
      reasonCode: "CONCURRENCY_LIMIT_ZERO",
    };
  }
  if (concurrency.takenByOthers < concurrency.limit) {
    return { outcome: "amend", slot: { action: "take", leaseSeconds: concurrency.graceSeconds } };
  }
  const state =
    concurrency.collisionStrategy === "CANCEL_NEW"
      ? buildState("CANCELLED", { message: "Deployment concurrency limit reached." })
      : buildState("SCHEDULED", {
          name: "AwaitingConcurrencySlot",
          details: { scheduled_time: addSeconds(now, SLOT_WAIT_SECONDS) },
        });
  return {
    outcome: "reject",
    reason: "Deployment concurrency limit reached.",
    reasonCode: "CONCURRENCY_LIMIT_REACHED",
    state,
  };
};

/** A run that would turn late behind a full limit of strategy CANCEL_NEW is cancelled instead of piling up. */
export const cancelLateBehindFullLimit: Rule = ({ run, proposed, concurrency }) => {
  if (run.state?.type !== "SCHEDULED" || proposed.name !== "Late" || concurrency === null) {
    return undefined;
  }
  if (concurrency.collisionStrategy !== "CANCEL_NEW" || concurrency.takenByOthers < concurrency.limit) {
    return undefined;
  }
  return {
    outcome: "reject",
    reason: "Deployment concurrency limit is full and uses the CANCEL_NEW strategy.",
    reasonCode: "CONCURRENCY_LIMIT_REACHED",
    state: buildState("CANCELLED", { message: "Deployment concurrency limit reached." }),
  };
};

/**
 * The slot is freed when the run leaves PENDING, RUNNING or CANCELLING. A retry or a pause inside the same process keeps
 * it, because the engine goes on renewing its lease meanwhile, and frees it when it ends in another way.
 */
export function decideSlotAfter(
  transition: Transition,
  written: { state: StateDraft; policy: EmpiricalPolicy },
  verdict: Verdict,
): SlotChange {
  if (verdict?.outcome === "reject" && verdict.reasonCode === "RETRYING") {
    return KEEP_SLOT;
  }
  const { state, empirical_policy: policy } = transition.run;
  if (holdsSlot(state, policy) && !holdsSlot(written.state, written.policy)) {
    return { action: "free" };
  }
  return KEEP_SLOT;
}
