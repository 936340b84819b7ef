import { z } from "zod";
import { JsonObject, Uuid, VisibleName } from "./primitives.ts";
import { Timestamp } from "./timestamp.ts";

export const StorageConfiguration = z.object({
  bundle_upload_step: JsonObject.nullish().transform((step) => step ?? null),
  bundle_execution_step: JsonObject.nullish().transform((step) => step ?? null),
  default_result_storage_block_id: Uuid.nullish().transform((id) => id ?? null),
});

export const WorkPoolStatus = z.enum(["READY", "NOT_READY", "PAUSED"]);

export const WorkPool = z.object({
  id: Uuid,
  created: Timestamp,
  updated: Timestamp,
  name: z.string(),
  description: z.string().nullable(),
  type: z.string(),
  base_job_template: JsonObject,
  is_paused: z.boolean(),
  concurrency_limit: z.number().nullable(),
  status: WorkPoolStatus.nullable(),
  default_queue_id: Uuid.nullable(),
  storage_configuration: StorageConfiguration,
  active_slots: z.number().nullish(),
});
export type WorkPool = z.infer<typeof WorkPool>;

const ConcurrencyLimit = z.number().int().nonnegative().nullish();

export const CreateWorkPool = z.strictObject({
  name: VisibleName,
  description: z.string().nullish(),
  type: z.string().default("prefect-agent"),
  base_job_template: JsonObject.default({}),
  is_paused: z.boolean().default(false),
  concurrency_limit: ConcurrencyLimit,
  storage_configuration: StorageConfiguration.optional(),
});
export type CreateWorkPool = z.infer<typeof CreateWorkPool>;

export const UpdateWorkPool = z.strictObject({
  description: z.string().nullish(),
  is_paused: z.boolean().nullish(),
  base_job_template: JsonObject.nullish(),
  concurrency_limit: ConcurrencyLimit,
  storage_configuration: StorageConfiguration.nullish(),
});
export type UpdateWorkPool = z.infer<typeof UpdateWorkPool>;

export const GetScheduledFlowRuns = z.object({
  work_queue_names: z.array(z.string()).nullish(),
  scheduled_before: Timestamp.nullish(),
  scheduled_after: Timestamp.nullish(),
  limit: z.number().int().nullish(),
});
export type GetScheduledFlowRuns = z.infer<typeof GetScheduledFlowRuns>;
