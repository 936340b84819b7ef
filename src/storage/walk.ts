import { setImmediate } from "node:timers/promises";
import { type Kysely, type RawBuilder, type SqlBool, sql } from "kysely";
import { UserError } from "../shared/errors.ts";
import { type Condition, combine } from "./conditions.ts";
import type { Database } from "./database-types.ts";

// How a table of millions of rows is searched. The database answers one statement at a time, and everything else waits
// for it (SQLite runs in this thread). So no statement here looks up more than some thousand rows: what takes longer is
// many statements, and other requests get their turn between them.

/** Rows that one statement may look up: some 20 ms where each is on a page of its own. */
const CHUNK_ROWS = 8000;
/** The first stretch is short: what is asked for is most often among the newest. */
const FIRST_CHUNK_ROWS = 2000;
/** Index entries that are counted to find the shorter of two ways. */
const MAX_PROBED = 100_000;

/** So many rows, and a page, are kept of an order that no index has. */
const MAX_OFFSET_WITHOUT_INDEX = 10_000;

/** One thing that is asked of every row, in terms of the table's alias. */
export interface Part {
  condition: Condition;
  /** An index finds these rows: `few`, or perhaps many; and perhaps in the order of the walk that has no other. */
  lookup?: { few: boolean; inOrder?: boolean };
  /** The condition is a stretch of the order by this key. */
  key?: string;
  /** The same rows as an index finds them, if there is a way; it costs some milliseconds to know. */
  rewrite?: () => Promise<Condition | undefined>;
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

export interface WalkedTable {
  table: "flow_runs" | "task_runs" | "logs";
  alias: "r" | "t" | "l";
  /** What conditions and orders may speak of; the less, the faster. */
  columns: readonly string[];
  /** The order in which everything is walked through when none is asked for; lookups that are `inOrder` are in it. */
  order: Order;
}

/** Rows that one statement can look at, and what is to be asked of them. */
interface Chunk {
  /** Of these rows what the rest and the given SQL read. */
  rows: (reads: string) => RawBuilder<unknown>;
  rest: Condition;
}

interface Walk {
  order: Order;
  /** What an index tells without looking at the rows. */
  prefix: Condition[];
  /** Whether that is a range of the key, which no null is in. */
  isRange: boolean;
  rest: Condition[];
}

interface Found {
  part: Part;
  size: number;
  /** The part that this one is another way to ask for. */
  instead?: Part;
}

interface Keyed {
  key: string | number | null;
  id: string;
}

interface Page {
  order: Order;
  limit: number;
  offset: number;
}

export class Walker {
  readonly #db: Kysely<Database>;
  readonly #table: WalkedTable;

  constructor(db: Kysely<Database>, table: WalkedTable) {
    this.#db = db;
    this.#table = table;
  }

