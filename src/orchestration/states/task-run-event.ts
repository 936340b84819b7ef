import { z } from "zod";
import type { ReceivedEvent } from "../../prefect-api/events.ts";
import { isUuid, Labels, Tags } from "../../prefect-api/primitives.ts";
import {
  completeStateDetails,
  defaultStateName,
  type State,
  StateDetailsInput,
  StateType,
} from "../../prefect-api/states.ts";
import { type TaskRun, TaskRunPolicy } from "../../prefect-api/task-runs.ts";
import { Timestamp } from "../../prefect-api/timestamp.ts";

/** Keys that are absent keep what is stored: engines send the whole task run, other emitters may not. */
const TaskRunPayload = z.object({
  name: z.string().optional(),
  task_key: z.string(),
  dynamic_key: z.union([z.string(), z.number()]).transform(String),
  cache_key: z.string().nullish(),
  cache_expiration: Timestamp.nullish(),
  task_version: z.string().nullish(),
  empirical_policy: TaskRunPolicy.optional(),
  tags: Tags.optional(),
  labels: Labels.nullish(),
  task_inputs: z.record(z.string(), z.array(z.unknown())).optional(),
  run_count: z.number().int().optional(),
  flow_run_run_count: z.number().int().optional(),
  expected_start_time: Timestamp.nullish(),
  next_scheduled_start_time: Timestamp.nullish(),
  start_time: Timestamp.nullish(),
  end_time: Timestamp.nullish(),
  total_run_time: z.number().optional(),
});
export type TaskRunPayload = z.infer<typeof TaskRunPayload>;

const Payload = z.object({
  task_run: TaskRunPayload,
  validated_state: z.object({
    type: StateType,
    name: z.string().nullish(),
    message: z.string().nullish(),
    data: z.unknown().optional(),
    state_details: StateDetailsInput.nullish(),
  }),
});

export interface TaskRunReport {
  taskRunId: string;
  flowRunId: string | null;
  taskRun: TaskRunPayload;
  state: State;
}

/**
 * Reads the state change of a task run out of an event that an engine sent: task runs reach the server in no other way.
 * Answers undefined for every other event, and for one whose payload is no task run (it stays a plain event).
 */
export function parseTaskRunEvent(event: ReceivedEvent): TaskRunReport | undefined {
  if (!event.event.startsWith("prefect.task-run.") || event.resource["prefect.orchestration"] !== "client") {
    return undefined;
  }
  const taskRunId = objectId(event.resource["prefect.resource.id"], "prefect.task-run.");
  const payload = Payload.safeParse(event.payload);
  if (taskRunId === null || !payload.success) {
    return undefined;
  }
  const flowRun = event.related.find((related) => related["prefect.resource.role"] === "flow-run");
  const flowRunId = objectId(flowRun?.["prefect.resource.id"], "prefect.flow-run.");
  const proposed = payload.data.validated_state;
  const state: State = {
    id: event.id,
    type: proposed.type,
    name: proposed.name ?? defaultStateName(proposed.type),
    timestamp: event.occurred,
    message: proposed.message ?? null,
    data: proposed.data ?? null,
    state_details: {
      ...completeStateDetails(proposed.state_details ?? {}),
      flow_run_id: flowRunId,
      task_run_id: taskRunId,
    },
  };
  return { taskRunId, flowRunId, taskRun: payload.data.task_run, state };
}

function objectId(resourceId: string | undefined, prefix: string): string | null {
  const id = resourceId?.startsWith(prefix) ? resourceId.slice(prefix.length).toLowerCase() : "";
  return isUuid(id) ? id : null;
}

/**
 * What a report makes of the task run. Events of one run arrive in any order and more than once, also after its flow
 * ended: only a report that is later than what is stored changes it. Answers undefined for one that only adds history.
 */
export function decideTaskRun(
  stored: TaskRun | undefined,
  { taskRunId, flowRunId, taskRun, state }: TaskRunReport,
  now: Timestamp,
): TaskRun | undefined {
  if (stored?.state && stored.state.timestamp >= state.timestamp) {
    return undefined;
  }
  const base = stored ?? buildNewTaskRun(taskRunId, taskRun, now);
  return {
    ...base,
    ...withoutAbsent(taskRun),
    labels: taskRun.labels ?? base.labels,
    flow_run_id: flowRunId,
    updated: now,
    state_id: state.id,
    state_type: state.type,
    state_name: state.name,
    state: { ...state, state_details: { ...state.state_details, task_run_id: base.id } },
  };
}

function buildNewTaskRun(id: string, { task_key, dynamic_key }: TaskRunPayload, now: Timestamp): TaskRun {
  return {
    id,
    created: now,
    updated: now,
    name: `${task_key}-${dynamic_key}`,
    task_key,
    dynamic_key,
    empirical_policy: TaskRunPolicy.parse({}),
    tags: [],
    labels: {},
    task_inputs: {},
    run_count: 0,
    flow_run_run_count: 0,
    total_run_time: 0,
    estimated_run_time: 0,
    estimated_start_time_delta: 0,
    state: null,
  };
}

type Present<T> = { [Key in keyof T]?: Exclude<T[Key], undefined> };

/** Absent keys of a parsed object may be there with the value undefined, which would hide what is stored. */
function withoutAbsent<T extends object>(value: T): Present<T> {
  const entries = Object.entries(value).filter(([, one]) => one !== undefined);
  const present: object = Object.fromEntries(entries);
  return present;
}
