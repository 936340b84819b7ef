import type { Kysely } from "kysely";
import type { Database } from "./database-types.ts";
import { countTaken, selectLimits } from "./slot-usage.ts";

export interface Lease {
  id: string;
  created: string;
  expires_at: string;
  slots: number;
  /** Taken without a lease: nobody knows the id, and what is given back is a number of slots. */
  is_plain: boolean;
  holder_type: string | null;
  holder_id: string | null;
}

export interface HeldLimit {
  id: string;
  /** When the slots have decayed by themselves; null: with the lease. */
  decays_at: string | null;
}

/** Slots are rows: a lease holds its slots of its limits until it is removed or expires. There is no counter to leak. */
export class LeaseStore {
  readonly #db: Kysely<Database>;

  constructor(db: Kysely<Database>) {
    this.#db = db;
  }

  async find(id: string): Promise<(Lease & { limits: HeldLimit[] }) | undefined> {
    const [lease, limits] = await Promise.all([
      this.#db.selectFrom("concurrency_leases").selectAll().where("id", "=", id).executeTakeFirst(),
      this.#limitsOf(id),
    ]);
    return lease && { ...leaseFromRow(lease), limits };
  }

  async #limitsOf(leaseId: string): Promise<HeldLimit[]> {
    return await this.#db
      .selectFrom("concurrency_lease_limits")
      .select(["limit_id as id", "decays_at"])
      .where("lease_id", "=", leaseId)
      .execute();
  }

  async insert(lease: Lease, limits: readonly HeldLimit[]): Promise<void> {
    const inserted = this.#db
      .insertInto("concurrency_leases")
      .values({ ...lease, is_plain: lease.is_plain ? 1 : 0 })
      .execute();
    const held = limits.map((limit) =>
      this.#db
        .insertInto("concurrency_lease_limits")
        .values({ lease_id: lease.id, limit_id: limit.id, decays_at: limit.decays_at })
        .execute(),
    );
    // Statements reach the database in the order of their start: waiting once saves ways to PostgreSQL and back.
    await Promise.all([inserted, ...held]);
  }

  async update(id: string, changes: { expires_at: string } | { slots: number }): Promise<void> {
    await this.#db.updateTable("concurrency_leases").set(changes).where("id", "=", id).execute();
  }

  /** Answers whether there was such a lease. */
  async remove(id: string): Promise<boolean> {
    const result = await this.#db.deleteFrom("concurrency_leases").where("id", "=", id).executeTakeFirst();
    return result.numDeletedRows > 0n;
  }

  /** Forgets leases that ended before `before`; they have held nothing since then. Answers how many. */
  async removeExpired(before: string, most: number): Promise<number> {
    const ended = this.#db
      .selectFrom("concurrency_leases")
      .select("id")
      .where("expires_at", "<", before)
      .orderBy("expires_at")
      .limit(most);
    const result = await this.#db.deleteFrom("concurrency_leases").where("id", "in", ended).executeTakeFirst();
    return Number(result.numDeletedRows);
  }

  /** Forgets slots that have decayed: nobody can ask for them again. */
  async removeDecayed(limitId: string, now: string): Promise<void> {
    await this.#db
      .deleteFrom("concurrency_leases")
      .where("is_plain", "=", 1)
      .where("expires_at", "<=", now)
      .where("id", "in", (query) =>
        query.selectFrom("concurrency_lease_limits").select("lease_id").where("limit_id", "=", limitId),
      )
      .execute();
  }

  /** All leases that hold slots of the limit, also of those that have ended. */
  async removeOfLimit(limitId: string, which: "all" | "plain"): Promise<void> {
    await this.#db
      .deleteFrom("concurrency_leases")
      .where("id", "in", (query) =>
        query.selectFrom("concurrency_lease_limits").select("lease_id").where("limit_id", "=", limitId),
      )
      .$if(which === "plain", (query) => query.where("is_plain", "=", 1))
      .execute();
  }

  /** What the holder has of any of the limits. */
  async removeOfHolder(limitIds: readonly string[], holderId: string): Promise<void> {
    await this.#db
      .deleteFrom("concurrency_leases")
      .where("holder_id", "=", holderId)
      .where("id", "in", (query) =>
        query.selectFrom("concurrency_lease_limits").select("lease_id").where("limit_id", "in", limitIds),
      )
      .execute();
  }

  /** What a flow run and its task runs hold, of whatever limit. Answers the limits that have free slots by it. */
  async removeOfFlowRun(flowRunId: string): Promise<string[]> {
    const leases = this.#db
      .selectFrom("concurrency_leases")
      .select("id")
      .where((where) =>
        where.or([
          where("holder_id", "=", flowRunId),
          where("holder_id", "in", (query) =>
            query.selectFrom("task_runs").select("id").where("flow_run_id", "=", flowRunId),
          ),
        ]),
      );
    const held = await this.#db
      .selectFrom("concurrency_lease_limits")
      .select(["lease_id", "limit_id"])
      .where("lease_id", "in", leases)
      .execute();
    if (held.length === 0) {
      return [];
    }
    await this.#db
      .deleteFrom("concurrency_leases")
      .where("id", "in", [...new Set(held.map(({ lease_id }) => lease_id))])
      .execute();
    return [...new Set(held.map(({ limit_id }) => limit_id))];
  }

  /** Slots of the limit that were taken without a lease, the oldest first. */
  async listPlain(limitId: string, now: string, limit: number): Promise<Pick<Lease, "id" | "slots">[]> {
    return await this.#db
      .selectFrom("concurrency_lease_limits as m")
      .innerJoin("concurrency_leases as l", "l.id", "m.lease_id")
      .select(["l.id", "l.slots"])
      .where("m.limit_id", "=", limitId)
      .where("l.is_plain", "=", 1)
      .where("l.expires_at", ">", now)
      .orderBy("l.created")
      .orderBy("l.id")
      .limit(limit)
      .execute();
  }

  /** Limits of leases that ended by themselves in this time. */
  async listLimitsOfEnded(time: { after: string; until: string }, limit: number): Promise<string[]> {
    const rows = await this.#db
      .selectFrom("concurrency_leases as l")
      .innerJoin("concurrency_lease_limits as m", "m.lease_id", "l.id")
      .select("m.limit_id")
      .distinct()
      .where("l.expires_at", ">", time.after)
      .where("l.expires_at", "<=", time.until)
      .limit(limit)
      .execute();
    return rows.map(({ limit_id }) => limit_id);
  }

  /** Who holds slots of these limits now, the longest first. */
  async listHolders(
    limitIds: readonly string[],
    now: string,
    limit: number,
  ): Promise<(Omit<Lease, "is_plain"> & { limit_id: string })[]> {
    if (limitIds.length === 0) {
      return [];
    }
    return await this.#db
      .selectFrom("concurrency_lease_limits as m")
      .innerJoin("concurrency_leases as l", "l.id", "m.lease_id")
      .select(["m.limit_id", "l.id", "l.created", "l.expires_at", "l.slots", "l.holder_type", "l.holder_id"])
      .where("m.limit_id", "in", limitIds)
      .where("l.expires_at", ">", now)
      .where((where) => where.or([where("m.decays_at", "is", null), where("m.decays_at", ">", now)]))
      .orderBy("l.created")
      .orderBy("l.id")
      .limit(limit)
      .execute();
  }

  /** The limit, and the slots of it that others than `leaseId` hold at `now`. */
  async findUsage(
    limitId: string,
    leaseId: string | null,
    now: string,
  ): Promise<{ active: boolean; limit: number; takenByOthers: number } | undefined> {
    const row = await selectLimits(this.#db, now, leaseId).where("c.id", "=", limitId).executeTakeFirst();
    return row && { active: row.active !== 0, limit: row.limit, takenByOthers: countTaken(row, now) };
  }
}

function leaseFromRow<Row extends { is_plain: number }>(row: Row): Omit<Row, "is_plain"> & { is_plain: boolean } {
  return { ...row, is_plain: row.is_plain !== 0 };
}
