import { z } from "zod";
import { ObjectName, Uuid } from "./primitives.ts";

const LEASE_SECONDS = { min: 60, max: 86_400, default: 300 };
const LeaseSeconds = z.number().min(LEASE_SECONDS.min).max(LEASE_SECONDS.max).default(LEASE_SECONDS.default);
/** Sums of slots stay far below 2^53, where numbers stop being exact. */
const MAX_SLOTS = 1_000_000_000;
const Slots = z.number().int().positive().max(MAX_SLOTS);
/** A task has a limit for each of its tags. */
const MAX_NAMES = 500;
const Names = z.array(z.string()).min(1).max(MAX_NAMES);
const Mode = z.enum(["concurrency", "rate_limit"]).default("concurrency");

const LeaseHolder = z.object({ type: z.enum(["flow_run", "task_run", "deployment"]), id: Uuid });
export type LeaseHolder = z.infer<typeof LeaseHolder>;

export const Increment = z.object({
  slots: Slots,
  names: Names,
  mode: Mode,
  create_if_missing: z.boolean().nullish(),
});

export const IncrementWithLease = Increment.extend({ lease_duration: LeaseSeconds, holder: LeaseHolder.nullish() });

export const Decrement = z.object({
  slots: Slots,
  names: Names,
  occupancy_seconds: z.number().nullish(),
  create_if_missing: z.boolean().nullish(),
});

export const DecrementWithLease = z.object({ lease_id: Uuid });

export const RenewLease = z.object({ lease_duration: LeaseSeconds });

const limitKeys = {
  active: z.boolean(),
  name: ObjectName,
  limit: z.number().int().nonnegative().max(MAX_SLOTS),
  active_slots: z.number().int().nonnegative().max(MAX_SLOTS),
  denied_slots: z.number().int().nonnegative().max(MAX_SLOTS),
  slot_decay_per_second: z.number().nonnegative(),
};

export const CreateConcurrencyLimit = z.strictObject({
  ...limitKeys,
  active: limitKeys.active.default(true),
  active_slots: limitKeys.active_slots.default(0),
  denied_slots: limitKeys.denied_slots.default(0),
  slot_decay_per_second: limitKeys.slot_decay_per_second.default(0),
});
export type CreateConcurrencyLimit = z.infer<typeof CreateConcurrencyLimit>;

/** Only the keys that are present change anything. */
export const UpdateConcurrencyLimit = z.strictObject({
  active: limitKeys.active.nullish(),
  name: limitKeys.name.nullish(),
  limit: limitKeys.limit.nullish(),
  active_slots: limitKeys.active_slots.nullish(),
  denied_slots: limitKeys.denied_slots.nullish(),
  slot_decay_per_second: limitKeys.slot_decay_per_second.nullish(),
});
export type UpdateConcurrencyLimit = z.infer<typeof UpdateConcurrencyLimit>;

/** The name of the limit that holds a deployment's `concurrency_limit`. */
export function deploymentLimitName(deploymentId: string): string {
  return `deployment:${deploymentId}`;
}
