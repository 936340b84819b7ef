import { z } from "zod";
import { StateType } from "../prefect-api/states.ts";
import { Timestamp } from "../prefect-api/timestamp.ts";

/** Where in its life a run is when the code is the answer. */
type Phase = "waits" | "starts" | "runs" | "paused" | "cancelling" | "ended";

/**
 * Why a flow run is where it is. docs/explain.md has one section per code; a contract test holds both equal. Codes are
 * only added, never renamed: people and programs match on them.
 */
export const EXPLANATION_CODES = {
  NO_STATE: "waits",
  // SCHEDULED, and nobody may take it yet.
  START_IN_FUTURE: "waits",
  RETRY_WAITING: "waits",
  RETRY_IN_PROCESS: "waits",
  // SCHEDULED and due, and nobody can take it.
  NO_WORK_POOL: "waits",
  DEPLOYMENT_GONE: "waits",
  DEPLOYMENT_PAUSED: "waits",
  POOL_PAUSED: "waits",
  QUEUE_PAUSED: "waits",
  POOL_TYPE_UNSERVED: "waits",
  NO_WORKER: "waits",
  WORKERS_OFFLINE: "waits",
  WORKERS_DRAINING: "waits",
  QUEUE_NOT_POLLED: "waits",
  DEPLOYMENT_LIMIT_FULL: "waits",
  POOL_LIMIT_FULL: "waits",
  QUEUE_LIMIT_FULL: "waits",
  RUNS_AHEAD: "waits",
  RUN_DUE: "waits",
  GIVEN_BACK: "waits",
  // PENDING.
  STARTING: "starts",
  START_OVERDUE: "starts",
  IMAGE_PULLING: "starts",
  IMAGE_PULL_FAILING: "starts",
  STARTING_ELSEWHERE: "starts",
  // Whoever has the run is not heard of; PENDING, RUNNING and CANCELLING.
  WORKER_OFFLINE: "starts",
  CLAIM_EXPIRED: "starts",
  // RUNNING.
  IN_PROGRESS: "runs",
  HEARTBEAT_LOST: "runs",
  SLOT_LEASE_ENDED: "runs",
  TAG_LIMIT_FULL: "runs",
  // PAUSED.
  INPUT_AWAITED: "paused",
  RESUME_AWAITED: "paused",
  PAUSE_OVERDUE: "paused",
  // CANCELLING.
  CANCEL_IN_PROGRESS: "cancelling",
  CANCEL_OVERDUE: "cancelling",
  // Ended.
  COMPLETED: "ended",
  FLOW_FAILED: "ended",
  RETRIES_EXHAUSTED: "ended",
  PAUSE_EXPIRED: "ended",
  START_FAILED: "ended",
  OUT_OF_MEMORY: "ended",
  INFRASTRUCTURE_ENDED: "ended",
  WORKER_VANISHED: "ended",
  INTERRUPTED: "ended",
  CRASHED: "ended",
  CANCELLED: "ended",
  CANCELLED_BY_LIMIT: "ended",
  CANCELLED_WITH_PARENT: "ended",
  CANCELLED_WITHOUT_DEPLOYMENT: "ended",
} as const satisfies Record<string, Phase>;

export type ExplanationCode = keyof typeof EXPLANATION_CODES;

/**
 * Whose doing an end was: the flow's own code, what it ran on, whoever set up or cancelled it, or Flowyard. Null where
 * nothing went wrong, or nobody can tell.
 */
const Blame = z.enum(["user_code", "infrastructure", "operator", "flowyard"]);
export type Blame = z.infer<typeof Blame>;

/** One fact that the answer rests on: `text` for people, `data` for programs; kinds are listed in docs/explain.md. */
const Evidence = z.object({
  kind: z.string(),
  text: z.string(),
  data: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
});
export type Evidence = z.infer<typeof Evidence>;

const Cause = z.object({
  /** Known ones are in EXPLANATION_CODES; a newer plane may have more. */
  reason_code: z.string(),
  sentence: z.string(),
  /** Empty when there is nothing to do but wait. */
  next_step: z.string(),
  since: Timestamp.nullable(),
  blame: Blame.nullable(),
  evidence: z.array(Evidence),
});
export type Cause = z.infer<typeof Cause>;

const LastLine = z.object({ timestamp: Timestamp, level: z.number(), message: z.string() });
export type LastLine = z.infer<typeof LastLine>;

/** `GET /flowyard/flow_runs/{id}/explain`: the decisive cause, and the others that hold besides. */
export const Explanation = Cause.extend({
  flow_run: z.object({
    id: z.string(),
    name: z.string(),
    state_type: StateType.nullable(),
    state_name: z.string().nullable(),
  }),
  others: z.array(Cause),
  /** Of a run that has ended, oldest first; bounded in lines and bytes. */
  last_lines: z.array(LastLine),
});
export type Explanation = z.infer<typeof Explanation>;
