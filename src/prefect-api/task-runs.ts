import { z } from "zod";
import { JsonObject, Labels, Tags, Uuid } from "./primitives.ts";
import { ReceivedState, type State, StateCreate, StateType } from "./states.ts";
import { Timestamp } from "./timestamp.ts";

/** Retry settings of a task. Engines leave out what is null; every key is sent. */
export const TaskRunPolicy = z.object({
  max_retries: z
    .number()
    .nullish()
    .transform((value) => value ?? 0),
  retry_delay_seconds: z
    .number()
    .nullish()
    .transform((value) => value ?? 0),
  retries: z
    .number()
    .nullish()
    .transform((value) => value ?? null),
  retry_delay: z
    .union([z.number(), z.array(z.number())])
    .nullish()
    .transform((value) => value ?? null),
  retry_jitter_factor: z
    .number()
    .nullish()
    .transform((value) => value ?? null),
});

const taskRunKeys = {
  id: Uuid,
  created: Timestamp,
  updated: Timestamp,
  name: z.string(),
  flow_run_id: Uuid.nullish(),
  task_key: z.string(),
  dynamic_key: z.string(),
  cache_key: z.string().nullish(),
  cache_expiration: Timestamp.nullish(),
  task_version: z.string().nullish(),
  empirical_policy: JsonObject,
  tags: Tags,
  labels: Labels.nullish(),
  state_id: Uuid.nullish(),
  task_inputs: z.record(z.string(), z.array(z.unknown())),
  state_type: StateType.nullish(),
  state_name: z.string().nullish(),
  run_count: z.number(),
  flow_run_run_count: z.number(),
  expected_start_time: Timestamp.nullish(),
  next_scheduled_start_time: Timestamp.nullish(),
  start_time: Timestamp.nullish(),
  end_time: Timestamp.nullish(),
  total_run_time: z.number(),
  estimated_run_time: z.number(),
  estimated_start_time_delta: z.number(),
};

export const ReceivedTaskRun = z.object({ ...taskRunKeys, state: ReceivedState.nullish() });
export type ReceivedTaskRun = z.infer<typeof ReceivedTaskRun>;
export type TaskRun = Omit<ReceivedTaskRun, "state"> & { state: State | null };

export const CreateTaskRun = z.strictObject({
  id: Uuid.nullish(),
  state: StateCreate.nullish(),
  name: z.string().nullish(),
  flow_run_id: Uuid.nullish(),
  task_key: z.string(),
  dynamic_key: z.string(),
  cache_key: z.string().nullish(),
  cache_expiration: Timestamp.nullish(),
  task_version: z.string().nullish(),
  empirical_policy: TaskRunPolicy.nullish(),
  tags: Tags.nullish(),
  labels: Labels.nullish(),
  task_inputs: z.record(z.string(), z.array(z.unknown())).nullish(),
});
export type CreateTaskRun = z.infer<typeof CreateTaskRun>;
