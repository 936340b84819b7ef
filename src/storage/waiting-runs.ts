import { type Kysely, type RawBuilder, type SqlBool, sql } from "kysely";
import type { FlowRun } from "../prefect-api/flow-runs.ts";
import { timestampFromDate } from "../prefect-api/timestamp.ts";
import type { Clock } from "../shared/clock.ts";
import type { Database } from "./database-types.ts";
import { flowRunFromRow, selectFlowRuns } from "./flow-run-rows.ts";
import { countTaken, selectLimits } from "./slot-usage.ts";

/** A queue, or a deployment whose runs are asked for without one, and how many of its runs may be taken. */
export interface DueSource {
  of: "queue" | "deployment";
  id: string;
  limit: number;
}

export interface DueQuestion {
  before: string;
  after: string | undefined;
  limit: number;
  /** The sources one after the other, or all by time. */
  order: "source" | "time";
  /** Concurrency limits whose free slots this poll has given away already. */
  spentLimitIds: readonly string[];
}

export interface DueRun {
  run: FlowRun;
  /** Index of its source. */
  rank: number;
  /** The concurrency limit of its deployment. */
  limitId: string | null;
}

/** A run that was told to wait for a slot of its deployment, and has not got its place in the line back. */
export interface AwaitingRun {
  id: string;
  expected_start_time: string | null;
  work_pool_id: string | null;
  /** Null: the deployment has no limit any more, or one that is switched off. */
  limit_id: string | null;
}

/** Flow runs that wait: which are due, and which for a slot only. */
export class WaitingRunStore {
  readonly #db: Kysely<Database>;
  readonly #clock: Clock;

  constructor(db: Kysely<Database>, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
  }

