import { type RawBuilder, type SqlBool, sql } from "kysely";
import { type Condition, combine } from "./conditions.ts";

/** One thing that is asked of every row, in terms of the table's alias. */
export interface Part {
  condition: Condition;
  lookup?: Lookup;
  /** The condition is a stretch of the order by this key. */
  key?: string;
  /** The same rows as an index finds them, if there is a way; it costs some milliseconds to know. */
  rewrite?: () => Promise<Condition | undefined>;
}

/** An index finds the rows of a part. */
export interface Lookup {
  /** Surely so few that one statement looks at all of them. */
  few: boolean;
  /** One condition for each value that is asked for, of which no row meets two. */
  values?: readonly Condition[];
  /** Keys that an index has the rows of each value in the order of, and then of the id. */
  keys?: readonly string[];
  /** What else is in those indexes. */
  covers?: readonly string[];
}

export interface Order {
  /** SQL of what is sorted by; equal rows follow by id. */
  key: string;
  direction: "asc" | "desc";
  /** Whether the key can be null, and whether the index has those rows. Nulls are the smallest, on every database. */
  nulls: "none" | "indexed" | "unindexed";
  /** Nobody asks for this order of everything, so there is no index on key and id; equal rows follow as said here. */
  withoutIndex?: { ties: string };
}

export interface Walk {
  order: Order;
  /** Each value's rows are walked through at the same time, in one order. */
  values: readonly Condition[];
  /** What an index tells without looking at the rows. */
  prefix: Condition[];
  /** Whether that is a range of the key, which no null is in. */
  isRange: boolean;
  rest: Condition[];
}

/** A part, and how many rows the index has for it. */
export interface Way {
  part: Part;
  size: number;
  /** The part that this one is another way to ask for. */
  instead?: Part;
}

export interface Keyed {
  sort_key: string | number | null;
  id: string;
}

/** What a statement of a walk is to take; the next one looks at so many more or less rows. */
const CHUNK_MS = 10;
const MIN_CHUNK_ROWS = 1000;
const MAX_CHUNK_ROWS = 16_000;

/** So many values at most are walked through at the same time. */
export const MAX_VALUES = 40;

export function toCondition({ condition }: Part): Condition {
  return condition;
}

/** Whether an index has the rows of the part in the order of the key. */
export function isInOrder({ lookup }: Part, key: string): boolean {
  return lookup?.keys?.includes(key) === true;
}

/** What an index in this order tells beforehand, and what only the rows tell. */
export function planWalk(parts: readonly Part[], order: Order, by: Part | undefined): Walk {
  const leading = by !== undefined && isInOrder(by, order.key) ? by : undefined;
  const isPrefix = (part: Part) => part.key === order.key;
  return {
    order,
    values: leading === undefined ? [] : valuesOf(leading),
    isRange: parts.some(isPrefix),
    prefix: parts.filter(isPrefix).map(toCondition),
    rest: parts.filter((part) => !isPrefix(part) && part !== leading).map(toCondition),
  };
}

/** Rows with one of some values of a column, with what its index has. */
export function listValues(column: string, listed: readonly string[], index: Pick<Lookup, "keys" | "covers">): Lookup {
  const values = [...new Set(listed)].map((value) => sql<SqlBool>`${sql.raw(column)} = ${value}`);
  return { few: false, ...(values.length > 0 && values.length <= MAX_VALUES && { values, ...index }) };
}

export function valuesOf({ condition, lookup }: Part): readonly Condition[] {
  return lookup?.values ?? [condition];
}

/** Stretches of the walk, without the rows whose key is null where they are none or come in a walk of their own. */
export function splitNulls(walk: Walk, alias: string): Walk[] {
  const { order, prefix, rest } = walk;
  if (order.nulls === "none" || walk.isRange) {
    return [walk];
  }
  const key = sql.raw(order.key);
  const isNull = sql<SqlBool>`${key} is null`;
  const byId: Order = { key: `${alias}.id`, direction: order.direction, nulls: "none" };
  const known = { ...walk, prefix: [...prefix, sql<SqlBool>`${key} is not null`] };
  const unknown: Walk =
    order.nulls === "indexed"
      ? { ...walk, order: byId, prefix: [...prefix, isNull] }
      : { ...walk, order: byId, prefix: [], rest: [isNull, ...prefix, ...rest] };
  return order.direction === "asc" ? [unknown, known] : [known, unknown];
}

/** `order by` of columns or expressions that stand for the order's key and for the id. */
export function orderBy(
  { direction, nulls, withoutIndex }: Order,
  names: { key: string; id: string },
): RawBuilder<unknown> {
  const place = nulls === "none" ? "" : ` nulls ${direction === "asc" ? "first" : "last"}`;
  const ties = withoutIndex?.ties ?? `${names.id} ${direction}`;
  return sql.raw(`order by ${names.key} ${direction}${place}${names.key === names.id ? "" : `, ${ties}`}`);
}

/** Rows after this one, in the order. */
export function beyond({ key, direction }: Order, alias: string, at: Keyed): Condition {
  const [column, id] = [sql.raw(key), sql.raw(`${alias}.id`)];
  return direction === "asc"
    ? sql<SqlBool>`(${column} >= ${at.sort_key} and (${column} > ${at.sort_key} or ${id} > ${at.id}))`
    : sql<SqlBool>`(${column} <= ${at.sort_key} and (${column} < ${at.sort_key} or ${id} < ${at.id}))`;
}

/** Rows as far as this one, in the order. */
export function upTo({ key, direction }: Order, alias: string, at: Keyed): Condition {
  const [column, id] = [sql.raw(key), sql.raw(`${alias}.id`)];
  return direction === "asc"
    ? sql<SqlBool>`(${column} <= ${at.sort_key} and (${column} < ${at.sort_key} or ${id} <= ${at.id}))`
    : sql<SqlBool>`(${column} >= ${at.sort_key} and (${column} > ${at.sort_key} or ${id} >= ${at.id}))`;
}

/** Nulls are the smallest. */
export function byKey(direction: Order["direction"]): (one: Keyed, other: Keyed) => number {
  const sign = direction === "asc" ? 1 : -1;
  return ({ sort_key: one }, { sort_key: other }) => {
    if (one === other) {
      return 0;
    }
    return one === null || (other !== null && one < other) ? -sign : sign;
  };
}

/** All of these, and one of the values where there are some. */
export function eachValue(values: readonly Condition[], all: readonly Condition[]): Condition[] {
  return values.length === 0 ? [combine("and_", [...all])] : values.map((value) => combine("and_", [value, ...all]));
}

/** The key that all rows are walked by: one of the leading part's that a range is asked of, or else the first. */
export function chooseKey(parts: readonly Part[], leader: Part | undefined): string | undefined {
  const keys = leader?.lookup?.keys ?? [];
  return leader?.key ?? keys.find((key) => parts.some((part) => part.key === key)) ?? keys[0];
}

/** Rows of the next stretch. A statement that waited for others took longer than its rows cost: not below half at once. */
export function nextSize(rows: number, tookMs: number): number {
  const wanted = Math.round((rows * CHUNK_MS) / Math.max(tookMs, 0.1));
  return Math.min(MAX_CHUNK_ROWS, Math.max(MIN_CHUNK_ROWS, Math.ceil(rows / 2), Math.min(wanted, rows * 2)));
}
