import { type SqlBool, sql } from "kysely";
import type { FlowRunFilter } from "../prefect-api/filters.ts";
import {
  anyOf,
  between,
  type Condition,
  combine,
  compact,
  containsText,
  field,
  isNull,
  likeText,
  matchId,
  matchIdOrNull,
  matchState,
  matchTags,
} from "./conditions.ts";
import { within } from "./filters.ts";
import { listValues, type Part } from "./walk-plan.ts";

/** When a run started, or is to start: what `start_time` means in a filter and in an order of flow runs. */
export const START = "coalesce(r.start_time, r.expected_start_time)";
export const EXPECTED_START = "r.expected_start_time";
export const NEXT_START = "r.next_scheduled_start_time";
export const END = "r.end_time";

/** What the indexes on a column of a run, a time and the id have. */
export const BY_DEPLOYMENT = { keys: [EXPECTED_START], covers: ["deployment_id"] };
export const BY_FLOW = { keys: [EXPECTED_START], covers: ["flow_id"] };
export const BY_STATE = { keys: [EXPECTED_START, START], covers: ["state_type", "state_name", "deployment_id"] };

/**
 * What a filter asks of flow runs `r`, all of it: one part for each field, with the index that finds it where there is
 * one; but for the tags, which the caller finds a way for, as for states a better one. A filter of alternatives is one part that no index finds.
 */
export function listFlowRunParts(filter: FlowRunFilter): Part[] {
  if (!filter) {
    return [];
  }
  if (filter.operator === "or_") {
    const condition = matchFlowRun(filter);
    return condition === undefined ? [] : [{ condition }];
  }
  return [...listLookups(filter), ...listTimes(filter), ...matchOthers(filter).map((condition) => ({ condition }))];
}

/** The same as one condition. */
export function matchFlowRun(filter: FlowRunFilter): Condition | undefined {
  if (!filter) {
    return undefined;
  }
  const fields = [
    ...listLookups(filter).map(({ condition }) => condition),
    ...matchTimes(filter),
    field(filter.tags, matchTags("r.tags", filter.tags)),
    ...matchOthers(filter),
  ];
  return combine(filter.operator, fields);
}

/** Fields that an index answers, when they list values. */
function listLookups(filter: NonNullable<FlowRunFilter>): Part[] {
  const { id, name, deployment_id: deployment, state, parent_task_run_id: parent } = filter;
  const { parent_flow_run_id: parentRun } = filter;
  return [
    ...part(field(id, matchId("r.id", id)), id?.any_ && { few: true }),
    ...part(
      field(name, [...anyOf("r.name", name?.any_), ...likeText("r.name", name?.like_)]),
      name?.any_ && { few: false },
    ),
    ...part(
      matchIdOrNull("r.deployment_id", deployment),
      isPlainList(deployment) && listValues("r.deployment_id", deployment.any_, BY_DEPLOYMENT),
    ),
    ...part(matchState("r", state), state?.type?.any_ && (state.operator === "and_" || !state.name) && { few: false }),
    ...part(
      field(
        parentRun,
        parentRun?.any_
          ? [
              sql<SqlBool>`r.parent_task_run_id in (select t.id from task_runs t where ${combine("and_", anyOf("t.flow_run_id", parentRun.any_))})`,
            ]
          : [],
      ),
      parentRun?.any_ && { few: true },
    ),
    ...part(matchIdOrNull("r.parent_task_run_id", parent), isPlainList(parent) && { few: true }),
  ];
}

function part(condition: Condition | undefined, lookup: Part["lookup"] | null | false): Part[] {
  if (condition === undefined) {
    return [];
  }
  return [{ condition, ...(lookup && { lookup }) }];
}

interface NullableList {
  any_?: string[] | null | undefined;
  is_null_?: boolean | null | undefined;
}

function isPlainList(filter: NullableList | null | undefined): filter is { any_: string[] } {
  return Array.isArray(filter?.any_) && typeof filter.is_null_ !== "boolean";
}

interface AskedTime {
  key: string;
  /** A stretch of the order by the key. */
  range: Condition[];
  nulls: Condition[];
}

function askTimes(filter: NonNullable<FlowRunFilter>): AskedTime[] {
  const { start_time: start, end_time: end, expected_start_time: expected, next_scheduled_start_time: next } = filter;
  const ask = (key: string, asked: TimeRange | null | undefined, nulls: Condition[] = []): AskedTime[] =>
    asked ? [{ key, range: between(key, asked.after_, asked.before_), nulls }] : [];
  return [
    ...ask(START, start, isNull("r.start_time", start?.is_null_)),
    ...ask(END, end, isNull(END, end?.is_null_)),
    ...ask(EXPECTED_START, expected),
    ...ask(NEXT_START, next),
  ];
}

interface TimeRange {
  before_?: string | null | undefined;
  after_?: string | null | undefined;
}

function listTimes(filter: NonNullable<FlowRunFilter>): Part[] {
  return askTimes(filter).flatMap(({ key, range, nulls }) => [
    ...(range.length === 0 ? [] : [{ key, condition: combine("and_", range) }]),
    ...nulls.map((condition) => ({ condition })),
  ]);
}

function matchTimes(filter: NonNullable<FlowRunFilter>): Condition[] {
  return askTimes(filter).map(({ range, nulls }) => combine("and_", [...range, ...nulls]));
}

function matchOthers(filter: NonNullable<FlowRunFilter>): Condition[] {
  return compact([
    matchQueueName(filter.work_queue_name),
    field(filter.flow_version, anyOf("r.flow_version", filter.flow_version?.any_)),
    field(filter.idempotency_key, matchId("r.idempotency_key", filter.idempotency_key)),
    matchCreatedBy(filter.created_by),
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
function matchCreatedBy(filter: NonNullable<FlowRunFilter>["created_by"]): Condition | undefined {
  if (!filter) {
    return undefined;
  }
  const has = (key: string, values: readonly string[] | null | undefined) =>
    values
      ? combine("or_", [
          sql<SqlBool>`1 = 0`,
          ...values.map((value) => containsText("r.created_by", `"${key}":${JSON.stringify(value)}`)),
        ])
      : undefined;
  return combine(filter.operator, [
    has("id", filter.id_),
    has("type", filter.type_),
    ...isNull("r.created_by", filter.is_null_),
  ]);
}
