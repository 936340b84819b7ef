import { z } from "zod";
import { CreatedBy, JsonObject, Labels, ObjectName, Tags, Uuid } from "./primitives.ts";
import { ReceivedState, type State, StateCreate, StateType } from "./states.ts";
import { Timestamp } from "./timestamp.ts";

/** Retry bookkeeping of a run. `max_retries` and `retry_delay_seconds` are Prefect 1's; kept because its clients read them. */
export const EmpiricalPolicy = z.object({
  max_retries: z.number().default(0),
  retry_delay_seconds: z.number().default(0),
  retries: z
    .number()
    .nullish()
    .transform((value) => value ?? null),
  retry_delay: z
    .number()
    .nullish()
    .transform((value) => value ?? null),
  pause_keys: z
    .array(z.string())
    .nullish()
    .transform((value) => value ?? []),
  resuming: z
    .boolean()
    .nullish()
    .transform((value) => value ?? false),
  retry_type: z
    .enum(["in_process", "reschedule"])
    .nullish()
    .transform((value) => value ?? null),
});
export type EmpiricalPolicy = z.infer<typeof EmpiricalPolicy>;

const flowRunKeys = {
  id: Uuid,
  created: Timestamp,
  updated: Timestamp,
  name: z.string(),
  flow_id: Uuid,
  state_id: Uuid.nullish(),
  deployment_id: Uuid.nullish(),
  deployment_version: z.string().nullish(),
  work_queue_id: Uuid.nullish(),
  work_queue_name: z.string().nullish(),
  flow_version: z.string().nullish(),
  parameters: JsonObject,
  idempotency_key: z.string().nullish(),
  context: JsonObject.nullish(),
  empirical_policy: EmpiricalPolicy,
  tags: Tags,
  labels: Labels.nullish(),
  parent_task_run_id: Uuid.nullish(),
  state_type: StateType.nullish(),
  state_name: z.string().nullish(),
  run_count: z.number(),
  expected_start_time: Timestamp.nullish(),
  next_scheduled_start_time: Timestamp.nullish(),
  start_time: Timestamp.nullish(),
  end_time: Timestamp.nullish(),
  total_run_time: z.number(),
  estimated_run_time: z.number(),
  estimated_start_time_delta: z.number(),
  auto_scheduled: z.boolean(),
  infrastructure_document_id: Uuid.nullish(),
  infrastructure_pid: z.string().nullish(),
  created_by: CreatedBy.nullish(),
  work_pool_id: Uuid.nullish(),
  work_pool_name: z.string().nullish(),
  job_variables: JsonObject.nullish(),
};

/** A flow run as a client reads it. */
export const ReceivedFlowRun = z.object({ ...flowRunKeys, state: ReceivedState.nullish() });
export type ReceivedFlowRun = z.infer<typeof ReceivedFlowRun>;

/** A flow run as the server sends it. */
export type FlowRun = Omit<ReceivedFlowRun, "state"> & { state: State | null };

export const CreateFlowRun = z.strictObject({
  flow_id: Uuid,
  state: StateCreate.nullish(),
  name: z.string().nullish(),
  flow_version: z.string().nullish(),
  parameters: JsonObject.nullish(),
  context: JsonObject.nullish(),
  parent_task_run_id: Uuid.nullish(),
  infrastructure_document_id: Uuid.nullish(),
  empirical_policy: JsonObject.nullish(),
  tags: Tags.nullish(),
  labels: Labels.nullish(),
  idempotency_key: z.string().nullish(),
  work_pool_name: ObjectName.nullish(),
  work_queue_name: ObjectName.nullish(),
  job_variables: JsonObject.nullish(),
  deployment_id: Uuid.nullish(),
});
export type CreateFlowRun = z.infer<typeof CreateFlowRun>;

/** Only the keys that are present change anything. */
export const UpdateFlowRun = z.strictObject({
  name: z.string().nullish(),
  flow_version: z.string().nullish(),
  parameters: JsonObject.optional(),
  empirical_policy: JsonObject.optional(),
  tags: Tags.optional(),
  infrastructure_pid: z.string().nullish(),
  job_variables: JsonObject.nullish(),
});
export type UpdateFlowRun = z.infer<typeof UpdateFlowRun>;

/** One item of `get_scheduled_flow_runs`. Older servers leave `flow_run.state` null there. */
export const ScheduledFlowRun = z.object({
  work_pool_id: Uuid,
  work_queue_id: Uuid,
  flow_run: ReceivedFlowRun,
});
export type ScheduledFlowRun = z.infer<typeof ScheduledFlowRun>;
