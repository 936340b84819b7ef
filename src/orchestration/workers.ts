import { randomUUID } from "node:crypto";
import type { PoolWorker, PoolWorkerDetails } from "../flowyard-api/workers.ts";
import type { WorkerHeartbeat } from "../prefect-api/workers.ts";
import { UserError } from "../shared/errors.ts";
import type { Nouns, Store } from "../storage/store.ts";
import { getWorkPool } from "./work-pools.ts";

/** Records that a worker of the pool is alive. Throws UserError NOT_FOUND. */
export function recordHeartbeat(
  store: Pick<Store, "transaction">,
  poolName: string,
  heartbeat: WorkerHeartbeat,
): Promise<void> {
  return store.transaction(async (tx) => {
    const pool = await getWorkPool(tx, poolName);
    await tx.workers.heartbeat({
      id: randomUUID(),
      name: heartbeat.name,
      poolId: pool.id,
      intervalSeconds: heartbeat.heartbeat_interval_seconds ?? null,
    });
    if (pool.status === "NOT_READY") {
      tx.wakeUps.notify("status_changed", pool.id);
    }
  });
}

/** Throws UserError NOT_FOUND. */
export function deleteWorker(store: Pick<Store, "transaction">, poolName: string, name: string): Promise<void> {
  return store.transaction(async (tx) => {
    const pool = await getWorkPool(tx, poolName);
    if (!(await tx.workers.remove(pool.id, name))) {
      throw new UserError("NOT_FOUND", "Worker not found.");
    }
  });
}

const MAX_LISTED_WORKERS = 500;
const MAX_LISTED_RUNS = 100;
type Reading = Pick<Nouns, "workPools" | "workers">;

/** The workers of a pool as operators see them. Throws UserError NOT_FOUND. */
export async function listPoolWorkers(store: Reading, poolName: string): Promise<PoolWorker[]> {
  const pool = await getWorkPool(store, poolName);
  return await store.workers.listServing(pool.id, MAX_LISTED_WORKERS);
}

/** One worker with its runs. Throws UserError NOT_FOUND. */
export async function getPoolWorker(store: Reading, poolName: string, name: string): Promise<PoolWorkerDetails> {
  const pool = await getWorkPool(store, poolName);
  const [worker] = await store.workers.listServing(pool.id, 1, name);
  if (worker === undefined) {
    throw new UserError("NOT_FOUND", `Worker "${name}" of work pool "${poolName}" not found.`);
  }
  return { ...worker, runs: await store.workers.listRunsInHand(pool.id, name, MAX_LISTED_RUNS) };
}

/** Whether an operator wants the worker to take no more runs. Throws UserError NOT_FOUND for an unknown pool. */
export async function isDraining(store: Reading, poolName: string, name: string): Promise<boolean> {
  const pool = await getWorkPool(store, poolName);
  return (await store.workers.findTaker(pool.id, name))?.draining === true;
}

/**
 * Makes a worker take no more runs, or take them again; what it has in hand is left alone. Throws UserError NOT_FOUND,
 * WORKER_CANNOT_DRAIN for a worker that polls: the plane does not know who asks then.
 */
export function drainWorker(
  store: Pick<Store, "transaction">,
  poolName: string,
  name: string,
  draining: boolean,
): Promise<PoolWorkerDetails> {
  return store.transaction(async (tx) => {
    const worker = await getPoolWorker(tx, poolName, name);
    if (draining && !worker.takes_claims) {
      throw new UserError(
        "WORKER_CANNOT_DRAIN",
        `Worker "${name}" asks for runs as Prefect's workers do: the plane cannot tell it from the others of the pool.`,
        { hint: "Stop it where it runs (SIGTERM), or pause the work pool." },
      );
    }
    const pool = await getWorkPool(tx, poolName);
    await tx.workers.setDraining(pool.id, name, draining);
    if (!draining) {
      tx.wakeUps.notify("flow_run_scheduled", pool.id); // it waits, and there may be runs
    }
    return getPoolWorker(tx, poolName, name);
  });
}