  /** Ids of one page of the rows that are all that the parts ask for. */
  async listIds(parts: readonly Part[], page: Page): Promise<string[]> {
    const certain = parts.find(({ lookup }) => lookup?.few);
    if (certain !== undefined) {
      return this.#selectIds(this.#pick(parts, certain), page);
    }
    if (page.order.withoutIndex !== undefined) {
      return this.#selectTop(parts, page);
    }
    const isOwnOrder = page.order.key === this.#table.order.key;
    const natural = isOwnOrder ? parts.find(({ lookup }) => lookup?.inOrder) : undefined;
    const newest = this.#walk(planWalk(parts, page.order, natural), FIRST_CHUNK_ROWS, { whole: true });
    const first = await this.#collect(newest, { ...page, mostChunks: 1 });
    if (first.complete) {
      return first.ids;
    }
    const smallest = await this.#findSmallest(parts);
    if (smallest !== undefined && smallest.size <= CHUNK_ROWS) {
      return this.#selectIds(this.#pick(parts, smallest.part, smallest.instead), page);
    }
    const inOrder = isOwnOrder ? smallest?.part : undefined;
    const walk = this.#walk(planWalk(parts, page.order, inOrder), CHUNK_ROWS, { whole: true });
    return (await this.#collect(walk, { ...page, mostChunks: Number.POSITIVE_INFINITY })).ids;
  }

  async count(parts: readonly Part[]): Promise<number> {
    const [only] = parts;
    if (only === undefined || (parts.length === 1 && (only.lookup !== undefined || only.key !== undefined))) {
      return this.#countChunk({ rows: () => this.#named(), rest: only?.condition ?? combine("and_", []) });
    }
    const rewritten = parts.length === 1 ? await only.rewrite?.() : undefined;
    if (rewritten !== undefined) {
      return this.#countChunk({ rows: () => this.#named(), rest: rewritten });
    }
    let total = 0;
    for await (const chunk of this.#listChunks(parts)) {
      total += await this.#countChunk(chunk);
    }
    return total;
  }

  /** Columns of every row that is all that the parts ask for, some thousand rows at a time. */
  async *scan<T>(parts: readonly Part[], columns: RawBuilder<unknown>): AsyncGenerator<T[]> {
    for await (const { rows, rest } of this.#listChunks(parts)) {
      const from = rows(columns.compile(this.#db).sql);
      yield (await sql<T>`select ${columns} from ${from} where ${rest}`.execute(this.#db)).rows;
    }
  }

  /** Every row that the parts ask for, in no order that is promised. */
  async *#listChunks(parts: readonly Part[]): AsyncGenerator<Chunk> {
    const certain = parts.find(({ lookup }) => lookup?.few);
    const smallest: Found | undefined =
      certain === undefined ? await this.#findSmallest(parts) : { part: certain, size: 0 };
    if (smallest !== undefined && smallest.size <= CHUNK_ROWS) {
      yield this.#pick(parts, smallest.part, smallest.instead);
      return;
    }
    const key = smallest?.part.key ?? this.#table.order.key;
    const order: Order = key === this.#table.order.key ? this.#table.order : { key, direction: "desc", nulls: "none" };
    yield* this.#walk(planWalk(parts, order, smallest?.part), CHUNK_ROWS, { whole: false });
  }

  async #collect(
    chunks: AsyncGenerator<Chunk>,
    { mostChunks, ...page }: Page & { mostChunks: number },
  ): Promise<{ ids: string[]; complete: boolean }> {
    const ids: string[] = [];
    let skip = page.offset;
    let seen = 0;
    for await (const chunk of chunks) {
      if (seen === mostChunks) {
        return { ids, complete: false };
      }
      seen += 1;
      const found = await this.#selectIds(chunk, { ...page, limit: page.limit - ids.length, offset: skip });
      ids.push(...found);
      if (ids.length >= page.limit) {
        break;
      }
      skip = found.length > 0 || skip === 0 ? 0 : skip - (await this.#countChunk(chunk));
    }
    return { ids, complete: true };
  }

  /** A page of an order that no index has: all rows are looked at, and the first of them kept. */
  async #selectTop(parts: readonly Part[], page: Page): Promise<string[]> {
    if (page.offset > MAX_OFFSET_WITHOUT_INDEX) {
      throw new UserError(
        "INVALID_REQUEST",
        `Invalid offset: must be less than or equal to ${MAX_OFFSET_WITHOUT_INDEX} in this order, unless the filter lists ids or flow runs.`,
      );
    }
    const most = page.offset + page.limit;
    const key = sql`${sql.raw(page.order.key)} as key, ${sql.raw(this.#table.alias)}.id as id`;
    let top: Keyed[] = [];
    for await (const { rows, rest } of this.#listChunks(parts)) {
      const from = rows(readsOf(page.order));
      const found = await sql<Keyed>`select ${key} from ${from} where ${rest}
        order by ${this.#orderBy(page.order)} limit ${most}`.execute(this.#db);
      // The sort is stable, and chunks follow each other in the table's own order.
      top = [...top, ...found.rows].sort(byKey(page.order.direction)).slice(0, most);
    }
    return top.slice(page.offset).map(({ id }) => id);
  }

  /** The rows of one index entry, and the other parts asked of them. */
  #pick(parts: readonly Part[], by: Part, instead?: Part): Chunk {
    const others = parts.filter((part) => part !== by && part !== instead);
    const rest = combine("and_", others.map(toCondition));
    return {
      // The limit keeps the database from merging the two selects and choosing another index.
      rows: (reads) => this.#fence(sql`${by.condition} limit ${sql.lit(1_000_000_000)}`, rest, reads),
      rest,
    };
  }

  async #findSmallest(parts: readonly Part[]): Promise<Found | undefined> {
    let smallest: Found | undefined;
    for (const part of parts.filter(({ lookup, key }) => lookup !== undefined || key !== undefined)) {
      const size = await this.#probe(part.condition);
      if (smallest === undefined || size < smallest.size) {
        smallest = { part, size };
      }
    }
    for (const part of parts) {
      if (smallest === undefined || smallest.size > CHUNK_ROWS) {
        const condition = await part.rewrite?.();
        const size = condition === undefined ? Number.POSITIVE_INFINITY : await this.#probe(condition);
        if (condition !== undefined && size < (smallest?.size ?? Number.POSITIVE_INFINITY)) {
          smallest = { part: { condition, lookup: { few: false } }, size, instead: part };
        }
      }
    }
    return smallest;
  }

  /** How many rows the index has for it, as far as that matters. */
  async #probe(condition: Condition): Promise<number> {
    const rows = sql`(select 1 as one from ${this.#named()} where ${condition} limit ${MAX_PROBED}) as probed`;
    return this.#countChunk({ rows: () => rows, rest: combine("and_", []) });
  }

  /**
   * Stretches of the order, one after the other. Nulls, the smallest, are a walk by id of their own. What an index
   * knows all about may come as a whole.
   */
  async *#walk(walk: Walk, firstRows: number, may: { whole: boolean }): AsyncGenerator<Chunk> {
    const { order, prefix, rest } = walk;
    const key = sql.raw(order.key);
    if (order.nulls === "none" || walk.isRange) {
      yield* this.#walkKeys(walk, firstRows, may);
      return;
    }
    const isNull = sql<SqlBool>`${key} is null`;
    const byId: Order = { key: `${this.#table.alias}.id`, direction: order.direction, nulls: "none" };
    const known = { ...walk, prefix: [...prefix, sql<SqlBool>`${key} is not null`] };
    const unknown: Walk =
      order.nulls === "indexed"
        ? { order: byId, prefix: [...prefix, isNull], rest, isRange: false }
        : { order: byId, prefix: [], rest: [isNull, ...prefix, ...rest], isRange: false };
    for (const segment of order.direction === "asc" ? [unknown, known] : [known, unknown]) {
      yield* this.#walkKeys(segment, firstRows, may);
    }
  }

