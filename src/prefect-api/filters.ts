import { z } from "zod";
import { ListedIds, ListedTexts, Uuid } from "./primitives.ts";
import { StateType } from "./states.ts";
import { Timestamp } from "./timestamp.ts";

// Prefect's filter vocabulary (surface §1.7). Field filters end in `_` on the wire. A null filter matches everything.

const operator = z.enum(["and_", "or_"]).default("and_");

/** Each of these values is compared with each row; lists of ids are looked up instead, and may be far longer. */
const MAX_COMPARED = 100;
/** Of a text search in logs; Prefect's limit. */
const MAX_QUERY_CHARACTERS = 200;
const ComparedTexts = z.array(z.string()).max(MAX_COMPARED).nullish();

const AnyId = z.strictObject({ any_: ListedIds }).nullish();
const AnyOrNotAnyId = z.strictObject({ any_: ListedIds, not_any_: ListedIds }).nullish();
const AnyOrNullId = z.strictObject({ operator, any_: ListedIds, is_null_: z.boolean().nullish() }).nullish();
const AnyText = z.strictObject({ any_: ListedTexts }).nullish();
const AnyOrLikeText = z.strictObject({ any_: ListedTexts, like_: z.string().nullish() }).nullish();
const AnyOrNullText = z.strictObject({ operator, any_: ListedTexts, is_null_: z.boolean().nullish() }).nullish();
const allTags = { operator, all_: ComparedTexts, is_null_: z.boolean().nullish() };
const AllTags = z.strictObject(allTags).nullish();
const AllOrAnyTags = z.strictObject({ ...allTags, any_: ComparedTexts }).nullish();
const timeRange = { before_: Timestamp.nullish(), after_: Timestamp.nullish() };
const TimeRange = z.strictObject(timeRange).nullish();
const TimeRangeOrNull = z.strictObject({ ...timeRange, is_null_: z.boolean().nullish() }).nullish();
const StateFilter = z
  .strictObject({
    operator,
    type: z
      .strictObject({
        any_: z.array(StateType).max(MAX_COMPARED).nullish(),
        not_any_: z.array(StateType).max(MAX_COMPARED).nullish(),
      })
      .nullish(),
    name: z.strictObject({ any_: ListedTexts, not_any_: ListedTexts }).nullish(),
  })
  .nullish();

const AnyStateFilter = z
  .strictObject({
    operator,
    type: z.strictObject({ any_: z.array(StateType).max(MAX_COMPARED).nullish() }).nullish(),
    name: AnyText,
  })
  .nullish();

export const FlowFilter = z
  .strictObject({
    operator,
    id: AnyOrNotAnyId,
    deployment: z.strictObject({ operator, is_null_: z.boolean().nullish() }).nullish(),
    name: AnyOrLikeText,
    tags: AllTags,
  })
  .nullish();
export type FlowFilter = z.infer<typeof FlowFilter>;

export const DeploymentFilter = z
  .strictObject({
    operator,
    id: AnyOrNotAnyId,
    name: AnyOrLikeText,
    flow_or_deployment_name: z.strictObject({ like_: z.string().nullish() }).nullish(),
    paused: z.strictObject({ eq_: z.boolean().nullish() }).nullish(),
    tags: AllOrAnyTags,
    work_queue_name: AnyText,
    concurrency_limit: z
      .strictObject({ ge_: z.number().nullish(), le_: z.number().nullish(), is_null_: z.boolean().nullish() })
      .nullish(),
  })
  .nullish();
export type DeploymentFilter = z.infer<typeof DeploymentFilter>;

export const FlowRunFilter = z
  .strictObject({
    operator,
    id: AnyOrNotAnyId,
    name: AnyOrLikeText,
    tags: AllOrAnyTags,
    deployment_id: AnyOrNullId,
    work_queue_name: AnyOrNullText,
    state: StateFilter,
    flow_version: AnyText,
    start_time: TimeRangeOrNull,
    end_time: TimeRangeOrNull,
    expected_start_time: TimeRange,
    next_scheduled_start_time: TimeRange,
    parent_flow_run_id: z.strictObject({ operator, any_: ListedIds }).nullish(),
    parent_task_run_id: AnyOrNullId,
    idempotency_key: z.strictObject({ any_: ListedTexts, not_any_: ListedTexts }).nullish(),
    created_by: z
      .strictObject({
        operator,
        id_: z.array(Uuid).max(MAX_COMPARED).nullish(),
        type_: ComparedTexts,
        is_null_: z.boolean().nullish(),
      })
      .nullish(),
  })
  .nullish();
export type FlowRunFilter = z.infer<typeof FlowRunFilter>;

export const TaskRunFilter = z
  .strictObject({
    operator,
    id: AnyId,
    name: AnyOrLikeText,
    tags: AllTags,
    state: AnyStateFilter,
    start_time: TimeRangeOrNull,
    end_time: TimeRangeOrNull,
    expected_start_time: TimeRange,
    subflow_runs: z.strictObject({ exists_: z.boolean().nullish() }).nullish(),
    // Prefect's default is false, and false without any_ asks for task runs of some flow run.
    flow_run_id: z
      .strictObject({ operator, any_: ListedIds, is_null_: z.boolean().nullable().default(false) })
      .nullish(),
  })
  .nullish();
export type TaskRunFilter = z.infer<typeof TaskRunFilter>;

export const WorkPoolFilter = z.strictObject({ operator, id: AnyId, name: AnyText, type: AnyText }).nullish();
export type WorkPoolFilter = z.infer<typeof WorkPoolFilter>;

export const WorkQueueFilter = z
  .strictObject({
    operator,
    id: AnyId,
    name: z.strictObject({ any_: ListedTexts, startswith_: ComparedTexts }).nullish(),
  })
  .nullish();
