import { v7 as uuidv7 } from "uuid";
import type { LeaseHolder } from "../../prefect-api/concurrency-limits.ts";
import { addSeconds, secondsBetween, type Timestamp, timestampFromDate } from "../../prefect-api/timestamp.ts";
import { UserError } from "../../shared/errors.ts";
import type { ConcurrencyLimit } from "../../storage/concurrency-limits.ts";
import type { Store, Tx } from "../../storage/store.ts";
import { decideOccupancy, decideRetryAfter, NEVER } from "./slot-rules.ts";
import { wakeSlotWaiters } from "./wake-slot-waiters.ts";

/** Rows that one decrement looks at; each is an increment without a lease. */
const MAX_PLAIN_ROWS = 1000;

export interface SlotRequest {
  names: readonly string[];
  slots: number;
  mode: "concurrency" | "rate_limit";
  /** null: slots that the client gives back itself, or never. */
  lease: { seconds: number; holder: LeaseHolder | null } | null;
}

export type LimitSummary = Pick<ConcurrencyLimit, "id" | "name" | "limit">;

export type Acquisition =
  | { acquired: true; leaseId: string; limits: LimitSummary[] }
  | { acquired: false; retryAfterSeconds: number };

/**
 * Takes slots of all named limits that exist and are active, or of none; unknown names ask for nothing. Throws
 * UserError INVALID_REQUEST for more slots than a limit has.
 */
export function acquireSlots(store: Pick<Store, "transaction">, request: SlotRequest, now: Date): Promise<Acquisition> {
  return store.transaction(async (tx) => {
    const limits = await tx.concurrencyLimits.listByNames(request.names);
    const active = limits.filter((limit) => limit.active);
    checkRequest(active, request);
    const full = active.filter(({ active_slots, limit }) => active_slots + request.slots > limit);
    const timestamp = timestampFromDate(now);
    if (full.length > 0) {
      const waits = full.map((limit) => decideRetryAfter(limit, request.slots, timestamp, Math.random()));
      return { acquired: false, retryAfterSeconds: Math.max(...waits) };
    }
    return { acquired: true, leaseId: await hold(tx, active, request, timestamp), limits: limits.map(summarize) };
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

/** Answers the id of the lease; with nothing to hold it is one all the same, because clients renew and return it. */
async function hold(
  tx: Tx,
  limits: readonly ConcurrencyLimit[],
  { slots, lease }: Pick<SlotRequest, "slots" | "lease">,
  now: Timestamp,
): Promise<string> {
  if (lease === null) {
    for (const limit of limits) {
      await holdPlain(tx, limit, slots, now);
    }
    return uuidv7();
  }
  const id = uuidv7();
  const holder = { holder_type: lease.holder?.type ?? null, holder_id: lease.holder?.id ?? null };
  await tx.leases.insert(
    { id, created: now, expires_at: addSeconds(now, lease.seconds), slots, is_plain: false, ...holder },
    limits.map((limit) => ({ id: limit.id, decays_at: decideDecay(limit, slots, now) })),
  );
  return id;
}

/** Slots without a lease have no end but their decay; each limit has its own row, because each is given back alone. */
export async function holdPlain(tx: Tx, limit: ConcurrencyLimit, slots: number, now: Timestamp): Promise<void> {
  const decaysAt = decideDecay(limit, slots, now);
  if (decaysAt !== null) {
    await tx.leases.removeDecayed(limit.id, now);
  }
  await tx.leases.insert(
    {
      id: uuidv7(),
      created: now,
      expires_at: decaysAt ?? NEVER,
      slots,
      is_plain: true,
      holder_type: null,
      holder_id: null,
    },
    [{ id: limit.id, decays_at: decaysAt }],
  );
}

/** When these slots have decayed, after those that were taken before them; null on a limit whose slots stay. */
function decideDecay(limit: ConcurrencyLimit, slots: number, now: Timestamp): Timestamp | null {
  const { decayed_at: lastDecayed, slot_decay_per_second: decay } = limit;
  if (decay === 0) {
    return null;
  }
  const begins = lastDecayed !== null && lastDecayed > now ? lastDecayed : now;
  return addSeconds(begins, slots / decay);
}

export function summarize({ id, name, limit }: ConcurrencyLimit): LimitSummary {
  return { id, name, limit };
}

/** Gives back slots that were taken without a lease, the oldest first. Inactive limits keep theirs, as in Prefect. */
export function releaseSlots(
  store: Pick<Store, "transaction">,
  release: { names: readonly string[]; slots: number; occupancySeconds: number | null },
  now: Date,
): Promise<LimitSummary[]> {
  return store.transaction(async (tx) => {
    const limits = await tx.concurrencyLimits.listByNames(release.names);
    for (const limit of limits.filter(({ active }) => active)) {
      await removePlain(tx, limit.id, release.slots, timestampFromDate(now));
      await noteOccupancy(tx, limit, release.occupancySeconds, release.slots);
      await wakeSlotWaiters(tx, timestampFromDate(now), limit.id);
    }
    return limits.map(summarize);
  });
}

async function removePlain(tx: Tx, limitId: string, slots: number, now: Timestamp): Promise<void> {
  let left = slots;
  for (const row of await tx.leases.listPlain(limitId, now, MAX_PLAIN_ROWS)) {
    if (left <= 0) {
      return;
    }
    if (row.slots <= left) {
      await tx.leases.remove(row.id);
    } else {
      await tx.leases.update(row.id, { slots: row.slots - left });
    }
    left -= row.slots;
  }
}

/** How long slots are held on average is what a refused client is told to wait; it is no part of any count. */
async function noteOccupancy(tx: Tx, limit: ConcurrencyLimit, seconds: number | null, slots: number): Promise<void> {
  if (seconds !== null && limit.slot_decay_per_second === 0) {
    const avg_slot_occupancy_seconds = decideOccupancy(limit, seconds / slots);
    await tx.concurrencyLimits.update(limit.id, { updated: limit.updated, avg_slot_occupancy_seconds });
  }
}

/** Gives back what the lease holds. One that is gone already is no error: its holder asks only once more. */
export function releaseLease(store: Pick<Store, "transaction">, leaseId: string, now: Date): Promise<void> {
  return store.transaction(async (tx) => {
    const lease = await tx.leases.find(leaseId);
    if (lease === undefined) {
      return;
    }
    const timestamp = timestampFromDate(now);
    await tx.leases.remove(leaseId);
    const limits = await tx.concurrencyLimits.listByIds(lease.limits.map(({ id }) => id));
    for (const limit of limits) {
      await noteOccupancy(tx, limit, secondsBetween(lease.created, timestamp), lease.slots);
      await wakeSlotWaiters(tx, timestamp, limit.id);
    }
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
    await tx.leases.update(leaseId, { expires_at: addSeconds(timestamp, seconds) });
  });
}

async function isStillFree(
  tx: Tx,
  lease: { id: string; slots: number; limits: readonly { id: string; decays_at: string | null }[] },
  now: Timestamp,
): Promise<boolean> {
  for (const held of lease.limits.filter(({ decays_at }) => decays_at === null || decays_at > now)) {
    const usage = await tx.leases.findUsage(held.id, lease.id, now);
    if (usage !== undefined && usage.takenByOthers + lease.slots > usage.limit) {
      return false;
    }
  }
  return true;
}
