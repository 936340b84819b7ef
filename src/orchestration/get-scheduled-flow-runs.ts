import type { FlowRun } from "../prefect-api/flow-runs.ts";
import { MAX_PAGE_SIZE } from "../prefect-api/primitives.ts";
import { timestampFromDate } from "../prefect-api/timestamp.ts";
import type { GetScheduledFlowRuns, WorkPool } from "../prefect-api/work-pools.ts";
import type { WorkQueue } from "../prefect-api/work-queues.ts";
import { UserError } from "../shared/errors.ts";
import type { Store } from "../storage/store.ts";
import { getWorkPool } from "./work-pools.ts";

/** Queues of one pool that one poll looks at. */
const MAX_QUEUES = 1000;

export interface ScheduledRun {
  work_pool_id: string;
  work_queue_id: string;
  flow_run: FlowRun;
}

/**
 * Due runs of a pool's queues: the more urgent queue first, then the earlier run, within the free slots of queues and
 * pool. It is no claim: two workers may be given the same run, and the PENDING proposal decides (surface §4.2).
 * Records the poll. Throws UserError NOT_FOUND for an unknown pool or queue.
 */
export async function getScheduledFlowRuns(
  store: Store,
  poolName: string,
  body: GetScheduledFlowRuns,
  now: Date,
): Promise<ScheduledRun[]> {
  const pool = await getWorkPool(store, poolName);
  const queues = await listQueues(store, pool, body.work_queue_names ?? []);
  await recordPolls(store, queues);
  if (pool.is_paused) {
    return [];
  }
  const due = {
    before: body.scheduled_before ?? timestampFromDate(now),
    after: body.scheduled_after ?? undefined,
  };
  let free = Math.min(body.limit ?? MAX_PAGE_SIZE, freeSlots(pool));
  const runs: ScheduledRun[] = [];
  for (const queue of queues.filter((each) => !each.is_paused)) {
    const limit = Math.min(free, freeSlots(queue));
    if (limit > 0) {
      const dueRuns = await store.flowRuns.listDue(queue.id, { ...due, limit });
      free -= dueRuns.length;
      runs.push(...dueRuns.map((run) => buildScheduledRun(pool, queue, run)));
    }
  }
  return runs;
}

/** Due runs of one queue, within its free slots. Throws UserError NOT_FOUND. */
export async function getWorkQueueRuns(
  store: Store,
  queueId: string,
  due: { before: string; limit: number; isPoll: boolean },
): Promise<FlowRun[]> {
  const queue = await store.workQueues.find(queueId);
  if (queue === undefined) {
    throw new UserError("NOT_FOUND", `Work queue with id ${queueId} not found.`);
  }
  if (due.isPoll) {
    await recordPolls(store, [queue]);
  }
  const limit = Math.min(due.limit, freeSlots(queue));
  return queue.is_paused || limit === 0
    ? []
    : await store.flowRuns.listDue(queueId, { before: due.before, after: undefined, limit });
}

async function recordPolls(store: Store, queues: readonly WorkQueue[]): Promise<void> {
  const stale = store.workQueues.stalePolls(queues);
  if (stale.length > 0) {
    await store.transaction((tx) => tx.workQueues.markPolled(stale));
  }
}

async function listQueues(store: Store, pool: WorkPool, names: readonly string[]): Promise<WorkQueue[]> {
  const where = { poolId: pool.id, ...(names.length > 0 && { names }) };
  const queues = await store.workQueues.list(where, { limit: MAX_QUEUES, offset: 0 });
  const missing = names.find((name) => !queues.some((queue) => queue.name === name));
  if (missing !== undefined) {
    throw new UserError("NOT_FOUND", `Work pool queue '${pool.name}/${missing}' not found.`);
  }
  return queues;
}

function freeSlots(holder: Pick<WorkQueue | WorkPool, "concurrency_limit" | "active_slots">): number {
  return typeof holder.concurrency_limit === "number"
    ? Math.max(0, holder.concurrency_limit - (holder.active_slots ?? 0))
    : Number.POSITIVE_INFINITY;
}

function buildScheduledRun(pool: WorkPool, queue: WorkQueue, run: FlowRun): ScheduledRun {
  return { work_pool_id: pool.id, work_queue_id: queue.id, flow_run: run };
}