  /**
   * Due runs in the order of the sources, or of time; of each source the longest due first. One statement. It passes over the runs of
   * deployments whose limit is full, in the index alone, and over runs that wait inside their own process.
   */
  async listDue(sources: readonly DueSource[], due: DueQuestion): Promise<DueRun[]> {
    if (sources.length === 0 || due.limit <= 0) {
      return [];
    }
    const parts = sources.map((source, rank) => selectDueOf(source, rank, due));
    const blocked = selectBlockedDeployments(this.#now(), due.spentLimitIds);
    const order = due.order === "source" ? sql`rank, due_at` : sql`due_at`;
    const listed = sql<{ due_id: string; rank: number }>`(with blocked (id) as (${blocked})
      select * from (${sql.join(parts, sql` union all `)}) sources order by ${order}, due_id limit ${due.limit})`;
    const rows = await selectFlowRuns(this.#db)
      .innerJoin(listed.as<"due">("due"), (join) => join.onRef("due.due_id", "=", "r.id"))
      .leftJoin("deployments as d", "d.id", "r.deployment_id")
      .leftJoin("concurrency_limits as c", (join) =>
        join.onRef("c.id", "=", "d.concurrency_limit_id").on("c.active", "=", 1),
      )
      .select(["due.rank", "c.id as limit_id"])
      .$if(due.order === "source", (query) => query.orderBy("due.rank"))
      .orderBy("r.next_scheduled_start_time")
      .orderBy("r.id")
      .execute();
    const now = this.#clock.now();
    return rows.map((row) => ({
      run: flowRunFromRow(row, now),
      rank: row.rank,
      limitId: row.limit_id,
    }));
  }

  /** When the next run of a pool becomes due after `now`. One look into the index for each queue. */
  async findNextDueTime(poolId: string, now: string): Promise<string | null> {
    const next = sql<string | null>`(select r.next_scheduled_start_time from flow_runs r
      where r.work_queue_id = q.id and r.state_type = 'SCHEDULED' and r.next_scheduled_start_time > ${now}
      order by r.next_scheduled_start_time limit 1)`;
    const row = await this.#db
      .selectFrom("work_queues as q")
      .select(sql<string | null>`min(${next})`.as("next"))
      .where("q.work_pool_id", "=", poolId)
      .executeTakeFirst();
    return row?.next ?? null;
  }

  /** Free slots of these limits. */
  async countFree(limitIds: readonly string[]): Promise<Map<string, number>> {
    if (limitIds.length === 0) {
      return new Map();
    }
    const now = this.#now();
    const rows = await selectLimits(this.#db, now).where("c.id", "in", limitIds).execute();
    return new Map(rows.map((row) => [row.id, Math.max(0, row.limit - countTaken(row, now))]));
  }

  /** Of this limit, or of all; the more urgent queue first, then the longest waiting. */
  async listAwaitingSlot(limitId: string | null, limit: number): Promise<AwaitingRun[]> {
    return await this.#db
      .selectFrom("flow_runs as r")
      .leftJoin("deployments as d", "d.id", "r.deployment_id")
      .leftJoin("concurrency_limits as c", (join) =>
        join.onRef("c.id", "=", "d.concurrency_limit_id").on("c.active", "=", 1),
      )
      .leftJoin("work_queues as q", "q.id", "r.work_queue_id")
      .select(["r.id", "r.expected_start_time", "q.work_pool_id", "c.id as limit_id"])
      .where("r.state_name", "=", "AwaitingConcurrencySlot")
      .where("r.state_type", "=", "SCHEDULED")
      .whereRef("r.next_scheduled_start_time", ">", "r.expected_start_time")
      .$if(limitId !== null, (query) => query.where("d.concurrency_limit_id", "=", limitId ?? ""))
      .orderBy(sql`coalesce(q.priority, 0)`)
      .orderBy("r.expected_start_time")
      .orderBy("r.id")
      .limit(limit)
      .execute();
  }

  /** Due runs of deployments that cancel what is due while their limit is full. */
  async listToCancel(now: string, limit: number): Promise<string[]> {
    const { rows } = await sql<{ id: string }>`select r.id from deployments d cross join flow_runs r
      where d.concurrency_options like '%CANCEL_NEW%' and d.id in (${selectBlockedDeployments(now, [])})
        and r.deployment_id = d.id and r.state_type = 'SCHEDULED' and r.holds_slot = 0
        and r.next_scheduled_start_time <= ${now}
      order by r.next_scheduled_start_time limit ${limit}`.execute(this.#db);
    return rows.map(({ id }) => id);
  }

  async makeDue(id: string, time: string): Promise<void> {
    await this.#db.updateTable("flow_runs").set({ next_scheduled_start_time: time }).where("id", "=", id).execute();
  }

  /** Runs that count against the limit of the queue, or of the pool. */
  async countHolding(of: { queueId: string } | { poolId: string }): Promise<number> {
    const owner =
      "queueId" in of
        ? sql<SqlBool>`r.work_queue_id = ${of.queueId}`
        : sql<SqlBool>`r.work_queue_id in (select q.id from work_queues q where q.work_pool_id = ${of.poolId})`;
    const row = await this.#db
      .selectFrom("flow_runs as r")
      .select(sql<number>`cast(count(*) as double precision)`.as("count"))
      .where(owner)
      .where(sql<SqlBool>`r.holds_slot = 1`)
      .executeTakeFirstOrThrow();
    return row.count;
  }

  #now(): string {
    return timestampFromDate(this.#clock.now());
  }
}

/** Literals where an index has a condition: a parameter would not be known to meet it. */
function selectDueOf({ of, id, limit }: DueSource, rank: number, { before, after }: DueQuestion): RawBuilder<unknown> {
  const owner = of === "queue" ? sql`r.work_queue_id = ${id}` : sql`r.deployment_id = ${id}`;
  const notBefore = after === undefined ? sql`` : sql`and r.next_scheduled_start_time >= ${after}`;
  return sql`select * from (
    select r.id as due_id, r.next_scheduled_start_time as due_at, ${sql.lit(rank)} as rank from flow_runs r
    where ${owner} and r.state_type = 'SCHEDULED' and r.next_scheduled_start_time <= ${before} ${notBefore}
      and (r.deployment_id is null or r.deployment_id not in (select id from blocked)) and r.holds_slot = 0
    order by r.next_scheduled_start_time limit ${limit}) ${sql.raw(`source_${rank}`)}`;
}

/**
 * Deployments whose limit is full, found from the leases that are alive: they are few, whatever is deployed. SQLite takes
 * the tables of a `cross join` in the order they are written.
 */
export function selectBlockedDeployments(now: string, spentLimitIds: readonly string[]): RawBuilder<unknown> {
  const spent =
    spentLimitIds.length === 0
      ? sql``
      : sql`union all select d.id from deployments d where d.concurrency_limit_id in (${sql.join([...spentLimitIds])})`;
  return sql`select d.id from (
      select m.limit_id, sum(l.slots) as taken from concurrency_leases l
      join concurrency_lease_limits m on m.lease_id = l.id
      where l.expires_at > ${now} and (m.decays_at is null or m.decays_at > ${now})
      group by m.limit_id) held
    join concurrency_limits c on c.id = held.limit_id and c.active = 1 and held.taken >= c."limit"
    join deployments d on d.concurrency_limit_id = c.id
    union all
    select d.id from concurrency_limits c cross join deployments d
    where d.concurrency_limit_id = c.id and c."limit" = 0 and c.active = 1
    ${spent}`;
}
