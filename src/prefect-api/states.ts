import { z } from "zod";
import { Uuid } from "./primitives.ts";
import { Timestamp } from "./timestamp.ts";

export const STATE_TYPES = [
  "SCHEDULED",
  "PENDING",
  "RUNNING",
  "PAUSED",
  "CANCELLING",
  "COMPLETED",
  "FAILED",
  "CANCELLED",
  "CRASHED",
] as const;

export const StateType = z.enum(STATE_TYPES);
export type StateType = z.infer<typeof StateType>;

const TERMINAL_STATE_TYPES: ReadonlySet<StateType> = new Set(["COMPLETED", "FAILED", "CANCELLED", "CRASHED"]);

export function isTerminal(type: StateType): boolean {
  return TERMINAL_STATE_TYPES.has(type);
}

/** The name that Prefect gives a state whose name is left out: `SCHEDULED` → `Scheduled`. */
export function defaultStateName(type: StateType): string {
  return type.slice(0, 1) + type.slice(1).toLowerCase();
}

/** What clients may send: every key optional, unknown ones dropped so that newer clients are understood. */
export const StateDetailsInput = z.object({
  flow_run_id: Uuid.nullish(),
  task_run_id: Uuid.nullish(),
  child_flow_run_id: Uuid.nullish(),
  scheduled_time: Timestamp.nullish(),
  cache_key: z.string().nullish(),
  cache_expiration: Timestamp.nullish(),
  deferred: z.boolean().nullish(),
  untrackable_result: z.boolean().nullish(),
  pause_timeout: Timestamp.nullish(),
  pause_reschedule: z.boolean().nullish(),
  pause_key: z.string().nullish(),
  run_input_keyset: z.record(z.string(), z.string()).nullish(),
  refresh_cache: z.boolean().nullish(),
  retriable: z.boolean().nullish(),
  transition_id: Uuid.nullish(),
  task_parameters_id: Uuid.nullish(),
  traceparent: z.string().nullish(),
  deployment_concurrency_lease_id: Uuid.nullish(),
});
export type StateDetailsInput = z.infer<typeof StateDetailsInput>;

/** What the server sends: every key present, in Prefect's order. */
export interface StateDetails {
  flow_run_id: string | null;
  task_run_id: string | null;
  child_flow_run_id: string | null;
  scheduled_time: string | null;
  cache_key: string | null;
  cache_expiration: string | null;
  deferred: boolean | null;
  untrackable_result: boolean;
  pause_timeout: string | null;
  pause_reschedule: boolean;
  pause_key: string | null;
  run_input_keyset: Record<string, string> | null;
  refresh_cache: boolean | null;
  retriable: boolean | null;
  transition_id: string | null;
  task_parameters_id: string | null;
  traceparent: string | null;
  deployment_concurrency_lease_id: string | null;
}

export function completeStateDetails(details: StateDetailsInput = {}): StateDetails {
  return {
    flow_run_id: details.flow_run_id ?? null,
    task_run_id: details.task_run_id ?? null,
    child_flow_run_id: details.child_flow_run_id ?? null,
    scheduled_time: details.scheduled_time ?? null,
    cache_key: details.cache_key ?? null,
    cache_expiration: details.cache_expiration ?? null,
    deferred: details.deferred === undefined ? false : details.deferred,
    untrackable_result: details.untrackable_result ?? false,
    pause_timeout: details.pause_timeout ?? null,
    pause_reschedule: details.pause_reschedule ?? false,
    pause_key: details.pause_key ?? null,
    run_input_keyset: details.run_input_keyset ?? null,
    refresh_cache: details.refresh_cache ?? null,
    retriable: details.retriable ?? null,
    transition_id: details.transition_id ?? null,
    task_parameters_id: details.task_parameters_id ?? null,
    traceparent: details.traceparent ?? null,
    deployment_concurrency_lease_id: details.deployment_concurrency_lease_id ?? null,
  };
}

/** A state as a client proposes it. `data` is opaque: result metadata of the engine's. */
export const StateCreate = z.strictObject({
  type: StateType,
  name: z.string().nullish(),
  message: z.string().nullish(),
  data: z.unknown().optional(),
  state_details: StateDetailsInput.default({}),
  // Older clients echo these two; the server makes its own.
  id: z.unknown().optional(),
  timestamp: z.unknown().optional(),
});
export type StateCreate = z.infer<typeof StateCreate>;

/** A state as the server stores and sends it. */
export interface State {
  id: string;
  type: StateType;
  name: string;
  timestamp: Timestamp;
  message: string | null;
  data: unknown;
  state_details: StateDetails;
}

/** A state as a client reads it: only what ours and Prefect's servers both always send. */
export const ReceivedState = z.object({
  id: z.string(),
  type: StateType,
  name: z.string(),
  timestamp: Timestamp,
  message: z.string().nullish(),
  data: z.unknown().optional(),
  state_details: StateDetailsInput.default({}),
});
export type ReceivedState = z.infer<typeof ReceivedState>;

/** Unknown keys are dropped here, as Prefect does for bodies that it reads key by key. */
export const SetState = z.object({
  state: StateCreate,
  force: z
    .boolean()
    .nullish()
    .transform((force) => force ?? false),
});

/**
 * The four answers to a proposed state. REJECT always carries the state that the run has instead. `reason_code` is
 * ours: clients of Prefect's read the sentence.
 */
export type SetStateResult =
  | { state: State; status: "ACCEPT"; details: { type: "accept_details" } }
  | {
      state: State | null;
      status: "REJECT";
      details: { type: "reject_details"; reason: string | null; reason_code?: string };
    }
  | {
      state: State | null;
      status: "WAIT";
      details: { type: "wait_details"; delay_seconds: number; reason: string | null; reason_code?: string };
    }
  | {
      state: State | null;
      status: "ABORT";
      details: { type: "abort_details"; reason: string | null; reason_code?: string };
    };

export const ReceivedSetStateResult = z.object({
  state: ReceivedState.nullish(),
  status: z.enum(["ACCEPT", "REJECT", "WAIT", "ABORT"]),
  details: z.object({ type: z.string(), reason: z.string().nullish(), delay_seconds: z.number().optional() }),
});
export type ReceivedSetStateResult = z.infer<typeof ReceivedSetStateResult>;
