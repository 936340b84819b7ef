import { type RawBuilder, type SqlBool, sql } from "kysely";
import type {
  DeploymentFilter,
  FlowFilter,
  FlowRunFilter,
  TaskRunFilter,
  WorkPoolFilter,
  WorkQueueFilter,
} from "../prefect-api/filters.ts";
import {
  anyOf,
  between,
  type Condition,
  combine,
  containsText,
  isNull,
  likeText,
  matchId,
  matchIdOrNull,
  matchState,
  matchTags,
  matchTime,
  startsWithAny,
} from "./conditions.ts";

// Prefect's filters as SQL (surface §1.7). Each function speaks of one alias: f flows, d deployments, r flow_runs,
// t task_runs, q work_queues, p work_pools. An absent filter gives no condition.

export interface CrossFilters {
  flows?: FlowFilter;
  flow_runs?: FlowRunFilter;
  task_runs?: TaskRunFilter;
  deployments?: DeploymentFilter;
  work_pools?: WorkPoolFilter;
  work_pool_queues?: WorkQueueFilter;
}

export function matchFlow(filter: FlowFilter): Condition | undefined {
  if (!filter) {
    return undefined;
  }
  const withoutDeployment = filter.deployment?.is_null_;
  return combine(filter.operator, [
    ...matchId("f.id", filter.id),
    ...anyOf("f.name", filter.name?.any_),
    ...likeText("f.name", filter.name?.like_),
    ...matchTags("f.tags", filter.tags),
    withoutDeployment === null || withoutDeployment === undefined
      ? undefined
      : sql<SqlBool>`${sql.raw(withoutDeployment ? "not" : "")} exists (select 1 from deployments d where d.flow_id = f.id)`,
  ]);
}

export function matchDeployment(filter: DeploymentFilter): Condition | undefined {
  if (!filter) {
    return undefined;
  }
  const either = filter.flow_or_deployment_name?.like_;
  const limit = filter.concurrency_limit;
  const paused = filter.paused?.eq_;
  return combine(filter.operator, [
    ...matchId("d.id", filter.id),
    ...anyOf("d.name", filter.name?.any_),
    ...likeText("d.name", filter.name?.like_),
    ...(either
      ? [
          combine("or_", [
            ...likeText("d.name", either),
            sql<SqlBool>`exists (select 1 from flows f where f.id = d.flow_id and ${combine("and_", likeText("f.name", either))})`,
          ]),
        ]
      : []),
    paused === null || paused === undefined ? undefined : sql<SqlBool>`d.paused = ${paused ? 1 : 0}`,
    ...matchTags("d.tags", filter.tags),
    filter.work_queue_name?.any_
      ? within(
          sql`select 1 from work_queues q where q.id = d.work_queue_id`,
          anyOf("q.name", filter.work_queue_name.any_),
        )
      : undefined,
    ...(limit && (typeof limit.ge_ === "number" || typeof limit.le_ === "number")
      ? [
          within(
            sql`select 1 from concurrency_limits c where c.id = d.concurrency_limit_id`,
            between('c."limit"', limit.ge_, limit.le_),
          ),
        ]
      : []),
    ...isNull("d.concurrency_limit_id", limit?.is_null_),
  ]);
}

export function matchFlowRun(filter: FlowRunFilter): Condition | undefined {
  if (!filter) {
    return undefined;
  }
  return combine(filter.operator, [
    ...matchId("r.id", filter.id),
    ...anyOf("r.name", filter.name?.any_),
    ...likeText("r.name", filter.name?.like_),
    ...matchTags("r.tags", filter.tags),
    matchIdOrNull("r.deployment_id", filter.deployment_id),
    matchQueueName(filter.work_queue_name),
    matchState("r", filter.state),
    ...anyOf("r.flow_version", filter.flow_version?.any_),
    ...matchTime("r.start_time", filter.start_time),
    ...matchTime("r.end_time", filter.end_time),
    ...matchTime("r.expected_start_time", filter.expected_start_time),
    ...matchTime("r.next_scheduled_start_time", filter.next_scheduled_start_time),
    filter.parent_flow_run_id?.any_
      ? within(
          sql`select 1 from task_runs t where t.id = r.parent_task_run_id`,
          anyOf("t.flow_run_id", filter.parent_flow_run_id.any_),
        )
      : undefined,
    matchIdOrNull("r.parent_task_run_id", filter.parent_task_run_id),
    ...matchId("r.idempotency_key", filter.idempotency_key),
    ...matchCreatedBy(filter.created_by),
  ]);
}

function matchQueueName(filter: NonNullable<FlowRunFilter>["work_queue_name"]): Condition | undefined {
  if (!filter) {
    return undefined;
  }
  return combine(filter.operator, [
    filter.any_
      ? within(sql`select 1 from work_queues q where q.id = r.work_queue_id`, anyOf("q.name", filter.any_))
      : undefined,
    ...isNull("r.work_queue_id", filter.is_null_),
  ]);
}

/** `created_by` is JSON text that we wrote, so its keys can be found as text. */
function matchCreatedBy(filter: NonNullable<FlowRunFilter>["created_by"]): (Condition | undefined)[] {
  const has = (key: string, values: readonly string[] | null | undefined) =>
    values
      ? combine("or_", [
          ...values.map((value) => containsText("r.created_by", `"${key}":${JSON.stringify(value)}`)),
          ...(values.length === 0 ? [sql<SqlBool>`1 = 0`] : []),
        ])
      : undefined;
  return [has("id", filter?.id_), has("type", filter?.type_), ...isNull("r.created_by", filter?.is_null_)];
}

