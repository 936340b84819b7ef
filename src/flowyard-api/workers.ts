import { z } from "zod";
import { Uuid } from "../prefect-api/primitives.ts";
import { StateType } from "../prefect-api/states.ts";
import { Timestamp } from "../prefect-api/timestamp.ts";

/**
 * Workers as an operator sees them: which runs they have in hand, and whether they take more. Prefect's own routes know
 * ONLINE and OFFLINE only. Announced as feature `workers`.
 */
export const PoolWorker = z.object({
  name: z.string(),
  /** `DRAINING`: online, and takes no more runs. */
  status: z.enum(["ONLINE", "OFFLINE", "DRAINING"]),
  last_heartbeat_time: Timestamp,
  heartbeat_interval_seconds: z.number().nullable(),
  /** Since when an operator wants it to take no more runs. */
  draining_since: Timestamp.nullable(),
  /** Since when it is about to stop by itself. */
  stopping_since: Timestamp.nullable(),
  /** False: it polls as Prefect's workers do, so the plane knows neither its runs nor how to drain it. */
  takes_claims: z.boolean(),
  /** By its claims. */
  runs_in_hand: z.int(),
});
export type PoolWorker = z.infer<typeof PoolWorker>;

/** `GET /flowyard/work_pools/{name}/workers`: the most recently heard of first. */
export const PoolWorkers = z.object({ workers: z.array(PoolWorker) });
export type PoolWorkers = z.infer<typeof PoolWorkers>;

export const RunInHand = z.object({
  flow_run_id: Uuid,
  flow_run_name: z.string(),
  state_type: StateType.nullable(),
  state_name: z.string().nullable(),
  claimed_at: Timestamp,
  /** Whether there is a container or process. */
  started: z.boolean(),
  expires_at: Timestamp,
});
export type RunInHand = z.infer<typeof RunInHand>;

/** `GET /flowyard/work_pools/{name}/workers/{worker}`: with the first hundred of its runs. */
export const PoolWorkerDetails = PoolWorker.extend({ runs: z.array(RunInHand) });
export type PoolWorkerDetails = z.infer<typeof PoolWorkerDetails>;

/** `POST /flowyard/work_pools/{name}/workers/{worker}/drain`: until it is taken back, also over its restarts. */
export const DrainWorker = z.strictObject({ draining: z.boolean().default(true) });
export type DrainWorker = z.infer<typeof DrainWorker>;
