import { randomUUID } from "node:crypto";
import { timestampFromDate } from "../prefect-api/timestamp.ts";
import type { CreateWorkQueue, UpdateWorkQueue, WorkQueue } from "../prefect-api/work-queues.ts";
import { hasCode, UserError } from "../shared/errors.ts";
import type { Store, Tx } from "../storage/store.ts";
import { announceChanges } from "./events/announce-changes.ts";
import { tellQueue, tellQueueChange } from "./events/lifecycle-event.ts";
import { getWorkPool, insertWorkPool } from "./work-pools.ts";

interface Pool {
  id: string;
  name: string;
}

/** Makes a queue in the pool, or in the one for queues without a pool. Throws UserError NOT_FOUND, ALREADY_EXISTS. */
export function createWorkQueue(
  store: Pick<Store, "transaction">,
  poolName: string | null,
  body: CreateWorkQueue,
  now: Date,
): Promise<WorkQueue> {
  return store.transaction(async (tx) => {
    const pool = poolName === null ? await ensureAgentPool(tx, now) : await getWorkPool(tx, poolName);
    const id = await insertWorkQueue(tx, pool, body, now);
    const queue = await tx.workQueues.find(id);
    if (queue === undefined) {
      throw new Error(`work queue ${id} vanished in the transaction that made it`);
    }
    return queue;
  });
}

/** The id of the pool's queue of this name, made when it is missing. */
export async function ensureWorkQueue(tx: Tx, pool: Pool, name: string, now: Date): Promise<string> {
  const existing = await tx.workQueues.findByName(pool.name, name);
  return existing?.id ?? (await insertWorkQueue(tx, pool, { name, is_paused: false }, now));
}

/** A queue that is named without a pool belongs to the pool that Prefect makes for that. */
export async function ensureAgentQueue(tx: Tx, name: string, now: Date): Promise<string> {
  return await ensureWorkQueue(tx, await ensureAgentPool(tx, now), name, now);
}

const AGENT_POOL = { name: "default-agent-pool", type: "prefect-agent", base_job_template: {}, is_paused: false };

export async function ensureAgentPool(tx: Tx, now: Date): Promise<Pool> {
  return (await tx.workPools.findByName(AGENT_POOL.name)) ?? (await insertWorkPool(tx, AGENT_POOL, now));
}

async function insertWorkQueue(tx: Tx, pool: Pool, body: CreateWorkQueue, now: Date): Promise<string> {
  const id = randomUUID();
  const priorities = await tx.workQueues.listPriorities(pool.id);
  const priority = body.priority ?? firstFree(new Set(priorities.map((queue) => queue.priority)));
  await makeRoom(tx, priorities, { id, priority });
  try {
    await tx.workQueues.insert({
      id,
      created: timestampFromDate(now),
      name: body.name,
      description: body.description ?? "",
      is_paused: body.is_paused,
      concurrency_limit: body.concurrency_limit ?? null,
      priority,
      work_pool_id: pool.id,
      filter: body.filter ?? null,
    });
  } catch (error) {
    throw asTaken(error, pool.name);
  }
  await announceChanges(tx, [tellQueue("created", { id, name: body.name }, await tx.workPools.find(pool.id))], now);
  return id;
}

function firstFree(taken: ReadonlySet<number>): number {
  let priority = 1;
  while (taken.has(priority)) {
    priority += 1;
  }
  return priority;
}

/** Pushes up whoever has the priority, and whoever is in the way of that, until a gap takes the rest. */
async function makeRoom(
  tx: Tx,
  queues: readonly { id: string; priority: number }[],
  placed: { id: string; priority: number },
): Promise<void> {
  let wanted = placed.priority;
  for (const queue of queues) {
    if (queue.id !== placed.id && queue.priority === wanted) {
      wanted += 1;
      await tx.workQueues.update(queue.id, { priority: wanted });
    }
  }
}

/** Throws UserError NOT_FOUND, ALREADY_EXISTS. Only the keys that are present change anything. */
export function updateWorkQueue(
  store: Pick<Store, "transaction">,
  id: string,
  body: UpdateWorkQueue,
  now: Date,
): Promise<void> {
  return store.transaction(async (tx) => {
    const queue = await tx.workQueues.find(id);
    if (queue === undefined) {
      throw new UserError("NOT_FOUND", `Work Queue ${id} not found`);
    }
    if (body.priority && body.priority !== queue.priority) {
      await makeRoom(tx, await tx.workQueues.listPriorities(queue.work_pool_id ?? ""), {
        id,
        priority: body.priority,
      });
    }
    try {
      await tx.workQueues.update(id, {
        ...(body.name && { name: body.name }),
        ...(body.description !== undefined && { description: body.description ?? "" }),
        ...(typeof body.is_paused === "boolean" && { is_paused: body.is_paused }),
        ...(body.concurrency_limit !== undefined && { concurrency_limit: body.concurrency_limit }),
        ...(body.priority && { priority: body.priority }),
        ...(body.last_polled && { last_polled: body.last_polled }),
        ...(body.filter !== undefined && { filter: body.filter }),
      });
      tx.wakeUps.notify("slot_released", id);
    } catch (error) {
      throw asTaken(error, queue.work_pool_name ?? "");
    }
    const [pool, after] = [await tx.workPools.find(queue.work_pool_id ?? ""), await tx.workQueues.find(id)];
    await announceChanges(tx, [after && tellQueueChange(queue, after, pool)], now);
    if (typeof body.is_paused === "boolean") {
      tx.wakeUps.notify("status_changed", queue.work_pool_id ?? "");
    }
  });
}

/** Throws UserError NOT_FOUND, and DATA_CONFLICT for a pool's default queue. */
export function deleteWorkQueue(store: Pick<Store, "transaction">, id: string, now: Date): Promise<void> {
  return store.transaction(async (tx) => {
    const queue = await tx.workQueues.find(id);
    if (queue === undefined) {
      throw new UserError("NOT_FOUND", "work queue not found");
    }
    const pool = await tx.workPools.find(queue.work_pool_id ?? "");
    if (pool?.default_queue_id === id) {
      throw new UserError("DATA_CONFLICT", "Can't delete a pool's default queue.");
    }
    await announceChanges(tx, [tellQueue("deleted", queue, pool)], now);
    await tx.workQueues.remove(id);
  });
}

function asTaken(error: unknown, poolName: string): unknown {
  return hasCode(error, "ALREADY_EXISTS")
    ? new UserError("ALREADY_EXISTS", `A work queue with this name already exists in work pool '${poolName}'.`, {
        cause: error,
      })
    : error;
}
