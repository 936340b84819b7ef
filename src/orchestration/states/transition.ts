import type { EmpiricalPolicy } from "../../prefect-api/flow-runs.ts";
import {
  completeStateDetails,
  defaultStateName,
  type State,
  type StateCreate,
  type StateDetails,
  type StateType,
} from "../../prefect-api/states.ts";
import type { Timestamp } from "../../prefect-api/timestamp.ts";

/** A state that has been proposed or chosen, before it is written: no id and no timestamp yet. */
export type StateDraft = Omit<State, "id" | "timestamp">;

/** What the rules read of a flow run. */
export interface TransitionRun {
  id: string;
  deployment_id: string | null;
  parent_task_run_id: string | null;
  infrastructure_pid: string | null;
  run_count: number;
  /** Its first scheduled time. */
  expected_start_time?: Timestamp | null;
  empirical_policy: EmpiricalPolicy;
  state: State | null;
}

/** The concurrency limit of a run's deployment at this moment. Slots are leases that have not ended. */
export interface DeploymentConcurrency {
  limit: number;
  /** Slots held by other runs. */
  takenByOthers: number;
  /** Whether this run's own lease is still alive. */
  leaseHeld: boolean;
  collisionStrategy: "ENQUEUE" | "CANCEL_NEW";
  graceSeconds: number;
}

/** What the work pool or queue of a run lets through at this moment. */
export interface WorkGate {
  kind: "pool" | "queue";
  name: string;
  paused: boolean;
  /** null: none. */
  limit: number | null;
  /** Runs that count against the limit. */
  taken: number;
}

export interface Transition {
  run: TransitionRun;
  proposed: StateDraft;
  /** REST API version of the client; null when it sent none. */
  clientApiVersion: string | null;
  /** null: the run's deployment has no limit, or the run has no deployment. */
  concurrency: DeploymentConcurrency | null;
  /** Of the run's work pool and queue; only for a proposed PENDING. */
  gates: readonly WorkGate[];
  now: Timestamp;
}

/** Why a proposal was not simply accepted. Ours: Prefect only has the sentence. Codes are only added. */
export type ReasonCode =
  | "SAME_TRANSITION"
  | "RUN_ENDED"
  | "RESULT_KEPT"
  | "NO_DEPLOYMENT"
  | "CANCELLING"
  | "NO_INFRASTRUCTURE"
  | "ALREADY_TAKEN"
  | "SLOT_LOST"
  | "CONCURRENCY_LIMIT_ZERO"
  | "CONCURRENCY_LIMIT_REACHED"
  | "NOT_SCHEDULED"
  | "NOT_RUNNING"
  | "PAUSE_ALREADY_FIRED"
  | "SUBFLOW_CANNOT_SUSPEND"
  | "PAUSED"
  | "PAUSE_TIMED_OUT"
  | "TOO_EARLY"
  | "RETRYING"
  | "STALE_CLAIM"
  | "WORK_POOL_PAUSED"
  | "WORK_POOL_LIMIT_REACHED"
  | "WORK_QUEUE_PAUSED"
  | "WORK_QUEUE_LIMIT_REACHED";

/** What happens to the run's slot of its deployment's limit together with the state change. */
export type SlotChange = { action: "keep" } | { action: "take"; leaseSeconds: number } | { action: "free" };

/** What is written when a decision changes the run's state. */
export interface StateChange {
  state: StateDraft;
  policy: EmpiricalPolicy;
  slot: SlotChange;
  /** Flow run inputs that an earlier attempt left behind under the keys of this pause. */
  staleInputKeys: readonly string[];
}

/** The answer to a proposed state. REJECT without a change keeps the state that the run has. */
export type Decision =
  | { status: "ACCEPT"; change: StateChange }
  | { status: "REJECT"; change: StateChange | null; reason: string; reasonCode: ReasonCode }
  | { status: "WAIT"; delaySeconds: number; reason: string; reasonCode: ReasonCode }
  | { status: "ABORT"; reason: string; reasonCode: ReasonCode };

interface Amendment {
  outcome: "amend";
  details?: Partial<StateDetails>;
  policy?: Partial<EmpiricalPolicy>;
  slot?: SlotChange;
  staleInputKeys?: readonly string[];
}

/** The end of a proposal. A rejection with a state writes that one instead. */
export type Stop =
  | {
      outcome: "reject";
      reason: string;
      reasonCode: ReasonCode;
      state?: StateDraft;
      policy?: Partial<EmpiricalPolicy>;
    }
  | { outcome: "wait"; delaySeconds: number; reason: string; reasonCode: ReasonCode }
  | { outcome: "abort"; reason: string; reasonCode: ReasonCode };

/** What one rule says: nothing, an amendment to the proposal, or its end. */
export type Verdict = undefined | Amendment | Stop;

export type Rule = (transition: Transition) => Verdict;

/** A state as the server makes it itself. A SCHEDULED one needs its time. */
export function buildState(
  type: StateType,
  parts: { name?: string; message?: string | null; data?: unknown; details?: Partial<StateDetails> } = {},
): StateDraft {
  return {
    type,
    name: parts.name ?? defaultStateName(type),
    message: parts.message ?? null,
    data: parts.data ?? null,
    state_details: { ...completeStateDetails(), ...parts.details },
  };
}

/** A client's proposal with Prefect's defaults: the name of its type, and "now" for a SCHEDULED state without time. */
export function buildProposedState(create: StateCreate, now: Timestamp): StateDraft {
  const details = completeStateDetails(create.state_details);
  if (create.type === "SCHEDULED" && details.scheduled_time === null) {
    details.scheduled_time = now;
  }
  return {
    type: create.type,
    name: create.name ?? defaultStateName(create.type),
    message: create.message ?? null,
    data: create.data ?? null,
    state_details: details,
  };
}

/** Whether a state's data points to a result that was stored, which a later state must not lose. */
export function hasPersistedResult(state: Pick<State, "data">): boolean {
  const { data } = state;
  return (
    typeof data === "object" &&
    data !== null &&
    !Array.isArray(data) &&
    Object.keys(data).length > 0 &&
    !("type" in data && data.type === "unpersisted")
  );
}

/** Pauses are part of the API since 0.8.4; older clients keep their own account of them. */
export function tracksPauses(clientApiVersion: string | null): boolean {
  if (clientApiVersion === null) {
    return true;
  }
  const [major = 0, minor = 0, patch = 0] = clientApiVersion.split(".").map(Number);
  return major > 0 || minor > 8 || (minor === 8 && patch >= 4);
}
