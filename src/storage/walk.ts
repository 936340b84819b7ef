import { setImmediate } from "node:timers/promises";
import { type Kysely, type RawBuilder, sql } from "kysely";
import { UserError } from "../shared/errors.ts";
import { type Condition, combine } from "./conditions.ts";
import type { Database } from "./database-types.ts";
import {
  beyond,
  byKey,
  chooseKey,
  eachValue,
  isInOrder,
  type Keyed,
  nextSize,
  type Order,
  type Part,
  planWalk,
  splitNulls,
  toCondition,
  upTo,
  valuesOf,
  type Walk,
  type Way,
} from "./walk-plan.ts";
import { type Chunk, type WalkedTable, WalkSql } from "./walk-sql.ts";

// How a table of millions of rows is searched. The database answers one statement at a time, and everything else waits
// for it (SQLite runs in this thread). So a statement here takes some 10 ms: what takes longer is many statements, and
// other requests get their turn between them.

/** The first stretch is short: what is asked for is most often among the newest. */
const FIRST_CHUNK_ROWS = 2000;
/** Rows that one statement looks up when an index finds them: some 10 ms where each is on a page of its own. */
const MAX_PICKED = 4000;
/** Index entries that are counted to find the shorter of two ways: for a page, and for all rows. */
const MAX_PROBED = { page: 20_000, all: 100_000 };
/** Further stretches that are looked at before it is found out whether a part has another way. */
const CHUNKS_BEFORE_REWRITING = 1;
/** And so many more, when that will probably fill the page. */
const CHUNKS_WHERE_FOUND = 8;
/** So much longer may a way be that needs no row looked up. */
const COVERED_GAIN = 5;

/** So many rows, and a page, are kept of an order that no index has. */
const MAX_OFFSET_WITHOUT_INDEX = 10_000;

/** What is collected of a page. */
interface Progress {
  ids: string[];
  /** Rows that are still to be left out. */
  skip: number;
  next?: IteratorResult<Chunk | Whole>;
}

interface Counted {
  count: number;
}

/** Rows that an index knows all about, with their order. */
interface Whole {
  whole: Walk;
}

interface Page {
  order: Order;
  limit: number;
  offset: number;
}

const NOTHING = combine("and_", []);

export class Walker {
  readonly #db: Kysely<Database>;
  readonly #table: WalkedTable;
  readonly #sql: WalkSql;

  constructor(db: Kysely<Database>, table: WalkedTable) {
    this.#db = db;
    this.#table = table;
    this.#sql = new WalkSql(db, table);
  }

