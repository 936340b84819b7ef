import { type Kysely, type Selectable, type SqlBool, sql } from "kysely";
import type { PoolWorker, RunInHand } from "../flowyard-api/workers.ts";
import type { WorkerFilter } from "../prefect-api/filters.ts";
import { addSeconds, timestampFromDate } from "../prefect-api/timestamp.ts";
import type { Worker } from "../prefect-api/workers.ts";
import type { Clock } from "../shared/clock.ts";
import { fromBit, toBit } from "./columns.ts";
import { type Condition, combine, matchTime } from "./conditions.ts";
import type { Database } from "./database-types.ts";

/** Assumed for a worker that does not say how often it reports. */
const DEFAULT_HEARTBEAT_SECONDS = 30;
/** A worker is OFFLINE when it has missed this many heartbeats in a row. */
const MISSED_HEARTBEATS = 3;

export class WorkerStore {
  readonly #db: Kysely<Database>;
  readonly #clock: Clock;

  constructor(db: Kysely<Database>, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
  }

  /** Of one pool, the most recently heard of first. */
  async list(poolId: string, filter: WorkerFilter, page: { limit: number; offset: number }): Promise<Worker[]> {
    const now = timestampFromDate(this.#clock.now());
    const rows = await this.#db
      .selectFrom("workers as w")
      .selectAll()
      .where("w.work_pool_id", "=", poolId)
      .where(matchWorker(filter, now))
      .orderBy("w.last_heartbeat_time", "desc")
      .limit(page.limit)
      .offset(page.offset)
      .execute();
    return rows.map((row) => workerFromRow(row, now));
  }

  /** Records that the worker is alive, and makes it known when it is new. */
  async heartbeat(heartbeat: {
    id: string;
    name: string;
    poolId: string;
    intervalSeconds: number | null;
  }): Promise<void> {
    const now = timestampFromDate(this.#clock.now());
    const interval = heartbeat.intervalSeconds ?? DEFAULT_HEARTBEAT_SECONDS;
    const beat = {
      updated: now,
      last_heartbeat_time: now,
      online_until: addSeconds(now, MISSED_HEARTBEATS * interval),
      // A worker that does not say it again still keeps to what it said.
      ...(heartbeat.intervalSeconds !== null && { heartbeat_interval_seconds: heartbeat.intervalSeconds }),
    };
    await this.#db
      .insertInto("workers")
      .values({
        id: heartbeat.id,
        created: now,
        name: heartbeat.name,
        work_pool_id: heartbeat.poolId,
        heartbeat_interval_seconds: null,
        ...beat,
      })
      .onConflict((conflict) => conflict.columns(["work_pool_id", "name"]).doUpdateSet(beat))
      .execute();
  }

  /** As operators see them, the most recently heard of first; `name` asks for one. */
  async listServing(poolId: string, limit: number, name?: string): Promise<PoolWorker[]> {
    const now = timestampFromDate(this.#clock.now());
    const rows = await this.#db
      .selectFrom("workers as w")
      .selectAll("w")
      .select((row) =>
        row
          .selectFrom("flow_run_claims as c")
          .whereRef("c.work_pool_id", "=", "w.work_pool_id")
          .whereRef("c.worker_name", "=", "w.name")
          .where(sql<SqlBool>`c.ended = 0`) // a literal: the index has it as its condition
          .select(sql<number>`count(*)`.as("count"))
          .as("runs_in_hand"),
      )
      .where("w.work_pool_id", "=", poolId)
      .$if(name !== undefined, (query) => query.where("w.name", "=", name ?? ""))
      .orderBy("w.last_heartbeat_time", "desc")
      .orderBy("w.name")
      .limit(limit)
      .execute();
    return rows.map((row) => ({
      name: row.name,
      status: decideServingStatus(row, now),
      last_heartbeat_time: row.last_heartbeat_time,
      heartbeat_interval_seconds: row.heartbeat_interval_seconds,
      draining_since: row.draining_since,
      stopping_since: row.stopping_since,
      takes_claims: fromBit(row.takes_claims),
      runs_in_hand: Number(row.runs_in_hand ?? 0),
    }));
  }

  /** What a worker has in hand, the longest held first. */
  async listRunsInHand(poolId: string, name: string, limit: number): Promise<RunInHand[]> {
    const rows = await this.#db
      .selectFrom("flow_run_claims as c")
      .innerJoin("flow_runs as r", "r.id", "c.flow_run_id")
      .select(["r.id", "r.name", "r.state_type", "r.state_name", "c.claimed_at", "c.started", "c.expires_at"])
      .where("c.work_pool_id", "=", poolId)
      .where("c.worker_name", "=", name)
      .where(sql<SqlBool>`c.ended = 0`)
      .orderBy("c.claimed_at")
      .orderBy("r.id")
      .limit(limit)
      .execute();
    return rows.map((row) => ({
      flow_run_id: row.id,
      flow_run_name: row.name,
      state_type: row.state_type,
      state_name: row.state_name,
      claimed_at: row.claimed_at,
      started: fromBit(row.started),
      expires_at: row.expires_at,
    }));
  }

  /** How a worker that asks for runs stands; undefined for one that never gave a sign of life. */
  async findTaker(poolId: string, name: string): Promise<{ draining: boolean; takesClaims: boolean } | undefined> {
    const row = await this.#db
      .selectFrom("workers")
      .select(["draining_since", "takes_claims"])
      .where("work_pool_id", "=", poolId)
      .where("name", "=", name)
      .executeTakeFirst();
    return row && { draining: row.draining_since !== null, takesClaims: fromBit(row.takes_claims) };
  }

  /** What is so already keeps its time. */
  async setDraining(poolId: string, name: string, draining: boolean): Promise<void> {
    await this.#db
      .updateTable("workers")
      .set({ draining_since: draining ? timestampFromDate(this.#clock.now()) : null })
      .where("work_pool_id", "=", poolId)
      .where("name", "=", name)
      .where("draining_since", draining ? "is" : "is not", null)
      .execute();
  }

  /** By its asking for claims, or renewing them, a worker is known to take them. Writes only what is new. */
  async noteRenewal(poolId: string, name: string, stopping: boolean): Promise<void> {
    const stopping_since = stopping ? timestampFromDate(this.#clock.now()) : null;
    await this.#db
      .updateTable("workers")
      .set({ takes_claims: toBit(true), stopping_since })
      .where("work_pool_id", "=", poolId)
      .where("name", "=", name)
      .where((where) =>
        where.or([where("takes_claims", "=", toBit(false)), where("stopping_since", stopping ? "is" : "is not", null)]),
      )
      .execute();
  }

  /** Answers whether there was such a worker. */
  async remove(poolId: string, name: string): Promise<boolean> {
    const result = await this.#db
      .deleteFrom("workers")
      .where("work_pool_id", "=", poolId)
      .where("name", "=", name)
      .executeTakeFirst();
    return result.numDeletedRows > 0n;
  }
}

function matchWorker(filter: WorkerFilter, now: string): Condition {
  if (!filter) {
    return combine("and_", []);
  }
  const { any_: wanted, not_any_: unwanted } = filter.status ?? {};
  return combine(filter.operator, [
    ...matchTime("w.last_heartbeat_time", filter.last_heartbeat_time),
    wanted
      ? combine(
          "or_",
          wanted.map((status) => hasStatus(status, now)),
        )
      : undefined,
    ...(unwanted ?? []).map((status) => sql<SqlBool>`not (${hasStatus(status, now)})`),
  ]);
}

function hasStatus(status: Worker["status"], now: string): Condition {
  return status === "ONLINE" ? sql<SqlBool>`w.online_until >= ${now}` : sql<SqlBool>`w.online_until < ${now}`;
}

function decideServingStatus(row: Selectable<Database["workers"]>, now: string): PoolWorker["status"] {
  if (row.online_until < now) {
    return "OFFLINE";
  }
  return row.draining_since !== null || row.stopping_since !== null ? "DRAINING" : "ONLINE";
}

function workerFromRow(row: Selectable<Database["workers"]>, now: string): Worker {
  return {
    id: row.id,
    created: row.created,
    updated: row.updated,
    name: row.name,
    work_pool_id: row.work_pool_id,
    last_heartbeat_time: row.last_heartbeat_time,
    heartbeat_interval_seconds: row.heartbeat_interval_seconds,
    status: row.online_until >= now ? "ONLINE" : "OFFLINE",
  };
}
