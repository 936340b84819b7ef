import { v7 as uuidv7 } from "uuid";
import type { CreateTagLimit, TagLimit } from "../../prefect-api/tag-limits.ts";
import { TAG_PREFIX, tagLimitName } from "../../prefect-api/tag-limits.ts";
import { timestampFromDate } from "../../prefect-api/timestamp.ts";
import { UserError } from "../../shared/errors.ts";
import type { ConcurrencyLimit } from "../../storage/concurrency-limits.ts";
import type { Nouns, Store, Tx } from "../../storage/store.ts";
import { announceChanges } from "../events/announce-changes.ts";
import { tellLimit } from "../events/lifecycle-event.ts";
import { type LimitSummary, summarize } from "./acquire-slots.ts";
import { insertLimit } from "./concurrency-limits.ts";
import { decideRetryAfter, NEVER } from "./slot-rules.ts";

/** Holders that one answer lists. */
const MAX_HOLDERS = 10_000;

type Reads = Pick<Nouns, "concurrencyLimits" | "leases">;

/** Makes the tag's limit, or changes it. */
export function saveTagLimit(
  store: Pick<Store, "transaction">,
  { tag, concurrency_limit: limit }: CreateTagLimit,
  now: Date,
): Promise<{ created: boolean; limit: TagLimit }> {
  return store.transaction(async (tx) => {
    const existing = await tx.concurrencyLimits.findByName(tagLimitName(tag));
    if (existing === undefined) {
      const added = { active: true, active_slots: 0, denied_slots: 0, slot_decay_per_second: 0 };
      await insertLimit(tx, { name: tagLimitName(tag), limit, ...added }, now);
    } else {
      await tx.concurrencyLimits.update(existing.id, { limit });
      await announceChanges(tx, [tellLimit("updated", { ...existing, limit })], now);
    }
    return { created: existing === undefined, limit: await getTagLimit(tx, { tag }, now) };
  });
}

/** Throws UserError NOT_FOUND, also for the id of a limit that is not a tag's. */
export async function getTagLimit(nouns: Reads, which: { id: string } | { tag: string }, now: Date): Promise<TagLimit> {
  const [limit] = await describeTagLimits(nouns, [await findTagLimit(nouns, which)], now);
  if (limit === undefined) {
    throw new Error("a limit that was found has no description");
  }
  return limit;
}

async function findTagLimit({ concurrencyLimits }: Reads, which: { id: string } | { tag: string }) {
  const limit =
    "id" in which
      ? await concurrencyLimits.find(which.id)
      : await concurrencyLimits.findByName(tagLimitName(which.tag));
  if (limit === undefined || !limit.name.startsWith(TAG_PREFIX)) {
    throw new UserError("NOT_FOUND", "Concurrency limit not found");
  }
  return limit;
}

/** By tag. */
export async function listTagLimits(
  nouns: Reads,
  page: { limit: number; offset: number },
  now: Date,
): Promise<TagLimit[]> {
  return describeTagLimits(nouns, await nouns.concurrencyLimits.list({ ...page, prefix: TAG_PREFIX }), now);
}

async function describeTagLimits(
  { leases }: Reads,
  limits: readonly ConcurrencyLimit[],
  now: Date,
): Promise<TagLimit[]> {
  const ids = limits.map(({ id }) => id);
  const holders = await leases.listHolders(ids, timestampFromDate(now), MAX_HOLDERS);
  return limits.map(({ id, created, updated, name, limit }) => ({
    id,
    created,
    updated,
    tag: name.slice(TAG_PREFIX.length),
    concurrency_limit: limit,
    active_slots: holders.flatMap((holder) =>
      holder.limit_id === id && holder.holder_type === "task_run" && holder.holder_id !== null ? holder.holder_id : [],
    ),
  }));
}

/** Takes all slots of the tag away from whoever has them, and gives them to these task runs. Throws UserError NOT_FOUND. */
export function resetTagLimit(
  store: Pick<Store, "transaction">,
  tag: string,
  taskRunIds: readonly string[],
  now: Date,
): Promise<void> {
  return store.transaction(async (tx) => {
    const { id } = await findTagLimit(tx, { tag });
    await tx.leases.removeOfLimit(id, "all");
    for (const taskRunId of taskRunIds) {
      await holdForTask(tx, [id], taskRunId, now);
    }
  });
}

/** Throws UserError NOT_FOUND. */
export function deleteTagLimit(
  store: Pick<Store, "transaction">,
  which: { id: string } | { tag: string },
  now: Date,
): Promise<void> {
  return store.transaction(async (tx) => {
    const limit = await findTagLimit(tx, which);
    const { id } = limit;
    await announceChanges(tx, [tellLimit("deleted", limit)], now);
    await tx.leases.removeOfLimit(id, "all");
    await tx.concurrencyLimits.remove(id);
  });
}

/** Such clients cannot renew: what they take has no end but their giving it back, or the end of their flow run. */
async function holdForTask(tx: Tx, limitIds: readonly string[], taskRunId: string, now: Date): Promise<void> {
  const lease = { id: uuidv7(), created: timestampFromDate(now), expires_at: NEVER, slots: 1, is_plain: false };
  await tx.leases.insert(
    { ...lease, holder_type: "task_run", holder_id: taskRunId },
    limitIds.map((id) => ({ id, decays_at: null })),
  );
}

/** One slot of every tag that has a limit, or of none. A limit of 0 is refused for good. */
export function acquireTagSlots(
  store: Pick<Store, "transaction">,
  tags: readonly string[],
  taskRunId: string,
  now: Date,
): Promise<
  { acquired: true; limits: LimitSummary[] } | { acquired: false; reason: string; retryAfterSeconds: number | null }
> {
  return store.transaction(async (tx) => {
    const limits = await tx.concurrencyLimits.listByNames(tags.map(tagLimitName));
    const closed = limits.find(({ limit }) => limit === 0);
    if (closed !== undefined) {
      const tag = closed.name.slice(TAG_PREFIX.length);
      const reason = `The concurrency limit on tag "${tag}" is 0 and will deadlock if the task tries to run again.`;
      return { acquired: false, reason, retryAfterSeconds: null };
    }
    const active = limits.filter((limit) => limit.active);
    const full = active.find(({ active_slots, limit }) => active_slots >= limit);
    if (full !== undefined) {
      const tag = full.name.slice(TAG_PREFIX.length);
      const retryAfterSeconds = decideRetryAfter(full, 1, timestampFromDate(now), Math.random());
      return { acquired: false, reason: `Concurrency limit for the ${tag} tag has been reached`, retryAfterSeconds };
    }
    if (active.length > 0) {
      const ids = active.map(({ id }) => id);
      await holdForTask(tx, ids, taskRunId, now);
    }
    const summaries = active.map((limit) => ({ ...summarize(limit), name: limit.name.slice(TAG_PREFIX.length) }));
    return { acquired: true, limits: summaries };
  });
}

/** What the task run holds of these tags. */
export function releaseTagSlots(
  store: Pick<Store, "transaction">,
  tags: readonly string[],
  taskRunId: string,
): Promise<LimitSummary[]> {
  return store.transaction(async (tx) => {
    const limits = await tx.concurrencyLimits.listByNames(tags.map(tagLimitName));
    if (limits.length > 0) {
      const ids = limits.map(({ id }) => id);
      await tx.leases.removeOfHolder(ids, taskRunId);
    }
    return limits.map(summarize);
  });
}