  async *#walkKeys({ order, prefix, rest }: Walk, firstRows: number, may: { whole: boolean }): AsyncGenerator<Chunk> {
    if (rest.length === 0 && may.whole) {
      yield { rows: () => this.#named(), rest: combine("and_", prefix) };
      return;
    }
    const asked = combine("and_", rest);
    let cursor: Keyed | undefined;
    for (let rows = firstRows; ; rows = CHUNK_ROWS) {
      const from = [...prefix, ...(cursor === undefined ? [] : [this.#beyond(order, cursor)])];
      const boundary: Keyed | undefined = await this.#findBoundary(order, from, rows);
      const within = combine("and_", boundary === undefined ? from : [...from, this.#upTo(order, boundary)]);
      const stretch = sql`${within} order by ${this.#orderBy(order)} limit ${rows}`;
      yield { rows: (reads) => this.#fence(stretch, asked, reads), rest: asked };
      if (boundary === undefined) {
        return;
      }
      cursor = boundary;
      await setImmediate();
    }
  }

  async #findBoundary(order: Order, from: Condition[], rows: number): Promise<Keyed | undefined> {
    const { alias } = this.#table;
    const found = await sql<Keyed>`select ${sql.raw(order.key)} as key, ${sql.raw(alias)}.id as id from ${this.#named()}
      where ${combine("and_", from)} order by ${this.#orderBy(order)} limit 1 offset ${rows - 1}`.execute(this.#db);
    return found.rows[0];
  }

  async #selectIds({ rows, rest }: Chunk, { order, limit, offset }: Page): Promise<string[]> {
    const found = await sql<{
      id: string;
    }>`select ${sql.raw(this.#table.alias)}.id as id from ${rows(readsOf(order))} where ${rest}
      order by ${this.#orderBy(order)} limit ${limit} offset ${offset}`.execute(this.#db);
    return found.rows.map(({ id }) => id);
  }

  async #countChunk({ rows, rest }: Chunk): Promise<number> {
    const found = await sql<{ count: number }>`select count(*) as count from ${rows("")} where ${rest}`.execute(
      this.#db,
    );
    return Number(found.rows[0]?.count ?? 0);
  }

  #named(): RawBuilder<unknown> {
    return sql.raw(`${this.#table.table} as ${this.#table.alias}`);
  }

  /** Some rows, and of them only what is read: an index that has it all spares looking them up. */
  #fence(where: RawBuilder<unknown>, rest: Condition, reads: string): RawBuilder<unknown> {
    const { table, alias, columns } = this.#table;
    const read = `${rest.compile(this.#db).sql} ${reads}`;
    const selected = columns.filter((column) => column === "id" || new RegExp(`\\b${alias}\\.${column}\\b`).test(read));
    const list = sql.raw(selected.map((column) => `${alias}.${column}`).join(", "));
    return sql`(select ${list} from ${sql.raw(`${table} as ${alias}`)} where ${where}) as ${sql.raw(alias)}`;
  }

  #orderBy({ key, direction, nulls, withoutIndex }: Order): RawBuilder<unknown> {
    const place = nulls === "none" ? "" : ` nulls ${direction === "asc" ? "first" : "last"}`;
    const id = `${this.#table.alias}.id`;
    const ties = withoutIndex?.ties ?? `${id} ${direction}`;
    return sql.raw(`${key} ${direction}${place}${key === id ? "" : `, ${ties}`}`);
  }

  #beyond({ key, direction }: Order, at: Keyed): Condition {
    const [column, id] = [sql.raw(key), sql.raw(`${this.#table.alias}.id`)];
    return direction === "asc"
      ? sql<SqlBool>`(${column} >= ${at.key} and (${column} > ${at.key} or ${id} > ${at.id}))`
      : sql<SqlBool>`(${column} <= ${at.key} and (${column} < ${at.key} or ${id} < ${at.id}))`;
  }

  #upTo({ key, direction }: Order, at: Keyed): Condition {
    const [column, id] = [sql.raw(key), sql.raw(`${this.#table.alias}.id`)];
    return direction === "asc"
      ? sql<SqlBool>`(${column} <= ${at.key} and (${column} < ${at.key} or ${id} <= ${at.id}))`
      : sql<SqlBool>`(${column} >= ${at.key} and (${column} > ${at.key} or ${id} >= ${at.id}))`;
  }
}

/** Nulls are the smallest. */
function byKey(direction: Order["direction"]): (one: Keyed, other: Keyed) => number {
  const sign = direction === "asc" ? 1 : -1;
  return ({ key: one }, { key: other }) => {
    if (one === other) {
      return 0;
    }
    return one === null || (other !== null && one < other) ? -sign : sign;
  };
}

/** What an order speaks of. */
function readsOf({ key, withoutIndex }: Order): string {
  return `${key} ${withoutIndex?.ties ?? ""}`;
}

function toCondition({ condition }: Part): Condition {
  return condition;
}

/** What an index in this order tells beforehand, and what only the rows tell. */
function planWalk(parts: readonly Part[], order: Order, by: Part | undefined): Walk {
  const ordered = by?.key === undefined;
  const isPrefix = (part: Part) => part.key === order.key || (part === by && part.lookup?.inOrder === true && ordered);
  return {
    order,
    isRange: parts.some((part) => part.key === order.key),
    prefix: parts.filter(isPrefix).map(toCondition),
    rest: parts.filter((part) => !isPrefix(part)).map(toCondition),
  };
}
