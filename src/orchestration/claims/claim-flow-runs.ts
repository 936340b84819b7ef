import { v7 as uuidv7 } from "uuid";
import type { Claim, ClaimFlowRuns } from "../../flowyard-api/claims.ts";
import type { FlowRun } from "../../prefect-api/flow-runs.ts";
import { addSeconds, timestampFromDate } from "../../prefect-api/timestamp.ts";
import type { Logger } from "../../shared/logger.ts";
import type { FlowRunClaim } from "../../storage/flow-run-claims.ts";
import type { Store, Tx } from "../../storage/store.ts";
import type { LiveBus } from "../events/live-bus.ts";
import { listDueRuns } from "../flow-runs/get-scheduled-flow-runs.ts";
import { setFlowRunStateIn } from "../states/set-flow-run-state.ts";
import { getWorkPool } from "../work-pools.ts";
import { CLAIM_SECONDS } from "./claim-rules.ts";

interface Deps {
  store: Store;
  bus: LiveBus;
  logger: Logger;
}

/** A run that is the worker's now, PENDING. */
export interface TakenRun {
  claim: Claim;
  flow_run: FlowRun;
}

/**
 * Gives a worker due runs of its pool, up to its capacity: the more urgent queue first, then the earlier run. Slots are
 * counted and the run is made PENDING in the one transaction that also writes the lease. Throws UserError NOT_FOUND.
 */
export async function claimFlowRuns(deps: Deps, poolName: string, body: ClaimFlowRuns, now: Date): Promise<TakenRun[]> {
  // Most looks find nothing: they read, and take no turn of the one writer.
  if (!(await hasWork(deps.store, poolName, body, now))) {
    return [];
  }
  return deps.store.transaction((tx) => claimIn(tx, deps, poolName, body, now));
}

async function hasWork(store: Store, poolName: string, body: ClaimFlowRuns, now: Date): Promise<boolean> {
  const pool = await getWorkPool(store, poolName);
  const taker = await store.workers.findTaker(pool.id, body.worker_name);
  if (taker?.takesClaims === false) {
    await store.transaction((tx) => tx.workers.noteRenewal(pool.id, body.worker_name, false));
  }
  if (taker?.draining === true) {
    return false;
  }
  const lost = await store.flowRunClaims.listUnknownTo({ ...describeWorker(pool, body), knows: body.held });
  return lost.length > 0 || (await listDueRuns(store, pool, buildDue(body, 1, now))).length > 0;
}

async function claimIn(tx: Tx, deps: Deps, poolName: string, body: ClaimFlowRuns, now: Date): Promise<TakenRun[]> {
  const pool = await getWorkPool(tx, poolName);
  const worker = describeWorker(pool, body);
  if ((await tx.workers.findTaker(worker.poolId, worker.name))?.draining === true) {
    return []; // since the look
  }
  const taken: TakenRun[] = [];
  for (const claim of await tx.flowRunClaims.listUnknownTo({ ...worker, knows: body.held })) {
    if (claim.state_type === "PENDING" && taken.length < body.capacity) {
      taken.push(await take(tx, worker, claim, now));
    }
  }
  const capacity = body.capacity - taken.length;
  const due = capacity > 0 ? await listDueRuns(tx, pool, buildDue(body, capacity, now)) : [];
  for (const { flow_run: run } of due) {
    const id = uuidv7();
    const proposal = {
      flowRunId: run.id,
      // The claim names the attempt: whoever finds its container knows whether the state is about it.
      state: { type: "PENDING" as const, state_details: { transition_id: id } },
      mode: "normal" as const,
      clientApiVersion: null,
      by: `worker ${worker.name}`,
    };
    const { result } = await setFlowRunStateIn(tx, deps, proposal, now);
    if (result.status === "ACCEPT") {
      taken.push(await take(tx, worker, { id, flow_run_id: run.id }, now));
    }
  }
  return taken;
}

interface ClaimingWorker {
  name: string;
  instance: string;
  poolId: string;
}

function describeWorker(pool: { id: string }, body: ClaimFlowRuns): ClaimingWorker {
  return { name: body.worker_name, instance: body.worker_instance, poolId: pool.id };
}

function buildDue(body: ClaimFlowRuns, limit: number, now: Date) {
  return { queueNames: body.work_queue_names ?? [], before: timestampFromDate(now), after: undefined, limit };
}

async function take(
  tx: Tx,
  worker: ClaimingWorker,
  { id, flow_run_id }: Pick<FlowRunClaim, "id" | "flow_run_id">,
  now: Date,
): Promise<TakenRun> {
  const claimed_at = timestampFromDate(now);
  const claim = await tx.flowRunClaims.take({
    flow_run_id,
    id,
    worker_name: worker.name,
    worker_instance: worker.instance,
    work_pool_id: worker.poolId,
    claimed_at,
    expires_at: addSeconds(claimed_at, CLAIM_SECONDS),
  });
  return { claim: describe(claim), flow_run: await tx.flowRuns.get(flow_run_id) };
}

function describe({ id, fencing_token, expires_at }: FlowRunClaim): Claim {
  return { id, fencing_token, expires_at, lease_seconds: CLAIM_SECONDS };
}
