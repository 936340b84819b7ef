import { secondsBetween, type Timestamp } from "../../prefect-api/timestamp.ts";
import type { ConcurrencyLimit } from "../../storage/concurrency-limits.ts";

/** The end of slots that stay until somebody gives them back. */
export const NEVER: Timestamp = "9999-12-31T23:59:59.999999Z";

/** The longest that a refused client is told to wait; then it looks again. */
const MAX_RETRY_SECONDS = 30;
/**
 * Who is refused a slot that stays taken asks again within this: nothing tells its process that one is free, so a slot
 * that was given back would stay idle for as long as its next holder waits. Asking costs one read.
 */
const STEADY_RETRY_SECONDS = 1;
const MIN_RETRY_SECONDS = 0.05;
/** Weight of the measurement in the average: the last `limit * 2` samples, as in Prefect. */
const SAMPLES_PER_SLOT = 2;
const MIN_OCCUPANCY_SECONDS = 0.1;

type Full = Pick<
  ConcurrencyLimit,
  "limit" | "active_slots" | "slot_decay_per_second" | "avg_slot_occupancy_seconds" | "decayed_at"
>;

/**
 * How long a client that was refused waits before it asks again. `luck`, 0 to 1, spreads those who were refused
 * together. Slots that decay say exactly when enough of them are free.
 */
export function decideRetryAfter(limit: Full, slots: number, now: Timestamp, luck: number): number {
  const { slot_decay_per_second: decay, decayed_at: lastDecayed } = limit;
  if (decay === 0 || lastDecayed === null) {
    const expected = Math.min(STEADY_RETRY_SECONDS, limit.avg_slot_occupancy_seconds);
    return round(expected * (0.5 + luck / 2));
  }
  const untilFree = secondsBetween(now, lastDecayed) - (limit.limit - slots) / decay;
  return round(Math.min(untilFree * (1 + luck / 10), MAX_RETRY_SECONDS));
}

function round(seconds: number): number {
  return Math.max(MIN_RETRY_SECONDS, Math.ceil(seconds * 1000) / 1000);
}

/** The average time that a slot is held, after one more measurement. */
export function decideOccupancy(
  limit: Pick<ConcurrencyLimit, "limit" | "avg_slot_occupancy_seconds">,
  seconds: number,
): number {
  const samples = Math.max(1, limit.limit * SAMPLES_PER_SLOT);
  const average = limit.avg_slot_occupancy_seconds;
  return average + (Math.max(seconds, MIN_OCCUPANCY_SECONDS) - average) / samples;
}
