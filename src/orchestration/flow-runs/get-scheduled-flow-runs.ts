import type { FlowRun } from "../../prefect-api/flow-runs.ts";
import { MAX_PAGE_SIZE } from "../../prefect-api/primitives.ts";
import { type Timestamp, timestampFromDate } from "../../prefect-api/timestamp.ts";
import type { GetScheduledFlowRuns, WorkPool } from "../../prefect-api/work-pools.ts";
import type { WorkQueue } from "../../prefect-api/work-queues.ts";
import { UserError } from "../../shared/errors.ts";
import type { Nouns, Store } from "../../storage/store.ts";
import type { DueRun, DueSource } from "../../storage/waiting-runs.ts";
import { getWorkPool } from "../work-pools.ts";

/** Queues of one pool that one poll looks at. */
const MAX_QUEUES = 1000;
/** Queues that one statement looks at; the less urgent ones are looked at when these do not fill the poll. */
const MAX_SOURCES = 50;
/** How often a poll looks past runs whose deployment's last free slots it has just given away, and how far. */
const MAX_LOOKS = 10;
const WIDE_LOOK = 100;

type Reads = Pick<Nouns, "waitingRuns" | "workQueues">;

interface Due {
  before: string;
  after: string | undefined;
  limit: number;
}

type OrderedDue = Due & { order: "source" | "time" };

export interface ScheduledRun {
  work_pool_id: string;
  work_queue_id: string;
  flow_run: FlowRun;
}

/**
 * Due runs of a pool's queues: the more urgent queue first, then the earlier run, within the free slots of queues,
 * pool and deployments. It is no claim: two workers may be given the same run, and the PENDING proposal decides
 * (surface §4.2). Records the poll. Throws UserError NOT_FOUND for an unknown pool or queue.
 */
export async function getScheduledFlowRuns(
  store: Store,
  poolName: string,
  body: GetScheduledFlowRuns,
  now: Date,
): Promise<ScheduledRun[]> {
  const names = body.work_queue_names ?? [];
  const polled = await store.workQueues.listForPoll(poolName, names, MAX_QUEUES);
  const pool = polled?.pool ?? (await getWorkPool(store, poolName));
  const queues = polled?.queues ?? [];
  checkNames(poolName, queues, names);
  await recordPolls(store, queues);
  return listDueOfQueues(store, pool, queues, {
    before: body.scheduled_before ?? timestampFromDate(now),
    after: body.scheduled_after ?? undefined,
    limit: body.limit ?? MAX_PAGE_SIZE,
  });
}

/** The same without recording a poll, also inside a transaction. Throws UserError NOT_FOUND for an unknown queue. */
export async function listDueRuns(
  nouns: Reads,
  pool: WorkPool,
  due: Due & { queueNames: readonly string[] },
): Promise<ScheduledRun[]> {
  return listDueOfQueues(nouns, pool, await listQueues(nouns, pool, due.queueNames), due);
}

async function listDueOfQueues(
  nouns: Reads,
  pool: Pick<WorkPool, "id" | "is_paused" | "concurrency_limit" | "active_slots">,
  queues: readonly WorkQueue[],
  due: Due,
): Promise<ScheduledRun[]> {
  const limit = Math.min(due.limit, countFree(pool));
  if (pool.is_paused || limit <= 0) {
    return [];
  }
  const sources = queues
    .filter((queue) => !queue.is_paused)
    .map((queue): DueSource => ({ of: "queue", id: queue.id, limit: Math.min(limit, countFree(queue)) }))
    .filter((source) => source.limit > 0);
  const runs = await listWithinLimits(nouns, sources, { ...due, limit, order: "source" });
  return runs.map((run) => ({ work_pool_id: pool.id, work_queue_id: run.work_queue_id ?? "", flow_run: run }));
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
  const limit = Math.min(due.limit, countFree(queue));
  return queue.is_paused
    ? []
    : listWithinLimits(store, [{ of: "queue", id: queueId, limit }], {
        ...due,
        after: undefined,
        limit,
        order: "time",
      });
}