export function matchTaskRun(filter: TaskRunFilter): Condition | undefined {
  if (!filter) {
    return undefined;
  }
  const withSubflow = filter.subflow_runs?.exists_;
  return combine(filter.operator, [
    ...anyOf("t.id", filter.id?.any_),
    ...anyOf("t.name", filter.name?.any_),
    ...likeText("t.name", filter.name?.like_),
    ...matchTags("t.tags", filter.tags),
    matchState("t", filter.state),
    ...matchTime("t.start_time", filter.start_time),
    ...matchTime("t.end_time", filter.end_time),
    ...matchTime("t.expected_start_time", filter.expected_start_time),
    withSubflow === null || withSubflow === undefined
      ? undefined
      : sql<SqlBool>`${sql.raw(withSubflow ? "" : "not")} exists (select 1 from flow_runs c where c.parent_task_run_id = t.id)`,
    matchIdOrNull("t.flow_run_id", filter.flow_run_id),
  ]);
}

export function matchWorkPool(filter: WorkPoolFilter): Condition | undefined {
  if (!filter) {
    return undefined;
  }
  return combine(filter.operator, [
    ...anyOf("p.id", filter.id?.any_),
    ...anyOf("p.name", filter.name?.any_),
    ...anyOf("p.type", filter.type?.any_),
  ]);
}

export function matchWorkQueue(filter: WorkQueueFilter): Condition | undefined {
  if (!filter) {
    return undefined;
  }
  return combine(filter.operator, [
    ...anyOf("q.id", filter.id?.any_),
    ...anyOf("q.name", filter.name?.any_),
    ...startsWithAny("q.name", filter.name?.startswith_),
  ]);
}

function within(subselect: RawBuilder<unknown>, conditions: (Condition | undefined)[]): Condition {
  return sql<SqlBool>`exists (${subselect} and ${combine("and_", conditions)})`;
}

function exists(subselect: RawBuilder<unknown>, condition: Condition | undefined): Condition | undefined {
  return condition === undefined ? undefined : sql<SqlBool>`exists (${subselect} and ${condition})`;
}

/** All filters of one request as one condition on flow runs `r`. */
export function crossMatchFlowRuns(filters: CrossFilters): Condition {
  const queue = sql`select 1 from work_queues q join work_pools p on p.id = q.work_pool_id where q.id = r.work_queue_id`;
  return combine("and_", [
    matchFlowRun(filters.flow_runs),
    exists(sql`select 1 from flows f where f.id = r.flow_id`, matchFlow(filters.flows)),
    exists(sql`select 1 from deployments d where d.id = r.deployment_id`, matchDeployment(filters.deployments)),
    exists(sql`select 1 from task_runs t where t.flow_run_id = r.id`, matchTaskRun(filters.task_runs)),
    exists(queue, matchWorkPool(filters.work_pools)),
    exists(queue, matchWorkQueue(filters.work_pool_queues)),
  ]);
}

/** All filters of one request as one condition on task runs `t`. */
export function crossMatchTaskRuns(filters: CrossFilters): Condition {
  const run = sql`select 1 from flow_runs r where r.id = t.flow_run_id`;
  const { task_runs: taskRuns, ...others } = filters;
  const throughRun = Object.values(others).some((filter) => filter !== null && filter !== undefined);
  return combine("and_", [
    matchTaskRun(taskRuns),
    throughRun ? sql<SqlBool>`exists (${run} and ${crossMatchFlowRuns(others)})` : undefined,
  ]);
}

/** All filters of one request as one condition on flows `f`. */
export function crossMatchFlows(filters: CrossFilters): Condition {
  const queue = sql`select 1 from deployments d join work_queues q on q.id = d.work_queue_id
    join work_pools p on p.id = q.work_pool_id where d.flow_id = f.id`;
  return combine("and_", [
    matchFlow(filters.flows),
    exists(sql`select 1 from flow_runs r where r.flow_id = f.id`, matchFlowRun(filters.flow_runs)),
    exists(
      sql`select 1 from task_runs t join flow_runs r on r.id = t.flow_run_id where r.flow_id = f.id`,
      matchTaskRun(filters.task_runs),
    ),
    exists(sql`select 1 from deployments d where d.flow_id = f.id`, matchDeployment(filters.deployments)),
    exists(queue, matchWorkPool(filters.work_pools)),
    exists(queue, matchWorkQueue(filters.work_pool_queues)),
  ]);
}

/** All filters of one request as one condition on deployments `d`. */
export function crossMatchDeployments(filters: CrossFilters): Condition {
  const queue = sql`select 1 from work_queues q join work_pools p on p.id = q.work_pool_id where q.id = d.work_queue_id`;
  return combine("and_", [
    matchDeployment(filters.deployments),
    exists(sql`select 1 from flows f where f.id = d.flow_id`, matchFlow(filters.flows)),
    exists(sql`select 1 from flow_runs r where r.deployment_id = d.id`, matchFlowRun(filters.flow_runs)),
    exists(
      sql`select 1 from task_runs t join flow_runs r on r.id = t.flow_run_id where r.deployment_id = d.id`,
      matchTaskRun(filters.task_runs),
    ),
    exists(queue, matchWorkPool(filters.work_pools)),
    exists(queue, matchWorkQueue(filters.work_pool_queues)),
  ]);
}
