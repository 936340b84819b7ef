import { z } from "zod";
import { Deployment } from "../prefect-api/deployments.ts";
import { ReceivedFlowRun } from "../prefect-api/flow-runs.ts";
import { Flow } from "../prefect-api/flows.ts";
import { ObjectName, Uuid } from "../prefect-api/primitives.ts";
import { Timestamp } from "../prefect-api/timestamp.ts";
import { WorkPool } from "../prefect-api/work-pools.ts";

/**
 * Claims: how a Flowyard worker takes runs. A claim is a lease on one attempt of a run. Its fencing token rises with
 * every claim of that run; a state write that carries an older one is aborted, so that a worker or container that was
 * given up cannot touch the attempt that took its place. Announced as feature `claims`; without it the worker polls as
 * Prefect's does.
 */

/** Header of `set_state`: the decimal fencing token. Stock workers and engines send none, and are not held to it. */
export const FENCING_TOKEN_HEADER = "flowyard-fencing-token";

export const MAX_CLAIM_WAIT_SECONDS = 30;
export const MAX_CLAIMED_AT_ONCE = 100;
/** One worker renews all its claims in one request. */
export const MAX_RENEWED_AT_ONCE = 1000;

/** `POST /flowyard/work_pools/{name}/claim`: waits until a run can be taken or `wait_seconds` are over. */
export const ClaimFlowRuns = z.strictObject({
  worker_name: ObjectName,
  /** One start of the worker: another one of the same name has another, and neither is given the other's claims. */
  worker_instance: z.string().min(1).max(100),
  /** All queues of the pool when left out. */
  work_queue_names: z.array(ObjectName).max(1000).nullish(),
  /** How many runs the worker can begin now. */
  capacity: z.int().min(1).max(MAX_CLAIMED_AT_ONCE),
  /**
   * Claims that the worker knows of. What was claimed by this start of it, is not among these and was not started is given to
   * it again under a new token: an answer that got lost costs nothing.
   */
  held: z.array(Uuid).max(MAX_RENEWED_AT_ONCE).default([]),
  wait_seconds: z.number().min(0).max(MAX_CLAIM_WAIT_SECONDS).default(0),
});
export type ClaimFlowRuns = z.infer<typeof ClaimFlowRuns>;

export const Claim = z.object({
  /** Of the lease, and the transition id of the PENDING state: it names the attempt. */
  id: Uuid,
  fencing_token: z.int().min(1),
  expires_at: Timestamp,
  /** How long a renewal lasts; renew at a third of it. */
  lease_seconds: z.number().positive(),
});
export type Claim = z.infer<typeof Claim>;

/** A claimed run with all that starting it asks for. It is PENDING already. */
export const ClaimedFlowRun = z.object({
  claim: Claim,
  flow_run: ReceivedFlowRun,
  flow: Flow,
  /** Null for a run that no deployment made. */
  deployment: Deployment.nullable(),
  work_queue_name: z.string(),
});
export type ClaimedFlowRun = z.infer<typeof ClaimedFlowRun>;

/** Empty when nothing could be taken in time. */
export const ClaimedFlowRuns = z.object({
  claimed: z.array(ClaimedFlowRun),
  /** As it is now, with the template that the runs' jobs are made of; left out where nothing was taken. */
  work_pool: WorkPool.optional(),
  /** An operator wants this worker to take no more runs: it is given none. */
  draining: z.boolean().default(false),
});
export type ClaimedFlowRuns = z.infer<typeof ClaimedFlowRuns>;

/**
 * `POST /flowyard/work_pools/{name}/claims/renew`: every claim that the worker holds, in one request. A worker that holds
 * none asks all the same, for the images.
 */
export const RenewClaims = z.strictObject({
  worker_name: ObjectName,
  /** It was told to stop and takes no more runs. */
  stopping: z.boolean().default(false),
  /**
   * As in its claims. With `stopping`, what was claimed by this start of it, is not among `claims` and was not started
   * waits for a worker again at once: the answer never reached it.
   */
  worker_instance: z.string().min(1).max(100).optional(),
  claims: z
    .array(
      z.strictObject({
        id: Uuid,
        fencing_token: z.int().min(1),
        /**
         * Whether there is a container or process. Without one the end of the lease puts the run back; with one the
         * run crashes, because it may have had effects.
         */
        started: z.boolean(),
      }),
    )
    .max(MAX_RENEWED_AT_ONCE),
});
export type RenewClaims = z.infer<typeof RenewClaims>;

/**
 * `held`: renewed. `cancelling`: renewed, and the run is to be stopped. `ended`: the run reached its end, or was put back,
 * and what is left of its infrastructure may finish. `lost`: another attempt took its place, and it must not go on.
 */
export const RenewedClaim = z.object({
  id: Uuid,
  status: z.enum(["held", "cancelling", "ended", "lost"]),
  expires_at: Timestamp.nullable(),
});
export type RenewedClaim = z.infer<typeof RenewedClaim>;

export const RenewedClaims = z.object({
  claims: z.array(RenewedClaim),
  /** Images of the pool's deployments that changed lately: pulled before their first run. */
  images: z.array(z.string()),
  /** An operator wants this worker to take no more runs. */
  draining: z.boolean().default(false),
});
export type RenewedClaims = z.infer<typeof RenewedClaims>;
