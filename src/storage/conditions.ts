import { type RawBuilder, type SqlBool, sql } from "kysely";
import { parseTextQuery } from "../prefect-api/text-query.ts";
import { positionIn, selectTexts } from "./dialect.ts";

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

/** What one field of a filter asks for, all of it; `1 = 1` when it is there and asks for nothing, as in Prefect. */
export function field(filter: unknown, conditions: Condition[]): Condition | undefined {
  return filter === null || filter === undefined ? undefined : combine("and_", conditions);
}

export function compact<T>(values: (T | undefined)[]): T[] {
  return values.filter((value) => value !== undefined);
}

/** Longer lists travel as one JSON text: the number of a statement's parameters is limited. */
const MAX_LISTED = 100;

/** `(a, b, c)` for `in` and `not in`. */
export function listOf(values: readonly string[]): RawBuilder<unknown> {
  return values.length > MAX_LISTED ? selectTexts(values) : sql`(${sql.join(values.map((value) => sql.val(value)))})`;
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

/** A substring, whatever the case of its ASCII letters; `%` and `_` stand for themselves. */
export function likeText(column: string, text: Maybe<string>): Condition[] {
  return text ? [sql<SqlBool>`${positionIn(sql`lower(${sql.raw(column)})`, lowerAscii(text))} > 0`] : [];
}

/** What the databases' `lower` does to a column: it leaves all but ASCII as it is. */
function lowerAscii(text: string): string {
  return text.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase());
}

export function startsWithAny(column: string, prefixes: Maybe<readonly string[]>): Condition[] {
  if (!prefixes) {
    return [];
  }
  return [
    anyCondition(
      prefixes.map(
        (prefix) => sql<SqlBool>`substr(lower(${sql.raw(column)}), 1, ${[...prefix].length}) = ${lowerAscii(prefix)}`,
      ),
    ),
  ];
}

/** One of them; of none, nothing. */
function anyCondition(conditions: Condition[]): Condition {
  return conditions.length === 0 ? sql<SqlBool>`1 = 0` : combine("or_", conditions);
}

/** Exact text inside a column. */
export function containsText(column: string, text: string): Condition {
  return sql<SqlBool>`${positionIn(sql.raw(column), text)} > 0`;
}

export interface TagFilter {
  operator: Operator;
  all_?: Maybe<readonly string[]>;
  any_?: Maybe<readonly string[]>;
  is_null_?: Maybe<boolean>;
}

/** Tags are a JSON list that we wrote, so one tag is its own JSON text inside it. */
export function matchTags(column: string, filter: Maybe<TagFilter>): Condition[] {
  if (!filter) {
    return [];
  }
  const has = (tag: string) => containsText(column, JSON.stringify(tag));
  const empty = sql<SqlBool>`${sql.raw(column)} = '[]'`;
  const notEmpty = sql<SqlBool>`${sql.raw(column)} <> '[]'`;
  return [
    combine(filter.operator, [
      ...(filter.all_?.map(has) ?? []),
      filter.any_ ? anyCondition(filter.any_.map(has)) : undefined,
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

interface NamedState {
  operator: Operator;
  type?: Maybe<{ any_?: Maybe<readonly string[]>; not_any_?: Maybe<readonly string[]> }>;
  name?: Maybe<{ any_?: Maybe<readonly string[]>; not_any_?: Maybe<readonly string[]> }>;
}

export function matchState(alias: "r" | "t", filter: Maybe<NamedState>): Condition | undefined {
  if (!filter) {
    return undefined;
  }
  // A type or name that asks for nothing is no alternative here, unlike elsewhere.
  return combine(filter.operator, [
    both(matchId(`${alias}.state_type`, filter.type)),
    both(matchId(`${alias}.state_name`, filter.name)),
  ]);
}

function both(conditions: Condition[]): Condition | undefined {
  return conditions.length === 0 ? undefined : combine("and_", conditions);
}

/** Prefect's search language over a text. */
export function matchText(column: string, query: Maybe<string>): Condition[] {
  const { included, excluded, required } = parseTextQuery(query ?? "");
  return [
    ...(included.length === 0 ? [] : [anyCondition(included.flatMap((term) => likeText(column, term)))]),
    ...excluded.flatMap((term) => likeText(column, term).map((found) => sql<SqlBool>`not ${found}`)),
    ...required.flatMap((term) => likeText(column, term)),
  ];
}
