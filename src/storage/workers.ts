import { type Kysely, type SqlBool, sql } from "kysely";
import type { WorkerFilter } from "../prefect-api/filters.ts";
import { addSeconds, timestampFromDate } from "../prefect-api/timestamp.ts";
import type { Worker } from "../prefect-api/workers.ts";
import type { Clock } from "../shared/clock.ts";
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

function workerFromRow(row: Database["workers"], now: string): Worker {
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
