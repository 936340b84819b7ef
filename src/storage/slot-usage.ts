import { type Kysely, sql } from "kysely";
import { secondsBetween, type Timestamp } from "../prefect-api/timestamp.ts";
import type { Database } from "./database-types.ts";

/**
 * Limits `c` with what is taken of them at `now`, counted from the leases that have not ended. `exceptLease` does not
 * count. The sums are cast because PostgreSQL answers a sum of integers as text.
 */
export function selectLimits(db: Kysely<Database>, now: Timestamp, exceptLease: string | null = null) {
  return db
    .selectFrom("concurrency_limits as c")
    .leftJoin("concurrency_lease_limits as m", "m.limit_id", "c.id")
    .leftJoin("concurrency_leases as l", (join) =>
      join
        .onRef("l.id", "=", "m.lease_id")
        .on("l.expires_at", ">", now)
        .on("l.id", "!=", exceptLease ?? "")
        .on((on) => on.or([on("m.decays_at", "is", null), on("m.decays_at", ">", now)])),
    )
    .select([
      "c.id",
      "c.created",
      "c.updated",
      "c.active",
      "c.name",
      "c.limit",
      "c.slot_decay_per_second",
      "c.avg_slot_occupancy_seconds",
      sql<number>`cast(coalesce(sum(case when m.decays_at is null then l.slots end), 0) as double precision)`.as(
        "steady_slots",
      ),
      sql<number>`cast(coalesce(sum(case when m.decays_at is not null then l.slots end), 0) as double precision)`.as(
        "decaying_slots",
      ),
      sql<string | null>`max(case when l.id is not null then m.decays_at end)`.as("decayed_at"),
    ])
    .groupBy([
      "c.id",
      "c.created",
      "c.updated",
      "c.active",
      "c.name",
      "c.limit",
      "c.slot_decay_per_second",
      "c.avg_slot_occupancy_seconds",
    ]);
}

export interface TakenSlots {
  steady_slots: number;
  decaying_slots: number;
  /** When the last of the decaying slots has decayed. */
  decayed_at: string | null;
  slot_decay_per_second: number;
}

/** A slot that ends within the same microsecond is not counted again because a division left a rest. */
const ROUNDING_SECONDS = 2e-6;

/**
 * Slots that are taken at `now`. Those that decay do so one after the other, at the limit's rate: what is left of them
 * is the time until the last one is gone. Given back early they leave a gap in that time, so it is never more than the
 * slots that were taken and not yet wholly decayed.
 */
export function countTaken(usage: TakenSlots, now: Timestamp): number {
  if (usage.decayed_at === null || usage.slot_decay_per_second === 0) {
    return usage.steady_slots + usage.decaying_slots;
  }
  const secondsLeft = secondsBetween(now, usage.decayed_at) - ROUNDING_SECONDS;
  const left = Math.max(0, Math.ceil(secondsLeft * usage.slot_decay_per_second));
  return usage.steady_slots + Math.min(usage.decaying_slots, left);
}
