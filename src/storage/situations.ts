import { type Kysely, type SqlBool, sql } from "kysely";
import type { State, StateType } from "../prefect-api/states.ts";
import { timestampFromDate } from "../prefect-api/timestamp.ts";
import type { Clock } from "../shared/clock.ts";
import { fromJson } from "./columns.ts";
import type { Database } from "./database-types.ts";
import { stateFromRow } from "./flow-run-rows.ts";
import { type RunSubject, selectSubjects, subjectFromRow } from "./run-subject.ts";
import { selectBlockedDeployments } from "./waiting-runs.ts";

export interface KnownWorker {
  name: string;
  last_heartbeat_time: string;
  is_online: boolean;
}

export interface PoolWorkers {
  total: number;
  online: number;
  /** Of those that are online: take no more runs. */
  draining: number;
  /** A few: the one asked for first, then the most recently heard of. */
  workers: KnownWorker[];
}

/** A run that holds something that another one waits for. */
export interface Holder {
  id: string;
  name: string;
  state_type: StateType | null;
  since: string | null;
  /** Null: it holds the slot for as long as it runs. */
  lease_until: string | null;
}

export interface Holders {
  taken: number;
  /** The ones that have held longest. */
  holders: Holder[];
}

/** Beyond this, answers say "at least". */
const MAX_COUNTED = 1000;
const MAX_MESSAGE_CHARACTERS = 2000;

/** Read-only questions about one flow run, each bounded: what `orchestration/explain/explain-flow-run.ts` asks. */
export class SituationStore {
  readonly #db: Kysely<Database>;
  readonly #clock: Clock;

  constructor(db: Kysely<Database>, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
  }

