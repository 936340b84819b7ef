import { z } from "zod";
import { CreatedBy, JsonObject, Labels, ObjectName, Tags, Uuid } from "./primitives.ts";
import { CreateDeploymentSchedule, DeploymentSchedule, MAX_SCHEDULES } from "./schedules.ts";
import { StateCreate } from "./states.ts";
import { Timestamp } from "./timestamp.ts";

export const CollisionStrategy = z.enum(["ENQUEUE", "CANCEL_NEW"]);

export const ConcurrencyOptions = z.strictObject({
  collision_strategy: CollisionStrategy,
  grace_period_seconds: z.number().int().min(60).max(86_400).nullish(),
});
export type ConcurrencyOptions = z.infer<typeof ConcurrencyOptions>;

const GlobalConcurrencyLimit = z.object({
  id: Uuid,
  created: Timestamp,
  updated: Timestamp,
  active: z.boolean(),
  name: z.string(),
  limit: z.number(),
  active_slots: z.number(),
  slot_decay_per_second: z.number(),
});
export type GlobalConcurrencyLimit = z.infer<typeof GlobalConcurrencyLimit>;

export const DeploymentStatus = z.enum(["READY", "NOT_READY"]);

export const Deployment = z.object({
  id: Uuid,
  created: Timestamp,
  updated: Timestamp,
  name: z.string(),
  version: z.string().nullish(),
  description: z.string().nullish(),
  flow_id: Uuid,
  paused: z.boolean(),
  schedules: z.array(DeploymentSchedule),
  concurrency_limit: z.number().nullish(),
  global_concurrency_limit: GlobalConcurrencyLimit.nullish(),
  concurrency_options: z
    .object({ collision_strategy: CollisionStrategy, grace_period_seconds: z.number().nullish() })
    .nullish(),
  job_variables: JsonObject,
  parameters: JsonObject,
  tags: Tags,
  labels: Labels.nullish(),
  work_queue_name: z.string().nullish(),
  work_queue_id: Uuid.nullish(),
  last_polled: Timestamp.nullish(),
  parameter_openapi_schema: JsonObject.nullish(),
  path: z.string().nullish(),
  pull_steps: z.array(JsonObject).nullish(),
  entrypoint: z.string().nullish(),
  storage_document_id: Uuid.nullish(),
  infrastructure_document_id: Uuid.nullish(),
  created_by: CreatedBy.nullish(),
  updated_by: CreatedBy.nullish(),
  work_pool_name: z.string().nullish(),
  status: DeploymentStatus.nullish(),
  enforce_parameter_schema: z.boolean().default(true),
});
export type Deployment = z.infer<typeof Deployment>;

/** Of one schedule, in one request. */
const MAX_FORCED_RUNS = 1000;

const VersionInfo = z.looseObject({ type: z.string(), version: z.string() });

const deploymentKeys = {
  paused: z.boolean().optional(),
  schedules: z.array(CreateDeploymentSchedule).max(MAX_SCHEDULES).optional(),
  concurrency_limit: z.number().int().positive().nullish(),
  concurrency_options: ConcurrencyOptions.nullish(),
  global_concurrency_limit_id: Uuid.nullish(),
  enforce_parameter_schema: z.boolean().optional(),
  parameter_openapi_schema: JsonObject.nullish(),
  parameters: JsonObject.nullish(),
  tags: Tags.optional(),
  pull_steps: z.array(JsonObject).nullish(),
  work_queue_name: z.string().nullish(),
  work_pool_name: z.string().nullish(),
  storage_document_id: Uuid.nullish(),
  infrastructure_document_id: Uuid.nullish(),
  description: z.string().nullish(),
  path: z.string().nullish(),
  version: z.string().nullish(),
  entrypoint: z.string().nullish(),
  job_variables: JsonObject.nullish(),
  version_info: VersionInfo.nullish(),
};

export const CreateDeployment = z.strictObject({
  name: ObjectName,
  flow_id: Uuid,
  labels: Labels.nullish(),
  ...deploymentKeys,
});
export type CreateDeployment = z.infer<typeof CreateDeployment>;

/** Only the keys that are present change anything. */
export const UpdateDeployment = z.strictObject(deploymentKeys);
export type UpdateDeployment = z.infer<typeof UpdateDeployment>;

/** `POST /deployments/{id}/schedule`: makes runs of its schedules now, for past times as well. */
export const ScheduleDeployment = z.object({
  start_time: Timestamp.nullish(),
  end_time: Timestamp.nullish(),
  /** Seconds after the start up to which runs are made at least. */
  min_time: z.number().nullish(),
  min_runs: z.int().nullish(),
  max_runs: z.int().max(MAX_FORCED_RUNS).nullish(),
});
export type ScheduleDeployment = z.infer<typeof ScheduleDeployment>;

export const CreateFlowRunFromDeployment = z.strictObject({
  state: StateCreate.nullish(),
  name: z.string().nullish(),
  parameters: JsonObject.nullish(),
  enforce_parameter_schema: z.boolean().nullish(),
  context: JsonObject.nullish(),
  infrastructure_document_id: Uuid.nullish(),
  empirical_policy: JsonObject.nullish(),
  tags: Tags.nullish(),
  idempotency_key: z.string().nullish(),
  labels: Labels.nullish(),
  parent_task_run_id: Uuid.nullish(),
  work_queue_name: z.string().nullish(),
  job_variables: JsonObject.nullish(),
});
export type CreateFlowRunFromDeployment = z.infer<typeof CreateFlowRunFromDeployment>;
