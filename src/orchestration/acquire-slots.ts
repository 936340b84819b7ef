import { v7 as uuidv7 } from "uuid";
import type { LeaseHolder } from "../prefect-api/concurrency-limits.ts";
import { addSeconds, timestampFromDate } from "../prefect-api/timestamp.ts";
import { UserError } from "../shared/errors.ts";
import type { ConcurrencyLimit } from "../storage/concurrency-limits.ts";
import type { Store, Tx } from "../storage/store.ts";

/** The longest that a refused client is told to wait; then it looks again. */
const MAX_RETRY_SECONDS = 30;
/** Ended leases are kept this long, so that a late renewal is told apart from nonsense while one looks at it. */
const FORGET_LEASES_SECONDS = 3600;

export interface SlotRequest {
  names: readonly string[];
  slots: number;
  mode: "concurrency" | "rate_limit";
  /** null: slots that the client gives back itself, or never. */
  lease: { seconds: number; holder: LeaseHolder | null } | null;
}

export type Acquisition =
  | { acquired: true; leaseId: string; limits: Pick<ConcurrencyLimit, "id" | "name" | "limit">[] }
  | { acquired: false; retryAfterSeconds: number };

/**
 * Takes slots of all named limits that exist and are active, or of none; unknown names ask for nothing. Slots that
 * decay are leases that end by themselves. Throws UserError INVALID_REQUEST for more slots than a limit has.
 */
export function acquireSlots(store: Pick<Store, "transaction">, request: SlotRequest, now: Date): Promise<Acquisition> {
  return store.transaction(async (tx) => {
    const found = request.names.length === 0 ? [] : await tx.concurrencyLimits.listByNames(request.names);
    const limits = found.filter(({ active }) => active);
    checkRequest(limits, request);
    const full = limits.filter(({ active_slots, limit }) => active_slots + request.slots > limit);
    if (full.length > 0) {
      const ids = full.map(({ id }) => id);
      await tx.concurrencyLimits.addDeniedSlots(ids, request.slots);
      return { acquired: false, retryAfterSeconds: Math.max(...full.map((limit) => waitFor(limit, request.slots))) };
    }
    return { acquired: true, leaseId: await hold(tx, limits, request, now), limits: limits.map(describe) };
  });
}

function checkRequest(limits: readonly ConcurrencyLimit[], { slots, mode }: SlotRequest): void {
  if (limits.some(({ limit }) => limit < slots)) {
    throw new UserError("INVALID_REQUEST", "Slots requested is greater than the limit");
  }
  const steady = limits.filter(({ slot_decay_per_second: decay }) => decay === 0);
  if (mode === "rate_limit" && steady.length > 0) {
    const names = steady.map(({ name }) => name).join(",");
    throw new UserError(
      "INVALID_REQUEST",
      `Only concurrency limits with slot decay can be used for rate limiting. The following limits do not have a decay configured: '${names}'`,
    );
  }
}

function waitFor(limit: ConcurrencyLimit, slots: number): number {
  const { slot_decay_per_second: decay, avg_slot_occupancy_seconds: occupancy } = limit;
  const seconds = decay > 0 ? slots / decay : occupancy;
  return Math.min(Math.max(1, Math.ceil(seconds)), MAX_RETRY_SECONDS);
}

/** Answers the id of the lease; with nothing to hold it is one all the same, because clients renew and return it. */
async function hold(tx: Tx, limits: readonly ConcurrencyLimit[], request: SlotRequest, now: Date): Promise<string> {
  const created = timestampFromDate(now);
  const { slots, lease } = request;
  await tx.leases.removeExpired(addSeconds(created, -FORGET_LEASES_SECONDS));
  for (const limit of limits.filter(({ slot_decay_per_second: decay }) => decay > 0)) {
    const expires_at = addSeconds(created, slots / limit.slot_decay_per_second);
    await tx.leases.put({ id: uuidv7(), created, expires_at, slots, holder_type: null, holder_id: null }, [limit.id]);
  }
  const steady = limits.filter(({ slot_decay_per_second: decay }) => decay === 0).map(({ id }) => id);
  const leaseId = uuidv7();
  if (lease === null) {
    if (steady.length > 0) {
      await tx.concurrencyLimits.addUnleasedSlots(steady, slots);
    }
    return leaseId;
  }
  const { holder, seconds } = lease;
  const row = { created, expires_at: addSeconds(created, seconds), slots };
  await tx.leases.put(
    { id: leaseId, ...row, holder_type: holder?.type ?? null, holder_id: holder?.id ?? null },
    steady,
  );
  return leaseId;
}

function describe({ id, name, limit }: ConcurrencyLimit) {
  return { id, name, limit };
}

/** Gives back slots that were taken without a lease. Slots that decay give themselves back. */
export function releaseSlots(
  store: Pick<Store, "transaction">,
  names: readonly string[],
  slots: number,
): Promise<Pick<ConcurrencyLimit, "id" | "name" | "limit">[]> {
  return store.transaction(async (tx) => {
    const found = await tx.concurrencyLimits.listByNames(names);
    const limits = found.filter(({ active }) => active);
    const steady = limits.filter(({ slot_decay_per_second: decay }) => decay === 0).map(({ id }) => id);
    if (steady.length > 0) {
      await tx.concurrencyLimits.addUnleasedSlots(steady, -slots);
    }
    return limits.map(describe);
  });
}

/**
 * Prolongs a lease. One that has ended is taken again if all its slots are still free. Throws UserError LEASE_GONE: the
 * holder then has to stop.
 */
export function renewLease(
  store: Pick<Store, "transaction">,
  leaseId: string,
  seconds: number,
  now: Date,
): Promise<void> {
  return store.transaction(async (tx) => {
    const timestamp = timestampFromDate(now);
    const lease = await tx.leases.find(leaseId);
    if (lease === undefined || (lease.expires_at <= timestamp && !(await isStillFree(tx, lease, timestamp)))) {
      throw new UserError("LEASE_GONE", "Lease not found - it may have expired or been revoked");
    }
    const { limit_ids, ...row } = lease;
    await tx.leases.put({ ...row, expires_at: addSeconds(timestamp, seconds) }, limit_ids);
  });
}

async function isStillFree(tx: Tx, lease: { id: string; slots: number; limit_ids: string[] }, now: string) {
  for (const limitId of lease.limit_ids) {
    const usage = await tx.leases.findUsage(limitId, lease.id, now);
    if (usage !== undefined && usage.takenByOthers + lease.slots > usage.limit) {
      return false;
    }
  }
  return true;
}