  async findSubject(flowRunId: string): Promise<RunSubject | undefined> {
    const row = await selectSubjects(this.#db).where("r.id", "=", flowRunId).executeTakeFirst();
    return row && subjectFromRow(row, this.#clock.now());
  }

  async findWorkers(poolId: string, name: string | null, limit: number): Promise<PoolWorkers> {
    const now = timestampFromDate(this.#clock.now());
    const rows = await this.#db
      .selectFrom("workers as w")
      .select(["w.name", "w.last_heartbeat_time", "w.online_until"])
      .select([
        sql<number>`count(*) over ()`.as("total"),
        sql<number>`sum(case when w.online_until >= ${now} then 1 else 0 end) over ()`.as("online"),
        sql<number>`sum(case when w.online_until >= ${now}
          and (w.draining_since is not null or w.stopping_since is not null) then 1 else 0 end) over ()`.as("draining"),
      ])
      .where("w.work_pool_id", "=", poolId)
      .orderBy(sql`case when w.name = ${name ?? ""} then 0 else 1 end`)
      .orderBy("w.last_heartbeat_time", "desc")
      .orderBy("w.name")
      .limit(limit)
      .execute();
    return {
      total: Number(rows[0]?.total ?? 0),
      online: Number(rows[0]?.online ?? 0),
      draining: Number(rows[0]?.draining ?? 0),
      workers: rows.map((row) => ({
        name: row.name,
        last_heartbeat_time: row.last_heartbeat_time,
        is_online: row.online_until >= now,
      })),
    };
  }

  /** Other pools that workers are online for: where a worker that was meant for this one may have gone. */
  async listServedPools(exceptId: string, limit: number): Promise<{ name: string; type: string; workers: number }[]> {
    const rows = await this.#db
      .selectFrom("workers as w")
      .innerJoin("work_pools as p", "p.id", "w.work_pool_id")
      .select(["p.name", "p.type"])
      .select(sql<number>`count(*)`.as("workers"))
      .where("w.online_until", ">=", timestampFromDate(this.#clock.now()))
      .where("p.id", "!=", exceptId)
      .groupBy(["p.id", "p.name", "p.type"])
      .orderBy("p.name")
      .limit(limit)
      .execute();
    return rows.map((row) => ({ ...row, workers: Number(row.workers) }));
  }

  /** Runs that hold a slot of the pool, or of the queue. */
  async findHolders(of: { poolId: string } | { queueId: string }, limit: number): Promise<Holders> {
    const owner =
      "poolId" in of
        ? sql<SqlBool>`r.work_queue_id in (select q.id from work_queues q where q.work_pool_id = ${of.poolId})`
        : sql<SqlBool>`r.work_queue_id = ${of.queueId}`;
    const rows = await this.#db
      .selectFrom("flow_runs as r")
      .select(["r.id", "r.name", "r.state_type", "r.state_timestamp"])
      .select(sql<number>`count(*) over ()`.as("taken"))
      .where(owner)
      .where(sql<SqlBool>`r.holds_slot = 1`) // a literal: the index has it as its condition
      .orderBy("r.state_timestamp")
      .orderBy("r.id")
      .limit(limit)
      .execute();
    return {
      taken: Number(rows[0]?.taken ?? 0),
      holders: rows.map(({ state_timestamp, taken: _taken, ...run }) => ({
        ...run,
        since: state_timestamp,
        lease_until: null,
      })),
    };
  }

  /** Flow runs whose leases hold slots of the limit now. */
  async listLeaseHolders(limitId: string, limit: number): Promise<Holder[]> {
    return await this.#db
      .selectFrom("concurrency_lease_limits as m")
      .innerJoin("concurrency_leases as l", "l.id", "m.lease_id")
      .innerJoin("flow_runs as r", "r.id", "l.holder_id")
      .select(["r.id", "r.name", "r.state_type", "l.created as since", "l.expires_at as lease_until"])
      .where("m.limit_id", "=", limitId)
      .where("l.expires_at", ">", timestampFromDate(this.#clock.now()))
      .orderBy("l.created")
      .orderBy("r.id")
      .limit(limit)
      .execute();
  }

  /** Due runs that a worker of the pool is given before this one, the first of them by name. */
  async findAhead(
    place: { poolId: string; queueId: string; priority: number; due: string },
    limit: number,
  ): Promise<{ count: number; isAtLeast: boolean; urgent: number; first: { id: string; name: string }[] }> {
    const now = timestampFromDate(this.#clock.now());
    const urgent = this.#selectWaiting(place.poolId)
      .where("q.priority", "<", place.priority)
      .where("r.next_scheduled_start_time", "<=", now);
    const earlier = this.#selectWaiting(place.poolId)
      .where("r.work_queue_id", "=", place.queueId)
      .where("r.next_scheduled_start_time", "<", place.due)
      .orderBy("r.next_scheduled_start_time");
    // Two questions, each within its stretch of the index: with "or" all due runs of the pool would be read.
    const due = this.#db
      .selectFrom(urgent.limit(MAX_COUNTED).as("urgent"))
      .selectAll()
      .unionAll(this.#db.selectFrom(earlier.limit(MAX_COUNTED).as("earlier")).selectAll())
      .as("ahead");
    const rows = await this.#db
      .selectFrom(due)
      .select(["id", "name"])
      .select([
        sql<number>`count(*) over ()`.as("total"),
        sql<number>`sum(case when priority < ${place.priority} then 1 else 0 end) over ()`.as("urgent"),
      ])
      .orderBy("priority")
      .orderBy("due")
      .orderBy("id")
      .limit(limit)
      .execute();
    const count = Number(rows[0]?.total ?? 0);
    return {
      count,
      isAtLeast: count >= MAX_COUNTED,
      urgent: Number(rows[0]?.urgent ?? 0),
      first: rows.map(({ id, name }) => ({ id, name })),
    };
  }

  /** Runs of a pool that a worker may be given when they are due. The bound on their time is one: an index takes one. */
  #selectWaiting(poolId: string) {
    const now = timestampFromDate(this.#clock.now());
    return (
      this.#db
        .selectFrom("work_queues as q")
        // SQLite takes a cross join in the order as written: queues first, then their stretches of the index.
        .crossJoin("flow_runs as r")
        .whereRef("r.work_queue_id", "=", "q.id")
        .select(["r.id", "r.name", "q.priority", "r.next_scheduled_start_time as due"])
        .where("q.work_pool_id", "=", poolId)
        .where("q.is_paused", "=", 0)
        .where("r.state_type", "=", "SCHEDULED")
        .where("r.holds_slot", "=", 0)
        .where((where) =>
          where.or([
            where("r.deployment_id", "is", null),
            sql<SqlBool>`r.deployment_id not in (${selectBlockedDeployments(now, [])})`,
          ]),
        )
    );
  }

  /** How many runs are in states of a type, counted up to `most`. */
  async countRuns(stateType: StateType, most: number): Promise<number> {
    const counted = this.#db.selectFrom("flow_runs").select("id").where("state_type", "=", stateType).limit(most);
    const row = await this.#db
      .selectFrom(counted.as("counted"))
      .select(sql<number>`count(*)`.as("count"))
      .executeTakeFirstOrThrow();
    return Number(row.count);
  }

  /** Task runs of a flow run that have not begun, with their tags. */
  async listPendingTasks(flowRunId: string, limit: number): Promise<{ id: string; name: string; tags: string[] }[]> {
    const rows = await this.#db
      .selectFrom("task_runs")
      .select(["id", "name", "tags"])
      .where("flow_run_id", "=", flowRunId)
      .where("state_type", "=", "PENDING")
      .where("tags", "!=", "[]")
      .limit(limit)
      .execute();
    return rows.map((row) => ({ ...row, tags: fromJson<string[]>(row.tags) }));
  }

  /** The latest states, the last one first. */
  async listLatestStates(flowRunId: string, limit: number): Promise<State[]> {
    const rows = await this.#db
      .selectFrom("flow_run_states")
      .selectAll()
      .where("flow_run_id", "=", flowRunId)
      .orderBy("timestamp", "desc")
      .limit(limit)
      .execute();
    return rows.map(stateFromRow);
  }

  /** The last lines of a run's log, oldest first; the beginning of each. */
  async listLastLines(
    flowRunId: string,
    limit: number,
  ): Promise<{ timestamp: string; level: number; message: string }[]> {
    const rows = await this.#db
      .selectFrom("logs")
      .select(["timestamp", "level"])
      .select(sql<string>`substr(message, 1, ${sql.lit(MAX_MESSAGE_CHARACTERS)})`.as("message"))
      .where("flow_run_id", "=", flowRunId)
      .orderBy("timestamp", "desc")
      .orderBy("id", "desc")
      .limit(limit)
      .execute();
    return rows.reverse();
  }
}
