import { type Kysely, sql } from "kysely";
import type { GlobalConcurrencyLimit } from "../prefect-api/deployments.ts";
import { timestampFromDate } from "../prefect-api/timestamp.ts";
import type { Clock } from "../shared/clock.ts";
import { fromBit, toBit } from "./columns.ts";
import type { Database } from "./database-types.ts";

export interface ConcurrencyLimit extends GlobalConcurrencyLimit {
  denied_slots: number;
  avg_slot_occupancy_seconds: number;
}

/** Counted no further: beyond 2^53 the count could not be read. */
const MAX_DENIED_SLOTS = 1e15;

type LimitChanges = Partial<
  Pick<
    ConcurrencyLimit,
    "active" | "name" | "limit" | "denied_slots" | "slot_decay_per_second" | "avg_slot_occupancy_seconds"
  > & { unleased_slots: number }
>;

/** Leased slots of a limit `c` at `now`, as SQL. Expired leases hold nothing. */
export function leasedSlots(now: string) {
  return sql<number>`(select coalesce(sum(l.slots), 0) from concurrency_lease_limits ll
    join concurrency_leases l on l.id = ll.lease_id where ll.limit_id = c.id and l.expires_at > ${now})`;
}

/** Limits and the leases that hold their slots. Slots are counted from live leases: nothing has to give them back. */
export class ConcurrencyLimitStore {
  readonly #db: Kysely<Database>;
  readonly #clock: Clock;

  constructor(db: Kysely<Database>, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
  }

  async find(id: string): Promise<ConcurrencyLimit | undefined> {
    const row = await this.#select().where("c.id", "=", id).executeTakeFirst();
    return row && limitFromRow(row);
  }

  async findByName(name: string): Promise<ConcurrencyLimit | undefined> {
    const row = await this.#select().where("c.name", "=", name).executeTakeFirst();
    return row && limitFromRow(row);
  }

  async listByNames(names: readonly string[]): Promise<ConcurrencyLimit[]> {
    const rows = await this.#select().where("c.name", "in", names).execute();
    return rows.map(limitFromRow);
  }

  async list(page: { limit: number; offset: number }): Promise<ConcurrencyLimit[]> {
    const rows = await this.#select().orderBy("c.name").limit(page.limit).offset(page.offset).execute();
    return rows.map(limitFromRow);
  }

  /** A taken name is a `unique` storage error. */
  async insert(limit: Omit<ConcurrencyLimit, "active_slots">): Promise<void> {
    await this.#db
      .insertInto("concurrency_limits")
      .values({ ...limit, active: toBit(limit.active), unleased_slots: 0 })
      .execute();
  }

  async update(id: string, changes: LimitChanges): Promise<void> {
    const { active, ...plain } = changes;
    await this.#db
      .updateTable("concurrency_limits")
      .set({
        updated: timestampFromDate(this.#clock.now()),
        ...plain,
        ...(active !== undefined && { active: toBit(active) }),
      })
      .where("id", "=", id)
      .execute();
  }

  async remove(id: string): Promise<void> {
    await this.#db.deleteFrom("concurrency_limits").where("id", "=", id).execute();
  }

  /** Adds to the slots that are held without a lease; never below zero. */
  async addUnleasedSlots(ids: readonly string[], slots: number): Promise<void> {
    await this.#db
      .updateTable("concurrency_limits")
      .set({
        unleased_slots: sql<number>`case when unleased_slots + ${slots} < 0 then 0 else unleased_slots + ${slots} end`,
      })
      .where("id", "in", ids)
      .execute();
  }

  async addDeniedSlots(ids: readonly string[], slots: number): Promise<void> {
    await this.#db
      .updateTable("concurrency_limits")
      .set({
        denied_slots: sql<number>`case when denied_slots > ${MAX_DENIED_SLOTS} then denied_slots else denied_slots + ${slots} end`,
      })
      .where("id", "in", ids)
      .execute();
  }

  #select() {
    const now = timestampFromDate(this.#clock.now());
    return this.#db.selectFrom("concurrency_limits as c").selectAll("c").select(leasedSlots(now).as("leased_slots"));
  }
}

type LimitRow = Database["concurrency_limits"] & { leased_slots: number };

export function limitFromRow(row: LimitRow): ConcurrencyLimit {
  return {
    id: row.id,
    created: row.created,
    updated: row.updated,
    active: fromBit(row.active),
    name: row.name,
    limit: row.limit,
    active_slots: row.unleased_slots + row.leased_slots,
    denied_slots: row.denied_slots,
    slot_decay_per_second: row.slot_decay_per_second,
    avg_slot_occupancy_seconds: row.avg_slot_occupancy_seconds,
  };
}
