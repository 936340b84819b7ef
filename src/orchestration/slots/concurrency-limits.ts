import { randomUUID } from "node:crypto";
import type { CreateConcurrencyLimit, UpdateConcurrencyLimit } from "../../prefect-api/concurrency-limits.ts";
import { isUuid } from "../../prefect-api/primitives.ts";
import { timestampFromDate } from "../../prefect-api/timestamp.ts";
import { hasCode, UserError } from "../../shared/errors.ts";
import type { ConcurrencyLimit } from "../../storage/concurrency-limits.ts";
import type { Nouns, Store, Tx } from "../../storage/store.ts";
import { announceChanges } from "../events/announce-changes.ts";
import { tellLimit } from "../events/lifecycle-event.ts";
import { holdPlain } from "./acquire-slots.ts";
import { wakeSlotWaiters } from "./wake-slot-waiters.ts";

/** Prefect's guess at how long a slot is held, until there is a measurement. */
const DEFAULT_OCCUPANCY_SECONDS = 2;

/** Throws UserError NOT_FOUND. */
export async function getLimit(
  { concurrencyLimits }: Pick<Nouns, "concurrencyLimits">,
  idOrName: string,
): Promise<ConcurrencyLimit> {
  const byId = isUuid(idOrName) ? await concurrencyLimits.find(idOrName.toLowerCase()) : undefined;
  const found = byId ?? (await concurrencyLimits.findByName(idOrName));
  if (found === undefined) {
    throw new UserError("NOT_FOUND", "Concurrency Limit not found");
  }
  return found;
}

/** Throws UserError ALREADY_EXISTS. */
export async function createLimit(
  store: Pick<Store, "transaction">,
  body: CreateConcurrencyLimit,
  now: Date,
): Promise<ConcurrencyLimit> {
  return naming(body.name, () => store.transaction((tx) => insertLimit(tx, body, now)));
}

/** The same inside a transaction of the caller's. */
export async function insertLimit(tx: Tx, body: CreateConcurrencyLimit, now: Date): Promise<ConcurrencyLimit> {
  const { active_slots: activeSlots, denied_slots: _denied, ...limit } = body;
  const id = randomUUID();
  const created = timestampFromDate(now);
  await tx.concurrencyLimits.insert({
    id,
    created,
    updated: created,
    ...limit,
    avg_slot_occupancy_seconds: DEFAULT_OCCUPANCY_SECONDS,
  });
  await setPlainSlots(tx, await getLimit(tx, id), activeSlots, now);
  const made = await getLimit(tx, id);
  await announceChanges(tx, [tellLimit("created", made)], now);
  return made;
}

/** Only the keys that are present change anything. Throws UserError NOT_FOUND, ALREADY_EXISTS. */
export async function updateLimit(
  store: Pick<Store, "transaction">,
  idOrName: string,
  body: UpdateConcurrencyLimit,
  now: Date,
): Promise<void> {
  const { active, name, limit, active_slots: activeSlots, slot_decay_per_second: decay } = body;
  await naming(name ?? "", () =>
    store.transaction(async (tx) => {
      const { id } = await getLimit(tx, idOrName);
      await tx.concurrencyLimits.update(id, {
        ...(active != null && { active }),
        ...(name != null && { name }),
        ...(limit != null && { limit }),
        ...(decay != null && { slot_decay_per_second: decay }),
      });
      if (activeSlots != null) {
        await setPlainSlots(tx, await getLimit(tx, id), activeSlots, now);
      }
      await announceChanges(tx, [tellLimit("updated", await getLimit(tx, id))], now);
      await wakeSlotWaiters(tx, timestampFromDate(now), id);
    }),
  );
}

/**
 * Slots that an operator says are taken, leases included: the rest is held without a lease. Leases are freed by their
 * holders, or end; a number below theirs only takes away what is held without one.
 */
async function setPlainSlots(tx: Tx, limit: ConcurrencyLimit, slots: number, now: Date): Promise<void> {
  await tx.leases.removeOfLimit(limit.id, "plain");
  const { active_slots: leased } = await getLimit(tx, limit.id);
  if (slots > leased) {
    await holdPlain(tx, limit, slots - leased, timestampFromDate(now));
  }
}

/** Removes the limit; whoever waited for it goes on. Throws UserError NOT_FOUND. */
export function deleteLimit(store: Pick<Store, "transaction">, idOrName: string, now: Date): Promise<void> {
  return store.transaction(async (tx) => {
    const found = await getLimit(tx, idOrName);
    const { id } = found;
    await announceChanges(tx, [tellLimit("deleted", found)], now);
    await tx.concurrencyLimits.remove(id);
    await wakeSlotWaiters(tx, timestampFromDate(now));
    tx.wakeUps.notify("slot_released", id);
  });
}

/** Says which name is taken. */
async function naming<T>(name: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (cause) {
    if (hasCode(cause, "ALREADY_EXISTS")) {
      throw new UserError("ALREADY_EXISTS", `A concurrency limit with the name "${name}" already exists.`, { cause });
    }
    throw cause;
  }
}
