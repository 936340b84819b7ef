import { type Kysely, type RawBuilder, sql } from "kysely";
import { type Condition, combine } from "./conditions.ts";
import type { Database } from "./database-types.ts";
import { mergeSorted } from "./dialect.ts";
import { eachValue, type Order, orderBy, type Part, toCondition, type Walk } from "./walk-plan.ts";

export interface WalkedTable {
  table: "flow_runs" | "task_runs" | "logs";
  alias: "r" | "t" | "l";
  /** What conditions and orders may speak of; the less, the faster. */
  columns: readonly string[];
  /** The order in which everything is walked through when none is asked for. */
  order: Order;
}

/** What SQL reads of some rows: columns, and the key of an order, which is then called `sort_key`. */
export interface Needs {
  reads?: string;
  order?: Order;
}

/** Rows that one statement can look at, and what is to be asked of them. */
export interface Chunk {
  rows: (needs: Needs) => RawBuilder<unknown>;
  rest: Condition;
  /** All of them have the same key, null, and so are in the order of their ids. */
  byId?: boolean;
}

interface Stretch {
  limit: number;
  offset?: number;
}

/** The statements of a walk through one table. */
export class WalkSql {
  readonly #db: Kysely<Database>;
  readonly #table: WalkedTable;
  readonly #id: string;

  constructor(db: Kysely<Database>, table: WalkedTable) {
    this.#db = db;
    this.#table = table;
    this.#id = `${table.alias}.id`;
  }

  /** The ids of those that are all that is asked, in the order. */
  selectSorted(chunk: Chunk, order: Order): RawBuilder<unknown> {
    const id = sql.raw(this.#id);
    const sorted = chunk.byId ? sql`order by ${id} ${sql.raw(order.direction)}` : this.orderRows(order);
    return sql`select ${id} as id from ${this.from(chunk, chunk.byId ? {} : { order })} ${sorted}`;
  }

  from({ rows, rest }: Chunk, needs: Needs): RawBuilder<unknown> {
    return sql`(${rows(needs)}) as ${sql.raw(this.#table.alias)} where ${rest}`;
  }

  /** What a walk goes through, in its order: the rows of each value follow each other in an index, and are merged. */
  select(
    { order, values, prefix }: Walk,
    list: RawBuilder<unknown>,
    { limit, offset = 0 }: Stretch,
  ): RawBuilder<unknown> {
    const page = offset === 0 ? sql`limit ${limit}` : sql`limit ${limit} offset ${offset}`;
    const sorted = orderBy(order, { key: order.key, id: this.#id });
    if (values.length < 2) {
      return sql`${this.union(eachValue(values, prefix), list)} ${sorted} ${page}`;
    }
    const selects = this.#selects(eachValue(values, prefix), sql`${list}, ${sql.raw(order.key)} as walk_key`);
    const merged = mergeSorted(selects, sql`${sorted} limit ${limit + offset}`);
    return sql`${merged} ${orderBy(order, { key: "walk_key", id: "id" })} ${page}`;
  }

  union(conditions: readonly Condition[], list: RawBuilder<unknown>): RawBuilder<unknown> {
    return sql.join(this.#selects(conditions, list), sql` union all `);
  }

  #selects(conditions: readonly Condition[], list: RawBuilder<unknown>): RawBuilder<unknown>[] {
    const from = sql.raw(`${this.#table.table} as ${this.#table.alias}`);
    return conditions.map((condition) => sql`select ${list} from ${from} where ${condition}`);
  }

  /** Some rows, and of them only what is read: an index that has it all spares looking them up. */
  list(rest: Condition, { reads = "", order }: Needs): RawBuilder<unknown> {
    const { alias } = this.#table;
    const columns = new Set(["id", ...this.#findReads(rest, `${reads} ${order?.withoutIndex?.ties ?? ""}`)]);
    const key = order === undefined ? "" : `, ${order.key} as sort_key`;
    return sql.raw(`${[...columns].map((column) => `${alias}.${column} as ${column}`).join(", ")}${key}`);
  }

  #findReads(rest: Condition, more: string): string[] {
    const { alias, columns } = this.#table;
    const read = `${rest.compile(this.#db).sql} ${more}`;
    return columns.filter((column) => new RegExp(`\\b${alias}\\.${column}\\b`).test(read));
  }

  orderRows(order: Order): RawBuilder<unknown> {
    return orderBy(order, { key: `${this.#table.alias}.sort_key`, id: this.#id });
  }

  /** Whether the index that has the part's rows has all that the other parts ask about. */
  isCovered(parts: readonly Part[], by: Part): boolean {
    const keys = by.lookup?.keys ?? [];
    const others = parts.filter((part) => part !== by && !keys.some((key) => key === part.key));
    const known = ["id", ...(by.lookup?.covers ?? [])];
    const reads = this.#findReads(combine("and_", others.map(toCondition)), "");
    return keys.length > 0 && reads.every((column) => known.includes(column));
  }
}
