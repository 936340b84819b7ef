import type { LimitHolders } from "../../flowyard-api/slot-holders.ts";
import { timestampFromDate } from "../../prefect-api/timestamp.ts";
import type { Nouns } from "../../storage/store.ts";
import { getLimit } from "./concurrency-limits.ts";
import { NEVER } from "./slot-rules.ts";

const MAX_HOLDERS = 200;

/** Who has slots of the limit now. Throws UserError NOT_FOUND. */
export async function listSlotHolders(
  nouns: Pick<Nouns, "concurrencyLimits" | "leases">,
  idOrName: string,
  now: Date,
): Promise<LimitHolders> {
  const { id, limit, active_slots } = await getLimit(nouns, idOrName);
  const leases = await nouns.leases.listHolders([id], timestampFromDate(now), MAX_HOLDERS);
  const holders = leases.map(({ id: leaseId, slots, holder_type, holder_id, created, expires_at }) => ({
    lease_id: leaseId,
    slots,
    holder: holder_type === null || holder_id === null ? null : { type: holder_type, id: holder_id },
    since: created,
    expires_at: expires_at === NEVER ? null : expires_at,
  }));
  return { limit, active_slots, holders };
}
