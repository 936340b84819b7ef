import { type Kysely, sql } from "kysely";
import type { Database } from "./database-types.ts";

export interface Lease {
  id: string;
  created: string;
  expires_at: string;
  slots: number;
  holder_type: string | null;
  holder_id: string | null;
}

/** Slots are rows: a lease holds its slots of its limits until it is removed or expires. There is no counter to leak. */
export class LeaseStore {
  readonly #db: Kysely<Database>;

  constructor(db: Kysely<Database>) {
    this.#db = db;
  }

  async find(id: string): Promise<(Lease & { limit_ids: string[] }) | undefined> {
    const lease = await this.#db.selectFrom("concurrency_leases").selectAll().where("id", "=", id).executeTakeFirst();
    if (lease === undefined) {
      return undefined;
    }
    const limits = await this.#db
      .selectFrom("concurrency_lease_limits")
      .select("limit_id")
      .where("lease_id", "=", id)
      .execute();
    return { ...lease, limit_ids: limits.map(({ limit_id }) => limit_id) };
  }

  /** Takes slots for a lease, or renews it when it is there. */
  async put(lease: Lease, limitIds: readonly string[]): Promise<void> {
    await this.#db
      .insertInto("concurrency_leases")
      .values(lease)
      .onConflict((conflict) => conflict.column("id").doUpdateSet({ expires_at: lease.expires_at }))
      .execute();
    for (const limitId of limitIds) {
      await this.#db
        .insertInto("concurrency_lease_limits")
        .values({ lease_id: lease.id, limit_id: limitId })
        .onConflict((conflict) => conflict.doNothing())
        .execute();
    }
  }

  /** Answers whether there was such a lease. */
  async remove(id: string): Promise<boolean> {
    const result = await this.#db.deleteFrom("concurrency_leases").where("id", "=", id).executeTakeFirst();
    return result.numDeletedRows > 0n;
  }

  /** Forgets leases that ended before `before`; they have held nothing since then. */
  async removeExpired(before: string): Promise<void> {
    await this.#db.deleteFrom("concurrency_leases").where("expires_at", "<", before).execute();
  }

  /** The limit, and the slots of it that others than `leaseId` hold at `now`. */
  async findUsage(
    limitId: string,
    leaseId: string | null,
    now: string,
  ): Promise<{ active: boolean; limit: number; takenByOthers: number } | undefined> {
    const row = await this.#db
      .selectFrom("concurrency_limits as c")
      .select([
        "c.active",
        "c.limit",
        "c.unleased_slots",
        (expression) =>
          expression
            .selectFrom("concurrency_lease_limits as m")
            .innerJoin("concurrency_leases as l", "l.id", "m.lease_id")
            .select(sql<number>`coalesce(sum(l.slots), 0)`.as("slots"))
            .whereRef("m.limit_id", "=", "c.id")
            .where("l.expires_at", ">", now)
            .where("l.id", "!=", leaseId ?? "")
            .as("leased_slots"),
      ])
      .where("c.id", "=", limitId)
      .executeTakeFirst();
    return (
      row && {
        active: row.active !== 0,
        limit: row.limit,
        takenByOthers: row.unleased_slots + (row.leased_slots ?? 0),
      }
    );
  }
}