export type WorkQueueFilter = z.infer<typeof WorkQueueFilter>;

const WorkerStatuses = z.array(z.enum(["ONLINE", "OFFLINE"])).nullish();
export const WorkerFilter = z
  .strictObject({
    operator,
    last_heartbeat_time: TimeRange,
    status: z.strictObject({ any_: WorkerStatuses, not_any_: WorkerStatuses }).nullish(),
  })
  .nullish();
export type WorkerFilter = z.infer<typeof WorkerFilter>;

export const LogFilter = z
  .strictObject({
    operator,
    level: z.strictObject({ ge_: z.number().nullish(), le_: z.number().nullish() }).nullish(),
    timestamp: TimeRange,
    flow_run_id: AnyId,
    task_run_id: z.strictObject({ any_: ListedIds, is_null_: z.boolean().nullish() }).nullish(),
    text: z.strictObject({ query: z.string().max(MAX_QUERY_CHARACTERS) }).nullish(),
  })
  .nullish();
export type LogFilter = z.infer<typeof LogFilter>;

export const VariableFilter = z.strictObject({ operator, id: AnyId, name: AnyOrLikeText, tags: AllTags }).nullish();
export type VariableFilter = z.infer<typeof VariableFilter>;

export const AutomationFilter = z
  .strictObject({
    operator,
    id: AnyId,
    name: AnyText,
    created: z.strictObject({ before_: Timestamp.nullish() }).nullish(),
    tags: AllOrAnyTags,
  })
  .nullish();
export type AutomationFilter = z.infer<typeof AutomationFilter>;

// Bodies of routes drop unknown keys, unlike the filters inside them: Prefect's do, and its clients send some
// (`work_queues` with `/flows/filter`).

/** The filters that every `…/filter` route of runs, flows and deployments takes together. */
const crossObjectFilters = {
  flows: FlowFilter,
  flow_runs: FlowRunFilter,
  task_runs: TaskRunFilter,
  deployments: DeploymentFilter,
  work_pools: WorkPoolFilter,
  work_pool_queues: WorkQueueFilter,
};

/**
 * `limit` and `offset` of every list. Both ends of a limit are checked by the route, which must answer Prefect's own text.
 */
export const paging = {
  limit: z.number().int().nullish(),
  // The real client sends null with `workers/filter`.
  offset: z
    .number()
    .int()
    .nonnegative()
    .nullish()
    .transform((offset) => offset ?? 0),
};

/** A key that is null counts as absent, here as for every key of these bodies: real clients send `sort: null`. */
function sortBy<const Names extends readonly string[]>(names: Names, preferred: Names[number]) {
  return z
    .enum(names)
    .nullish()
    .transform((name) => name ?? preferred);
}

const NAMED_SORTS = ["CREATED_DESC", "UPDATED_DESC", "NAME_ASC", "NAME_DESC"] as const;

export const FilterFlows = z.object({
  ...crossObjectFilters,
  sort: sortBy(NAMED_SORTS, "NAME_ASC"),
  ...paging,
});
export type FilterFlows = z.infer<typeof FilterFlows>;

export const FilterDeployments = z.object({
  ...crossObjectFilters,
  sort: sortBy(NAMED_SORTS, "NAME_ASC"),
  ...paging,
});
export type FilterDeployments = z.infer<typeof FilterDeployments>;

export const FLOW_RUN_SORTS = [
  "ID_DESC",
  "START_TIME_ASC",
  "START_TIME_DESC",
  "EXPECTED_START_TIME_ASC",
  "EXPECTED_START_TIME_DESC",
  "NAME_ASC",
  "NAME_DESC",
  "NEXT_SCHEDULED_START_TIME_ASC",
  "END_TIME_DESC",
] as const;

export const FilterFlowRuns = z.object({
  ...crossObjectFilters,
  sort: sortBy(FLOW_RUN_SORTS, "ID_DESC"),
  ...paging,
});
export type FilterFlowRuns = z.infer<typeof FilterFlowRuns>;

export const TASK_RUN_SORTS = [
  "ID_DESC",
  "EXPECTED_START_TIME_ASC",
  "EXPECTED_START_TIME_DESC",
  "NAME_ASC",
  "NAME_DESC",
  "NEXT_SCHEDULED_START_TIME_ASC",
  "END_TIME_DESC",
  "DURATION_DESC",
  "DURATION_ASC",
] as const;

export const FilterTaskRuns = z.object({
  ...crossObjectFilters,
  sort: sortBy(TASK_RUN_SORTS, "ID_DESC"),
  ...paging,
});
export type FilterTaskRuns = z.infer<typeof FilterTaskRuns>;

export const FilterWorkPools = z.object({ work_pools: WorkPoolFilter, ...paging });
export const FilterWorkQueues = z.object({ work_queues: WorkQueueFilter, ...paging });
export const FilterWorkers = z.object({ workers: WorkerFilter, ...paging });
export const FilterLogs = z.object({
  logs: LogFilter,
  sort: sortBy(["TIMESTAMP_ASC", "TIMESTAMP_DESC"], "TIMESTAMP_ASC"),
  ...paging,
});
export type FilterLogs = z.infer<typeof FilterLogs>;
export const FilterVariables = z.object({
  variables: VariableFilter,
  sort: sortBy(["CREATED_DESC", "UPDATED_DESC", "NAME_ASC", "NAME_DESC"], "NAME_ASC"),
  ...paging,
});
export type FilterVariables = z.infer<typeof FilterVariables>;
export const FilterAutomations = z.object({
  automations: AutomationFilter,
  sort: sortBy(["CREATED_DESC", "UPDATED_DESC", "NAME_ASC", "NAME_DESC"], "NAME_ASC"),
  ...paging,
});