  /** Ids of one page of the rows that are all that the parts ask for. */
  async listIds(parts: readonly Part[], page: Page): Promise<string[]> {
    const certain = parts.find(({ lookup }) => lookup?.few);
    if (certain !== undefined) {
      return this.#selectIds(this.#pick(parts, { part: certain, size: 0 }), page);
    }
    if (page.order.withoutIndex !== undefined) {
      return this.#selectTop(parts, page);
    }
    const first = this.#chooseLeader(parts, page.order.key);
    const walk = this.#walk(planWalk(parts, page.order, first));
    const progress: Progress = { ids: [], skip: page.offset };
    if (await this.#collect(walk, page, { progress, chunks: 1 })) {
      return progress.ids;
    }
    const ways = await this.#listWays(parts, MAX_PROBED.page);
    const best = this.#chooseBest(
      parts,
      ways.filter(({ part }) => isInOrder(part, page.order.key)),
    );
    const slow = ways.every(({ size }) => size > MAX_PICKED);
    const again =
      slow && best !== undefined && best.part !== first ? this.#walk(planWalk(parts, page.order, best.part)) : walk;
    const further: Progress = again === walk ? progress : { ids: [], skip: page.offset };
    if (slow && (await this.#collect(again, page, { progress: further, chunks: CHUNKS_BEFORE_REWRITING }))) {
      return further.ids;
    }
    const fills = slow && further.ids.length * CHUNKS_WHERE_FOUND >= page.limit;
    if (fills && (await this.#collect(again, page, { progress: further, chunks: CHUNKS_WHERE_FOUND }))) {
      return further.ids;
    }
    const [shortest] = slow ? await this.#listRewritten(parts, MAX_PROBED.page) : ways;
    if (shortest !== undefined && shortest.size <= MAX_PICKED) {
      return this.#selectIds(this.#pick(parts, shortest), page);
    }
    await this.#collect(again, page, { progress: further, chunks: Number.POSITIVE_INFINITY });
    return further.ids;
  }

  async count(parts: readonly Part[]): Promise<number> {
    const [only] = parts;
    const rewritten = parts.length === 1 ? await only?.rewrite?.() : undefined;
    if (rewritten !== undefined) {
      return this.#countEach([rewritten]);
    }
    if (only === undefined || (parts.length === 1 && (only.key !== undefined || only.lookup !== undefined))) {
      return this.#countEach(only === undefined ? [NOTHING] : valuesOf(only));
    }
    let total = 0;
    for await (const chunk of this.#listChunks(parts)) {
      total += await this.#countChunk(chunk);
    }
    return total;
  }

  /** Columns of every row that is all that the parts ask for, some thousand rows at a time. */
  async *scan<T>(parts: readonly Part[], columns: RawBuilder<unknown>): AsyncGenerator<T[]> {
    const reads = columns.compile(this.#db).sql;
    for await (const chunk of this.#listChunks(parts)) {
      yield (await sql<T>`select ${columns} from ${this.#sql.from(chunk, { reads })}`.execute(this.#db)).rows;
    }
  }

  /** Whether one of the leading part's last rows is all that the parts ask for. */
  async hasRecent(parts: readonly Part[], leader: Part): Promise<boolean> {
    const [segment] = splitNulls(planWalk(parts, this.#table.order, leader), this.#table.alias);
    const { value: chunk } = segment === undefined ? {} : await this.#walkKeys(segment).next();
    const select = chunk && sql`select 1 as one from ${this.#sql.from(chunk, {})} limit 1`;
    return select !== undefined && (await select.execute(this.#db)).rows.length > 0;
  }

  /** Every row that the parts ask for, in no order that is promised. */
  async *#listChunks(parts: readonly Part[]): AsyncGenerator<Chunk> {
    const certain = parts.find(({ lookup }) => lookup?.few);
    const known = certain === undefined ? await this.#listWays(parts, MAX_PROBED.all) : [{ part: certain, size: 0 }];
    const long = known.every(({ size }) => size > MAX_PICKED);
    const ways = [...(long ? await this.#listRewritten(parts, MAX_PROBED.all) : []), ...known];
    const short = ways.find(({ size }) => size <= MAX_PICKED);
    if (short !== undefined) {
      yield this.#pick(parts, short);
      return;
    }
    const walked = known.filter(({ part }) => part.key !== undefined || part.lookup?.keys !== undefined);
    const best = this.#chooseBest(parts, walked)?.part;
    for (const segment of splitNulls(planWalk(parts, this.#chooseOrder(parts, best), best), this.#table.alias)) {
      yield* this.#walkKeys(segment);
    }
  }

  /** The order in which all rows are walked through. */
  #chooseOrder(parts: readonly Part[], leader: Part | undefined): Order {
    const own = this.#table.order;
    const key = chooseKey(parts, leader) ?? own.key;
    return key === own.key ? own : { key, direction: "desc", nulls: "none" };
  }

  /** Adds what is missing of a page from the next stretches of a walk. Answers whether there is nothing more to add. */
  async #collect(
    walk: AsyncGenerator<Chunk | Whole>,
    page: Page,
    { progress, chunks }: { progress: Progress; chunks: number },
  ): Promise<boolean> {
    for (let seen = 0; seen < chunks; seen += 1) {
      const { value: chunk, done } = progress.next ?? (await walk.next());
      if (done) {
        return true;
      }
      const limit = page.limit - progress.ids.length;
      const found = await this.#selectIds(chunk, { ...page, limit, offset: progress.skip });
      progress.ids.push(...found);
      if (progress.ids.length >= page.limit) {
        return true;
      }
      progress.skip = found.length > 0 || progress.skip === 0 ? 0 : progress.skip - (await this.#countChunk(chunk));
      progress.next = await walk.next();
    }
    return progress.next?.done === true;
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
    let top: Keyed[] = [];
    const { alias } = this.#table;
    const { order } = page;
    for await (const chunk of this.#listChunks(parts)) {
      const found = await sql<Keyed>`select ${sql.raw(`${alias}.sort_key as sort_key, ${alias}.id as id`)}
        from ${this.#sql.from(chunk, { order })} ${this.#sql.orderRows(order)} limit ${most}`.execute(this.#db);
      // The sort is stable, and chunks follow each other in the table's own order.
      top = [...top, ...found.rows].sort(byKey(order.direction)).slice(0, most);
    }
    return top.slice(page.offset).map(({ id }) => id);
  }

  /** The rows that an index finds for one part, and the other parts asked of them. */
  #pick(parts: readonly Part[], { part: by, instead }: Way): Chunk {
    const rest = combine("and_", parts.filter((part) => part !== by && part !== instead).map(toCondition));
    // The limit keeps the database from merging the two selects and choosing another index.
    const end = sql` limit ${sql.lit(1_000_000_000)}`;
    return { rest, rows: (needs) => sql`${this.#sql.union(valuesOf(by), this.#sql.list(rest, needs))}${end}` };
  }

  /** Ways through an index, the shortest first. */
  async #listWays(parts: readonly Part[], most: number): Promise<Way[]> {
    const ways: Way[] = [];
    for (const part of parts.filter(({ lookup, key }) => lookup !== undefined || key !== undefined)) {
      ways.push({ part, size: await this.#probe(valuesOf(part), most) });
    }
    return ways.sort((one, other) => one.size - other.size);
  }

  async #listRewritten(parts: readonly Part[], most: number): Promise<Way[]> {
    const ways: Way[] = [];
    for (const instead of parts) {
      const condition = await instead.rewrite?.();
      if (condition !== undefined) {
        const part = { condition, lookup: { few: false } };
        ways.push({ part, size: await this.#probe([condition], most), instead });
      }
    }
    return ways.sort((one, other) => one.size - other.size);
  }

  /** The shortest, but for one that is not much longer and needs no row looked up. */
  #chooseBest(parts: readonly Part[], ways: readonly Way[]): Way | undefined {
    const cost = ({ part, size }: Way) =>
      size < MAX_PROBED.all && this.#sql.isCovered(parts, part) ? size / COVERED_GAIN : size;
    return ways.toSorted((one, other) => cost(one) - cost(other))[0];
  }

  /** What a walk in this order follows before it is known how many rows there are. */
  #chooseLeader(parts: readonly Part[], key: string): Part | undefined {
    const inOrder = parts.filter((part) => isInOrder(part, key));
    return inOrder.find((part) => this.#sql.isCovered(parts, part)) ?? inOrder[0];
  }

  /** How many rows the index has for it, as far as that matters. */
  async #probe(values: readonly Condition[], most: number): Promise<number> {
    const rows = sql`(${this.#sql.union(values, sql`1 as one`)} limit ${most}) as probed`;
    const found = await sql<Counted>`select count(*) as count from ${rows}`.execute(this.#db);
    return Number(found.rows[0]?.count ?? 0);
  }

  /**
   * Stretches of the order, one after the other. Nulls, the smallest, are a walk by id of their own. What an index
   * knows all about comes as a whole.
   */
  async *#walk(walk: Walk): AsyncGenerator<Chunk | Whole> {
    for (const segment of splitNulls(walk, this.#table.alias)) {
      if (segment.rest.length === 0) {
        yield { whole: segment };
      } else {
        yield* this.#walkKeys(segment);
      }
    }
  }

  async *#walkKeys(walk: Walk): AsyncGenerator<Chunk> {
    const { order, prefix } = walk;
    const { alias } = this.#table;
    const rest = combine("and_", walk.rest);
    let from = prefix;
    let size = FIRST_CHUNK_ROWS;
    for (;;) {
      const startedAt = performance.now();
      const boundary: Keyed | undefined = await this.#findBoundary({ ...walk, prefix: from }, size);
      const within = boundary === undefined ? from : [upTo(order, alias, boundary), ...from];
      const stretch = { ...walk, prefix: within };
      const limit = size;
      yield {
        rest,
        byId: order.key === `${alias}.id`,
        rows: (needs) => this.#sql.select(stretch, this.#sql.list(rest, needs), { limit }),
      };
      if (boundary === undefined) {
        return;
      }
      // First: of two bounds on one side, SQLite seeks the first, and would pass over what was seen again.
      from = [beyond(order, alias, boundary), ...prefix];
      size = nextSize(size, performance.now() - startedAt);
      await setImmediate();
    }
  }

  async #findBoundary(walk: Walk, rows: number): Promise<Keyed | undefined> {
    const list = this.#sql.list(NOTHING, { order: walk.order });
    const select = this.#sql.select(walk, list, { limit: 1, offset: rows - 1 });
    return (await sql<Keyed>`${select}`.execute(this.#db)).rows[0];
  }

  async #selectIds(chunk: Chunk | Whole, { order, limit, offset }: Page): Promise<string[]> {
    const select =
      "whole" in chunk
        ? this.#sql.select(chunk.whole, this.#sql.list(NOTHING, {}), { limit, offset })
        : sql`${this.#sql.selectSorted(chunk, order)} limit ${limit} offset ${offset}`;
    const found = await sql<{ id: string }>`${select}`.execute(this.#db);
    return found.rows.map(({ id }) => id);
  }

  async #countChunk(chunk: Chunk | Whole): Promise<number> {
    if ("whole" in chunk) {
      return this.#countEach(eachValue(chunk.whole.values, chunk.whole.prefix));
    }
    const found = await sql<Counted>`select count(*) as count from ${this.#sql.from(chunk, {})}`.execute(this.#db);
    return Number(found.rows[0]?.count ?? 0);
  }

  /** All rows that an index knows of each value. A million of one value take as long as ten stretches of a walk. */
  async #countEach(values: readonly Condition[]): Promise<number> {
    let total = 0;
    for (const value of values) {
      const rows = this.#sql.union([value], sql`count(*) as count`);
      total += Number((await sql<Counted>`${rows}`.execute(this.#db)).rows[0]?.count ?? 0);
      await setImmediate();
    }
    return total;
  }
}
