import { z } from "zod";
import { Uuid } from "./primitives.ts";
import { Timestamp } from "./timestamp.ts";

/** Limits of task tags as clients before 3.4 know them: the limits `tag:<tag>` under another name. */
export const TagLimit = z.object({
  id: Uuid,
  created: Timestamp,
  updated: Timestamp,
  tag: z.string(),
  concurrency_limit: z.number(),
  /** Ids of the task runs that hold a slot. */
  active_slots: z.array(z.string()),
});
export type TagLimit = z.infer<typeof TagLimit>;

const MAX_LIMIT = 1_000_000_000;
const MAX_NAMES = 500;
const MAX_OVERRIDES = 10_000;

export const CreateTagLimit = z.strictObject({
  tag: z.string(),
  concurrency_limit: z.number().int().min(0).max(MAX_LIMIT),
});
export type CreateTagLimit = z.infer<typeof CreateTagLimit>;

export const ResetTagLimit = z.object({ slot_override: z.array(Uuid).max(MAX_OVERRIDES).nullish() });

export const ChangeTagSlots = z.object({ names: z.array(z.string()).max(MAX_NAMES), task_run_id: Uuid });
export type ChangeTagSlots = z.infer<typeof ChangeTagSlots>;

export const TAG_PREFIX = "tag:";

/** The limit that holds a tag's concurrency limit. */
export function tagLimitName(tag: string): string {
  return `${TAG_PREFIX}${tag}`;
}
