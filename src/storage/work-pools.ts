import { type Kysely, type SqlBool, sql } from "kysely";
import type { WorkPoolFilter } from "../prefect-api/filters.ts";
import { timestampFromDate } from "../prefect-api/timestamp.ts";
import type { WorkPool } from "../prefect-api/work-pools.ts";
import type { Clock } from "../shared/clock.ts";
import { fromBit, fromJson, toBit, toJson } from "./columns.ts";
import { combine } from "./conditions.ts";
import type { Database } from "./database-types.ts";
import { matchWorkPool } from "./filters.ts";

/** Pools of this type are polled without workers, so they have no status. */
export const AGENT_POOL_TYPE = "prefect-agent";

type PoolChanges = Pick<WorkPool, "updated"> &
  Partial<
    Pick<WorkPool, "description" | "is_paused" | "base_job_template" | "concurrency_limit" | "storage_configuration">
  >;

export class WorkPoolStore {
  readonly #db: Kysely<Database>;
  readonly #clock: Clock;

  constructor(db: Kysely<Database>, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
  }

  async find(id: string): Promise<WorkPool | undefined> {
    const row = await this.#select().where("p.id", "=", id).executeTakeFirst();
    return row && poolFromRow(row);
  }

  async findByName(name: string): Promise<WorkPool | undefined> {
    const row = await this.#select().where("p.name", "=", name).executeTakeFirst();
    return row && poolFromRow(row);
  }

  /** By name. */
  async list(filter: WorkPoolFilter, page: { limit: number; offset: number }): Promise<WorkPool[]> {
    const rows = await this.#select()
      .where(combine("and_", [matchWorkPool(filter)]))
      .orderBy("p.name")
      .limit(page.limit)
      .offset(page.offset)
      .execute();
    return rows.map(poolFromRow);
  }

  async count(filter: WorkPoolFilter): Promise<number> {
    const row = await this.#db
      .selectFrom("work_pools as p")
      .select(sql<number>`count(*)`.as("count"))
      .where(combine("and_", [matchWorkPool(filter)]))
      .executeTakeFirstOrThrow();
    return row.count;
  }

  /** A taken name is a `unique` storage error. */
  async insert(pool: Omit<WorkPool, "status" | "active_slots">): Promise<void> {
    await this.#db
      .insertInto("work_pools")
      .values({
        id: pool.id,
        created: pool.created,
        updated: pool.updated,
        name: pool.name,
        description: pool.description,
        type: pool.type,
        base_job_template: toJson(pool.base_job_template),
        is_paused: toBit(pool.is_paused),
        concurrency_limit: pool.concurrency_limit,
        default_queue_id: pool.default_queue_id,
        storage_configuration: toJson(pool.storage_configuration),
      })
      .execute();
  }

  async update(id: string, changes: PoolChanges): Promise<void> {
    const { base_job_template, storage_configuration, is_paused, ...plain } = changes;
    await this.#db
      .updateTable("work_pools")
      .set({
        ...plain,
        ...(is_paused !== undefined && { is_paused: toBit(is_paused) }),
        ...(base_job_template !== undefined && { base_job_template: toJson(base_job_template) }),
        ...(storage_configuration !== undefined && { storage_configuration: toJson(storage_configuration) }),
      })
      .where("id", "=", id)
      .execute();
  }

  /** Removes the pool with its queues and workers; deployments and runs stay, without a queue. */
  async remove(id: string): Promise<void> {
    await this.#db.deleteFrom("work_pools").where("id", "=", id).execute();
  }

  #select() {
    const now = timestampFromDate(this.#clock.now());
    return this.#db
      .selectFrom("work_pools as p")
      .selectAll("p")
      .select([
        sql<SqlBool>`exists (select 1 from workers w where w.work_pool_id = p.id and w.online_until >= ${now})`.as(
          "has_online_worker",
        ),
        sql<number | null>`case when p.concurrency_limit is null then null else (select count(*) from flow_runs r
          join work_queues q on q.id = r.work_queue_id
          where q.work_pool_id = p.id and r.holds_slot = 1) end`.as("active_slots"),
      ]);
  }
}

type PoolRow = Database["work_pools"] & { has_online_worker: SqlBool; active_slots: number | null };

function poolFromRow(row: PoolRow): WorkPool {
  return {
    id: row.id,
    created: row.created,
    updated: row.updated,
    name: row.name,
    description: row.description,
    type: row.type,
    base_job_template: fromJson(row.base_job_template),
    is_paused: fromBit(row.is_paused),
    concurrency_limit: row.concurrency_limit,
    status: poolStatus(row),
    default_queue_id: row.default_queue_id,
    storage_configuration: fromJson(row.storage_configuration),
    active_slots: row.active_slots,
  };
}

function poolStatus(row: PoolRow): WorkPool["status"] {
  if (row.type === AGENT_POOL_TYPE) {
    return null;
  }
  if (fromBit(row.is_paused)) {
    return "PAUSED";
  }
  return row.has_online_worker ? "READY" : "NOT_READY";
}
