import { randomUUID } from "node:crypto";
import type { WorkerHeartbeat } from "../prefect-api/workers.ts";
import { UserError } from "../shared/errors.ts";
import type { Store } from "../storage/store.ts";
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