/** Due runs of these deployments, for runners that serve them; the longest due first. Records that they are served. */
export async function getDeploymentRuns(
  store: Store,
  deploymentIds: readonly string[],
  due: { before: string; limit: number },
  now: Date,
): Promise<FlowRun[]> {
  const sources = [...new Set(deploymentIds)].map((id): DueSource => ({ of: "deployment", id, limit: due.limit }));
  const [runs] = await Promise.all([
    listWithinLimits(store, sources, { ...due, after: undefined, order: "time" }),
    recordServed(store, deploymentIds, timestampFromDate(now)),
  ]);
  return runs;
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

/** In the order of the sources; of each no more than its limit, of each deployment no more than has free slots. */
async function listWithinLimits(nouns: Reads, sources: readonly DueSource[], due: OrderedDue): Promise<FlowRun[]> {
  const runs: FlowRun[] = [];
  for (let first = 0; first < sources.length && runs.length < due.limit; first += MAX_SOURCES) {
    const next = await fillFrom(nouns, sources.slice(first, first + MAX_SOURCES), {
      ...due,
      limit: due.limit - runs.length,
    });
    runs.push(...next);
  }
  return runs;
}

/**
 * Most polls are one look. When it finds more runs of a deployment than have free slots, those that fit are kept and
 * another look passes over the deployment, so that its runs hide nobody behind them.
 */
async function fillFrom(nouns: Reads, sources: readonly DueSource[], due: OrderedDue): Promise<FlowRun[]> {
  const spentLimitIds: string[] = [];
  let kept: DueRun[] = [];
  for (let look = 0; look < MAX_LOOKS; look += 1) {
    const width = look === 0 ? 0 : WIDE_LOOK;
    const wide = sources.map((source) => ({ ...source, limit: Math.max(source.limit, width) }));
    const found = await nouns.waitingRuns.listDue(wide, { ...due, limit: Math.max(due.limit, width), spentLimitIds });
    const fitting = await fitSlots(nouns, found);
    if (fitting.spent.length === 0) {
      return cut([...kept, ...found], sources, due);
    }
    kept = [...kept, ...fitting.runsOfSpent];
    spentLimitIds.push(...fitting.spent);
  }
  return cut(kept, sources, due);
}

/** The limits that have fewer free slots than runs were found, and the runs that those slots are for. */
async function fitSlots(nouns: Reads, found: readonly DueRun[]): Promise<{ spent: string[]; runsOfSpent: DueRun[] }> {
  const byLimit = Map.groupBy(found, ({ limitId }) => limitId);
  byLimit.delete(null);
  const free = await nouns.waitingRuns.countFree([...byLimit.keys()].filter((id) => id !== null));
  const spent: string[] = [];
  const runsOfSpent: DueRun[] = [];
  for (const [id, runs] of byLimit) {
    const slots = free.get(id ?? "") ?? runs.length;
    if (id !== null && runs.length > slots) {
      spent.push(id);
      runsOfSpent.push(...runs.slice(0, slots));
    }
  }
  return { spent, runsOfSpent };
}

function cut(
  runs: readonly DueRun[],
  sources: readonly DueSource[],
  { order, limit }: Pick<OrderedDue, "order" | "limit">,
): FlowRun[] {
  const ordered = runs.toSorted(
    (a, b) =>
      (order === "source" ? a.rank - b.rank : 0) ||
      compareText(a.run.next_scheduled_start_time ?? "", b.run.next_scheduled_start_time ?? "") ||
      compareText(a.run.id, b.run.id),
  );
  const taken = sources.map(() => 0);
  const fitting = ordered.filter(({ rank }) => {
    taken[rank] = (taken[rank] ?? 0) + 1;
    return (taken[rank] ?? 0) <= (sources[rank]?.limit ?? 0);
  });
  return fitting.slice(0, limit).map(({ run }) => run);
}

/** The same note for who waits for runs instead of polling. Throws UserError NOT_FOUND. */
export async function recordPoll(store: Store, pool: WorkPool, queueNames: readonly string[]): Promise<void> {
  await recordPolls(store, await listQueues(store, pool, queueNames));
}

/** Queues whose poll a plane is writing down. */
const noting = new WeakMap<Store, Set<string>>();

/** A queue is READY for a minute after a noted poll: until then it stays so without the next note. */
const NOTE_KEEPS_SECONDS = 30;

/**
 * Waits for the note of a poll where the queue is READY by it. Whoever polls again soon is noted behind his answer: he
 * would wait for the writer, and a note that is lost is made by the next poll.
 */
async function recordPolls(store: Store, queues: readonly WorkQueue[]): Promise<void> {
  const underWay = noting.get(store) ?? new Set();
  noting.set(store, underWay);
  const stale = store.workQueues.stalePolls(queues);
  const news = queues.find((queue) => queue.status === "NOT_READY" && stale.includes(queue.id));
  const mayWait = store.workQueues.stalePolls(queues, NOTE_KEEPS_SECONDS).length === 0;
  const ids = mayWait ? stale.filter((id) => !underWay.has(id)) : stale;
  if (ids.length === 0) {
    return;
  }
  for (const id of ids) {
    underWay.add(id);
  }
  const noted = store
    .transaction(async (tx) => {
      await tx.workQueues.markPolled(ids);
      if (news !== undefined) {
        tx.wakeUps.notify("status_changed", news.work_pool_id ?? "");
      }
    })
    .finally(() => {
      for (const id of ids) {
        underWay.delete(id);
      }
    });
  if (mayWait) {
    noted.catch(() => undefined);
    return;
  }
  await noted;
}

async function recordServed(store: Store, ids: readonly string[], now: Timestamp): Promise<void> {
  const stale = ids.length === 0 ? [] : await store.statuses.listStaleServed(ids, now);
  if (stale.length > 0) {
    await store.transaction((tx) => tx.statuses.markServed(stale, now));
  }
}

async function listQueues(nouns: Reads, pool: WorkPool, names: readonly string[]): Promise<WorkQueue[]> {
  const where = { poolId: pool.id, ...(names.length > 0 && { names }) };
  const queues = await nouns.workQueues.list(where, { limit: MAX_QUEUES, offset: 0 });
  checkNames(pool.name, queues, names);
  return queues;
}

function checkNames(poolName: string, queues: readonly WorkQueue[], names: readonly string[]): void {
  const missing = names.find((name) => !queues.some((queue) => queue.name === name));
  if (missing !== undefined) {
    throw new UserError("NOT_FOUND", `Work pool queue '${poolName}/${missing}' not found.`);
  }
}

function countFree(holder: Pick<WorkQueue | WorkPool, "concurrency_limit" | "active_slots">): number {
  return typeof holder.concurrency_limit === "number"
    ? Math.max(0, holder.concurrency_limit - (holder.active_slots ?? 0))
    : Number.POSITIVE_INFINITY;
}
