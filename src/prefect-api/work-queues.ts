import { z } from "zod";
import { JsonObject, ObjectName, Uuid } from "./primitives.ts";
import { Timestamp } from "./timestamp.ts";

/** What Prefect's PostgreSQL takes; making room for a queue pushes others beyond the numbers that can be read back. */
const MAX_PRIORITY = 2 ** 31 - 1;

export const WorkQueueStatus = z.enum(["READY", "NOT_READY", "PAUSED"]);

export const WorkQueue = z.object({
  id: Uuid,
  created: Timestamp,
  updated: Timestamp,
  name: z.string(),
  description: z.string().nullish(),
  is_paused: z.boolean(),
  concurrency_limit: z.number().nullish(),
  priority: z.number(),
  work_pool_id: Uuid.nullish(),
  filter: JsonObject.nullish(),
  last_polled: Timestamp.nullish(),
  work_pool_name: z.string().nullish(),
  status: WorkQueueStatus.nullish(),
  active_slots: z.number().nullish(),
});
export type WorkQueue = z.infer<typeof WorkQueue>;

export const CreateWorkQueue = z.strictObject({
  name: ObjectName,
  description: z.string().nullish(),
  is_paused: z.boolean().default(false),
  concurrency_limit: z.number().int().nonnegative().nullish(),
  priority: z.number().int().positive().max(MAX_PRIORITY).nullish(),
  filter: JsonObject.nullish(),
});
export type CreateWorkQueue = z.infer<typeof CreateWorkQueue>;

export const UpdateWorkQueue = z.strictObject({
  name: ObjectName.nullish(),
  description: z.string().nullish(),
  is_paused: z.boolean().nullish(),
  concurrency_limit: z.number().int().nonnegative().nullish(),
  priority: z.number().int().positive().max(MAX_PRIORITY).nullish(),
  last_polled: Timestamp.nullish(),
  filter: JsonObject.nullish(),
});
export type UpdateWorkQueue = z.infer<typeof UpdateWorkQueue>;

export const WorkQueueStatusDetail = z.object({
  healthy: z.boolean(),
  late_runs_count: z.number(),
  last_polled: Timestamp.nullish(),
  health_check_policy: z.object({
    maximum_late_runs: z.number().nullish(),
    maximum_seconds_since_last_polled: z.number().nullish(),
  }),
});
export type WorkQueueStatusDetail = z.infer<typeof WorkQueueStatusDetail>;
