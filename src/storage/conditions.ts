import { type RawBuilder, type SqlBool, sql } from "kysely";
import type { FlowRunFilter, LogFilter, TaskRunFilter } from "../prefect-api/filters.ts";

export type Condition = RawBuilder<SqlBool>;
type Maybe<T> = T | null | undefined;
type Operator = "and_" | "or_";

/** Joins what is there; nothing at all matches everything. */
export function combine(operator: Operator, conditions: (Condition | undefined)[]): Condition {
  const present = compact(conditions);
  if (present.length === 0) {
    return sql<SqlBool>`1 = 1`;
  }
  return sql<SqlBool>`(${sql.join(present, operator === "or_" ? sql` or ` : sql` and `)})`;
}

export function compact<T>(values: (T | undefined)[]): T[] {
  return values.filter((value) => value !== undefined);
}

/** Longer lists travel as one JSON text: the number of a statement's parameters is limited. */
const MAX_LISTED = 100;

/** `(a, b, c)` for `in` and `not in`. */
export function listOf(values: readonly string[]): RawBuilder<unknown> {
  return values.length > MAX_LISTED
    ? sql`(select value from json_each(${JSON.stringify(values)}))`
    : sql`(${sql.join(values.map((value) => sql.val(value)))})`;
}

export function anyOf(column: string, values: Maybe<readonly string[]>): Condition[] {
  if (!values) {
    return [];
  }
  return values.length === 0 ? [sql<SqlBool>`1 = 0`] : [sql<SqlBool>`${sql.raw(column)} in ${listOf(values)}`];
}

function noneOf(column: string, values: Maybe<readonly string[]>): Condition[] {
  if (!values || values.length === 0) {
    return [];
  }
  return [sql<SqlBool>`${sql.raw(column)} not in ${listOf(values)}`];
}

export function matchId(
  column: string,
  filter: Maybe<{ any_?: Maybe<readonly string[]>; not_any_?: Maybe<readonly string[]> }>,
): Condition[] {
  return [...anyOf(column, filter?.any_), ...noneOf(column, filter?.not_any_)];
}

export function isNull(column: string, wanted: Maybe<boolean>): Condition[] {
  if (wanted === null || wanted === undefined) {
    return [];
  }
  return [sql<SqlBool>`${sql.raw(column)} is ${sql.raw(wanted ? "null" : "not null")}`];
}

export function matchIdOrNull(
  column: string,
  filter: Maybe<{ operator: Operator; any_?: Maybe<readonly string[]>; is_null_?: Maybe<boolean> }>,
): Condition | undefined {
  return filter
    ? combine(filter.operator, [...anyOf(column, filter.any_), ...isNull(column, filter.is_null_)])
    : undefined;
}

/**
 * A substring, whatever the case; `%` and `_` stand for themselves. The database lowers both sides, so that what it
 * cannot lower (all but ASCII) still finds itself.
 */
export function likeText(column: string, text: Maybe<string>): Condition[] {
  return text ? [sql<SqlBool>`instr(lower(${sql.raw(column)}), lower(${text})) > 0`] : [];
}

export function startsWithAny(column: string, prefixes: Maybe<readonly string[]>): Condition[] {
  if (!prefixes) {
    return [];
  }
  const conditions = prefixes.map(
    (prefix) => sql<SqlBool>`substr(lower(${sql.raw(column)}), 1, ${[...prefix].length}) = lower(${prefix})`,
  );
  return conditions.length === 0 ? [sql<SqlBool>`1 = 0`] : [combine("or_", conditions)];
}

/** Exact text inside a column. The one function whose name differs between databases: `strpos` on PostgreSQL. */
export function containsText(column: string, text: string): Condition {
  return sql<SqlBool>`instr(${sql.raw(column)}, ${text}) > 0`;
}

/** Tags are a JSON list that we wrote, so one tag is its own JSON text inside it. */
export function matchTags(column: string, filter: NonNullable<FlowRunFilter>["tags"]): Condition[] {
  if (!filter) {
    return [];
  }
  const has = (tag: string) => containsText(column, JSON.stringify(tag));
  const empty = sql<SqlBool>`${sql.raw(column)} = '[]'`;
  const notEmpty = sql<SqlBool>`${sql.raw(column)} <> '[]'`;
  return [
    combine(filter.operator, [
      ...(filter.all_?.map(has) ?? []),
      filter.any_ && filter.any_.length > 0 ? combine("or_", filter.any_.map(has)) : undefined,
      ...(filter.is_null_ === true ? [empty] : []),
      ...(filter.is_null_ === false ? [notEmpty] : []),
    ]),
  ];
}

export function matchTime(
  column: string,
  filter: Maybe<{ before_?: Maybe<string>; after_?: Maybe<string>; is_null_?: Maybe<boolean> }>,
): Condition[] {
  return filter ? [...between(column, filter.after_, filter.before_), ...isNull(column, filter.is_null_)] : [];
}

/** Both ends included. */
export function between(column: string, least: Maybe<string | number>, most: Maybe<string | number>): Condition[] {
  return compact([
    least === null || least === undefined ? undefined : sql<SqlBool>`${sql.raw(column)} >= ${least}`,
    most === null || most === undefined ? undefined : sql<SqlBool>`${sql.raw(column)} <= ${most}`,
  ]);
}

export function matchState(alias: "r" | "t", filter: NonNullable<TaskRunFilter>["state"]): Condition | undefined {
  return filter
    ? combine(filter.operator, [
        ...matchId(`${alias}.state_type`, filter.type),
        ...matchId(`${alias}.state_name`, filter.name),
      ])
    : undefined;
}

/** One condition on logs `l`. The text query is searched in message, blank, logger name. */
export function matchLog(filter: LogFilter): Condition {
  if (!filter) {
    return combine("and_", []);
  }
  return combine(filter.operator, [
    ...between("l.level", filter.level?.ge_, filter.level?.le_),
    ...matchTime("l.timestamp", filter.timestamp),
    ...anyOf("l.flow_run_id", filter.flow_run_id?.any_),
    ...anyOf("l.task_run_id", filter.task_run_id?.any_),
    ...isNull("l.task_run_id", filter.task_run_id?.is_null_),
    ...likeText("l.message || ' ' || l.name", filter.text?.query),
  ]);
}
