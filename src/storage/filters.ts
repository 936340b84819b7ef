import { type RawBuilder, type SqlBool, sql } from "kysely";
import type {
  DeploymentFilter,
  FlowFilter,
  TaskRunFilter,
  WorkPoolFilter,
  WorkQueueFilter,
} from "../prefect-api/filters.ts";
import {
  anyOf,
  between,
  type Condition,
  combine,
  field,
  isNull,
  likeText,
  matchId,
  matchState,
  matchTags,
  matchTime,
  startsWithAny,
} from "./conditions.ts";

// Prefect's filters as SQL (surface §1.7). Each function speaks of one alias: f flows, d deployments, r flow_runs,
// t task_runs, q work_queues, p work_pools. An absent filter gives no condition. Flow runs: `flow-run-filter.ts`.

export function matchFlow(filter: FlowFilter): Condition | undefined {
  if (!filter) {
    return undefined;
  }
  const withoutDeployment = filter.deployment?.is_null_;
  return combine(filter.operator, [
    field(filter.id, matchId("f.id", filter.id)),
    field(
      filter.deployment,
      typeof withoutDeployment === "boolean"
        ? [
            sql<SqlBool>`${sql.raw(withoutDeployment ? "not" : "")} exists (select 1 from deployments d where d.flow_id = f.id)`,
          ]
        : [],
    ),
    field(filter.name, [...anyOf("f.name", filter.name?.any_), ...likeText("f.name", filter.name?.like_)]),
    field(filter.tags, matchTags("f.tags", filter.tags)),
  ]);
}

export function matchDeployment(filter: DeploymentFilter): Condition | undefined {
  if (!filter) {
    return undefined;
  }
  const paused = filter.paused?.eq_;
  return combine(filter.operator, [
    field(filter.id, matchId("d.id", filter.id)),
    field(filter.name, [...anyOf("d.name", filter.name?.any_), ...likeText("d.name", filter.name?.like_)]),
    field(filter.flow_or_deployment_name, matchEitherName(filter.flow_or_deployment_name?.like_)),
    field(filter.paused, typeof paused === "boolean" ? [sql<SqlBool>`d.paused = ${paused ? 1 : 0}`] : []),
    field(filter.tags, matchTags("d.tags", filter.tags)),
    field(
      filter.work_queue_name,
      filter.work_queue_name?.any_
        ? [
            within(
              sql`select 1 from work_queues q where q.id = d.work_queue_id`,
              anyOf("q.name", filter.work_queue_name.any_),
            ),
          ]
        : [],
    ),
    field(filter.concurrency_limit, matchLimit(filter.concurrency_limit)),
  ]);
}

function matchEitherName(text: string | null | undefined): Condition[] {
  if (!text) {
    return [];
  }
  const flow = sql`select 1 from flows f where f.id = d.flow_id`;
  return [combine("or_", [...likeText("d.name", text), within(flow, likeText("f.name", text))])];
}

function matchLimit(limit: NonNullable<DeploymentFilter>["concurrency_limit"]): Condition[] {
  const bounds = between('c."limit"', limit?.ge_, limit?.le_);
  return [
    ...(bounds.length === 0
      ? []
      : [within(sql`select 1 from concurrency_limits c where c.id = d.concurrency_limit_id`, bounds)]),
    ...isNull("d.concurrency_limit_id", limit?.is_null_),
  ];
}

export function matchTaskRun(filter: TaskRunFilter): Condition | undefined {
  if (!filter) {
    return undefined;
  }
  const withSubflow = filter.subflow_runs?.exists_;
  return combine(filter.operator, [
    field(filter.id, anyOf("t.id", filter.id?.any_)),
    field(filter.name, [...anyOf("t.name", filter.name?.any_), ...likeText("t.name", filter.name?.like_)]),
    field(filter.tags, matchTags("t.tags", filter.tags)),
    matchState("t", filter.state),
    field(filter.start_time, matchTime("t.start_time", filter.start_time)),
    field(filter.end_time, matchTime("t.end_time", filter.end_time)),
    field(filter.expected_start_time, matchTime("t.expected_start_time", filter.expected_start_time)),
    field(
      filter.subflow_runs,
      typeof withSubflow === "boolean"
        ? [
            sql<SqlBool>`${sql.raw(withSubflow ? "" : "not")} exists (select 1 from flow_runs c where c.parent_task_run_id = t.id)`,
          ]
        : [],
    ),
    field(filter.flow_run_id, matchFlowRunOfTask(filter.flow_run_id)),
  ]);
}

/** As Prefect: `is_null_: true` is all that counts, and its default `false` says something only without `any_`. */
function matchFlowRunOfTask(filter: NonNullable<TaskRunFilter>["flow_run_id"]): Condition[] {
  if (filter?.is_null_ === true) {
    return isNull("t.flow_run_id", true);
  }
  return filter?.any_ ? anyOf("t.flow_run_id", filter.any_) : isNull("t.flow_run_id", filter?.is_null_);
}

export function matchWorkPool(filter: WorkPoolFilter): Condition | undefined {
  if (!filter) {
    return undefined;
  }
  return combine(filter.operator, [
    field(filter.id, anyOf("p.id", filter.id?.any_)),
    field(filter.name, anyOf("p.name", filter.name?.any_)),
    field(filter.type, anyOf("p.type", filter.type?.any_)),
  ]);
}

export function matchWorkQueue(filter: WorkQueueFilter): Condition | undefined {
  if (!filter) {
    return undefined;
  }
  return combine(filter.operator, [
    field(filter.id, anyOf("q.id", filter.id?.any_)),
    field(filter.name, [...anyOf("q.name", filter.name?.any_), ...startsWithAny("q.name", filter.name?.startswith_)]),
  ]);
}

export function within(subselect: RawBuilder<unknown>, conditions: (Condition | undefined)[]): Condition {
  return sql<SqlBool>`exists (${subselect} and ${combine("and_", conditions)})`;
}
