import { randomUUID } from "node:crypto";
import { timestampFromDate } from "../prefect-api/timestamp.ts";
import {
  type CreateWorkPool,
  StorageConfiguration,
  type UpdateWorkPool,
  type WorkPool,
} from "../prefect-api/work-pools.ts";
import { hasCode, UserError } from "../shared/errors.ts";
import type { Store, Tx } from "../storage/store.ts";
import { announceChanges } from "./events/announce-changes.ts";
import { tellPool, tellPoolChange, tellQueue } from "./events/lifecycle-event.ts";
import { checkTemplateDefaults } from "./flow-runs/job-variables.ts";
import { decideStateTimestamp } from "./states/bookkeeping.ts";

const DEFAULT_QUEUE = { name: "default", description: "The work pool's default queue.", priority: 1 };
/** Queues whose end is told when their pool goes; of more the pool alone is told. */
const MAX_TOLD_QUEUES = 1000;
const RESERVED_NAME = /^prefect/i;
/** What may be changed on a pool whose name is reserved. */
const RESERVED_POOL_KEYS: ReadonlySet<string> = new Set(["is_paused", "concurrency_limit"]);

/** Makes a pool with its default queue. Throws UserError FORBIDDEN_NAME, ALREADY_EXISTS, INVALID_JOB_TEMPLATE. */
export async function createWorkPool(
  store: Pick<Store, "transaction">,
  body: CreateWorkPool,
  now: Date,
): Promise<WorkPool> {
  if (RESERVED_NAME.test(body.name)) {
    throw new UserError("FORBIDDEN_NAME", "Work pools starting with 'Prefect' are reserved for internal use.");
  }
  checkTemplateDefaults(body.base_job_template);
  try {
    return await store.transaction((tx) => insertWorkPool(tx, body, now));
  } catch (error) {
    if (hasCode(error, "ALREADY_EXISTS")) {
      throw new UserError("ALREADY_EXISTS", "A work pool with this name already exists.", { cause: error });
    }
    throw error;
  }
}

/** The same inside a transaction of the caller's, without the checks. */
export async function insertWorkPool(tx: Tx, body: CreateWorkPool, now: Date): Promise<WorkPool> {
  const timestamp = timestampFromDate(now);
  const id = randomUUID();
  const queueId = randomUUID();
  await tx.workPools.insert({
    id,
    created: timestamp,
    updated: timestamp,
    name: body.name,
    description: body.description ?? null,
    type: body.type,
    base_job_template: body.base_job_template,
    is_paused: body.is_paused,
    concurrency_limit: body.concurrency_limit ?? null,
    default_queue_id: queueId,
    storage_configuration: body.storage_configuration ?? StorageConfiguration.parse({}),
  });
  await tx.workQueues.insert({
    ...DEFAULT_QUEUE,
    id: queueId,
    created: timestamp,
    is_paused: false,
    concurrency_limit: null,
    work_pool_id: id,
    filter: null,
  });
  tx.wakeUps.notify("status_changed", id);
  const pool = await getWorkPool(tx, body.name);
  const queue = { id: queueId, name: DEFAULT_QUEUE.name };
  await announceChanges(tx, [tellQueue("created", queue, pool), tellPool("created", pool)], now);
  return pool;
}

/** Throws UserError NOT_FOUND. */
export async function getWorkPool(store: Pick<Store, "workPools">, name: string): Promise<WorkPool> {
  const pool = await store.workPools.findByName(name);
  if (pool === undefined) {
    throw new UserError("NOT_FOUND", `Work pool "${name}" not found.`);
  }
  return pool;
}

/** Only the keys that are present change anything. Throws UserError NOT_FOUND, FORBIDDEN_NAME, INVALID_JOB_TEMPLATE. */
export async function updateWorkPool(
  store: Pick<Store, "transaction">,
  name: string,
  body: UpdateWorkPool,
  now: Date,
): Promise<void> {
  if (RESERVED_NAME.test(name) && Object.keys(body).some((key) => !RESERVED_POOL_KEYS.has(key))) {
    throw new UserError(
      "FORBIDDEN_NAME",
      "Work pools starting with 'Prefect' are reserved for internal use and can only be updated to set concurrency limits or pause.",
    );
  }
  if (body.base_job_template) {
    checkTemplateDefaults(body.base_job_template);
  }
  await store.transaction(async (tx) => {
    const pool = await getWorkPool(tx, name);
    await tx.workPools.update(pool.id, {
      // Never the same twice: what was compiled from a template is known by it.
      updated: decideStateTimestamp(pool.updated, timestampFromDate(now)),
      ...(body.description !== undefined && { description: body.description }),
      ...(typeof body.is_paused === "boolean" && { is_paused: body.is_paused }),
      ...(body.base_job_template && { base_job_template: body.base_job_template }),
      ...(body.concurrency_limit !== undefined && { concurrency_limit: body.concurrency_limit }),
      ...(body.storage_configuration && { storage_configuration: body.storage_configuration }),
    });
    await announceChanges(tx, [tellPoolChange(pool, await getWorkPool(tx, name))], now);
    // A pool that was resumed or has a higher limit: who waits for its runs looks at once.
    tx.wakeUps.notify("slot_released", pool.id);
    if (typeof body.is_paused === "boolean") {
      tx.wakeUps.notify("status_changed", pool.id);
    }
  });
}

/** Removes the pool with its queues and workers. Throws UserError NOT_FOUND, FORBIDDEN_NAME. */
export async function deleteWorkPool(store: Pick<Store, "transaction">, name: string, now: Date): Promise<void> {
  if (RESERVED_NAME.test(name)) {
    throw new UserError(
      "FORBIDDEN_NAME",
      "Work pools starting with 'Prefect' are reserved for internal use and can not be deleted.",
    );
  }
  await store.transaction(async (tx) => {
    const pool = await getWorkPool(tx, name);
    const queues = await tx.workQueues.list({ poolId: pool.id }, { limit: MAX_TOLD_QUEUES, offset: 0 });
    const told = queues.map((queue) => tellQueue("deleted", queue, pool));
    await announceChanges(tx, [...told, tellPool("deleted", pool)], now);
    await tx.workPools.remove(pool.id);
  });
}
