import type { Kysely } from "kysely";
import type { GlobalConcurrencyLimit } from "../prefect-api/deployments.ts";
import { timestampFromDate } from "../prefect-api/timestamp.ts";
import type { Clock } from "../shared/clock.ts";
import { fromBit, toBit } from "./columns.ts";
import type { Database } from "./database-types.ts";
import { countTaken, selectLimits } from "./slot-usage.ts";

export interface ConcurrencyLimit extends GlobalConcurrencyLimit {
  avg_slot_occupancy_seconds: number;
  /** Until when slots that were taken decay; new ones begin to decay then. Null: none does. */
  decayed_at: string | null;
}

type LimitChanges = Partial<
  Pick<
    ConcurrencyLimit,
    "updated" | "active" | "name" | "limit" | "slot_decay_per_second" | "avg_slot_occupancy_seconds"
  >
>;

/** Limits. Their slots are counted from live leases: nothing has to give them back. */
export class ConcurrencyLimitStore {
  readonly #db: Kysely<Database>;
  readonly #clock: Clock;

  constructor(db: Kysely<Database>, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
  }

  async find(id: string): Promise<ConcurrencyLimit | undefined> {
    const now = this.#now();
    const row = await selectLimits(this.#db, now).where("c.id", "=", id).executeTakeFirst();
    return row && limitFromRow(row, now);
  }

  async findByName(name: string): Promise<ConcurrencyLimit | undefined> {
    const [limit] = await this.listByNames([name]);
    return limit;
  }

  async listByNames(names: readonly string[]): Promise<ConcurrencyLimit[]> {
    if (names.length === 0) {
      return [];
    }
    const now = this.#now();
    const rows = await selectLimits(this.#db, now).where("c.name", "in", names).orderBy("c.name").execute();
    return rows.map((row) => limitFromRow(row, now));
  }

  async listByIds(ids: readonly string[]): Promise<ConcurrencyLimit[]> {
    if (ids.length === 0) {
      return [];
    }
    const now = this.#now();
    const rows = await selectLimits(this.#db, now).where("c.id", "in", ids).execute();
    return rows.map((row) => limitFromRow(row, now));
  }

  /** By name; only those whose names begin with `prefix`. */
  async list(page: { limit: number; offset: number; prefix?: string }): Promise<ConcurrencyLimit[]> {
    const now = this.#now();
    const { limit, offset, prefix } = page;
    const names = this.#db
      .selectFrom("concurrency_limits")
      .select("id")
      .$if(prefix !== undefined, (query) =>
        query.where("name", ">=", prefix ?? "").where("name", "<", endOfPrefix(prefix ?? "")),
      )
      .orderBy("name")
      .limit(limit)
      .offset(offset);
    const rows = await selectLimits(this.#db, now).where("c.id", "in", names).orderBy("c.name").execute();
    return rows.map((row) => limitFromRow(row, now));
  }

  /** A taken name is a `unique` storage error. */
  async insert(limit: Omit<ConcurrencyLimit, "active_slots" | "decayed_at">): Promise<void> {
    await this.#db
      .insertInto("concurrency_limits")
      .values({ ...limit, active: toBit(limit.active) })
      .execute();
  }

  async update(id: string, changes: LimitChanges): Promise<void> {
    const { active, ...plain } = changes;
    await this.#db
      .updateTable("concurrency_limits")
      .set({ updated: this.#now(), ...plain, ...(active !== undefined && { active: toBit(active) }) })
      .where("id", "=", id)
      .execute();
  }

  async remove(id: string): Promise<void> {
    await this.#db.deleteFrom("concurrency_limits").where("id", "=", id).execute();
  }

  #now(): string {
    return timestampFromDate(this.#clock.now());
  }
}

/** The first text that comes after every one with this prefix, whose last character is ASCII. */
function endOfPrefix(prefix: string): string {
  return prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1);
}

type LimitRow = Awaited<ReturnType<ReturnType<typeof selectLimits>["executeTakeFirstOrThrow"]>>;

function limitFromRow(row: LimitRow, now: string): ConcurrencyLimit {
  return {
    id: row.id,
    created: row.created,
    updated: row.updated,
    active: fromBit(row.active),
    name: row.name,
    limit: row.limit,
    active_slots: countTaken(row, now),
    slot_decay_per_second: row.slot_decay_per_second,
    avg_slot_occupancy_seconds: row.avg_slot_occupancy_seconds,
    decayed_at: row.decayed_at,
  };
}
