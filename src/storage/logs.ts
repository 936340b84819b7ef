import type { Kysely } from "kysely";
import type { FilterLogs } from "../prefect-api/filters.ts";
import type { Log } from "../prefect-api/logs.ts";
import { anyOf, combine } from "./conditions.ts";
import type { Database } from "./database-types.ts";
import { listLogParts, TIMESTAMP } from "./log-filter.ts";
import { Walker } from "./walk.ts";
import type { Order } from "./walk-plan.ts";

/** Rows of one insert: 8 parameters each, and SQLite takes 32,766 in a statement. Fixed, so that the statement is cached. */
const ROWS_PER_INSERT = 100;

/** A log line as the wire has it, every key present. */
export type StoredLog = Database["logs"] & { updated: string };

const ORDERS: Record<FilterLogs["sort"], Order> = {
  TIMESTAMP_ASC: { key: TIMESTAMP, direction: "asc", nulls: "none" },
  TIMESTAMP_DESC: { key: TIMESTAMP, direction: "desc", nulls: "none" },
};
const COLUMNS = ["id", "name", "level", "message", "timestamp", "flow_run_id", "task_run_id"] as const;

export class LogStore {
  readonly #db: Kysely<Database>;
  readonly #walker: Walker;

  constructor(db: Kysely<Database>) {
    this.#db = db;
    this.#walker = new Walker(db, { table: "logs", alias: "l", columns: COLUMNS, order: ORDERS.TIMESTAMP_ASC });
  }

  /** Answers those that were not here yet, in their order: a line that a worker sends again is stored once. */
  async insert(logs: readonly StoredLog[]): Promise<StoredLog[]> {
    const inserted = new Set<string>();
    for (let start = 0; start < logs.length; start += ROWS_PER_INSERT) {
      const rows = await this.#db
        .insertInto("logs")
        .values(logs.slice(start, start + ROWS_PER_INSERT).map(({ updated: _updated, ...row }) => row))
        .onConflict((conflict) => conflict.column("id").doNothing())
        .returning("id")
        .execute();
      for (const { id } of rows) {
        inserted.add(id);
      }
    }
    return logs.filter(({ id }) => inserted.delete(id));
  }

  /** Those of the ids that are there, in the order in which they were written. */
  async listByIds(ids: readonly string[]): Promise<Log[]> {
    const rows = await this.#db
      .selectFrom("logs")
      .selectAll()
      .where(combine("and_", anyOf("id", ids)))
      .orderBy("timestamp")
      .orderBy("id")
      .execute();
    return rows.map(logFromRow);
  }

  /** In time order; lines of one instant in the order of their arrival. */
  async list(
    filter: FilterLogs["logs"],
    page: { sort: FilterLogs["sort"]; limit: number; offset: number },
  ): Promise<Log[]> {
    const { sort, ...place } = page;
    const ids = await this.#walker.listIds(listLogParts(filter), { ...place, order: ORDERS[sort] });
    const logs = await this.listByIds(ids);
    return sort === "TIMESTAMP_ASC" ? logs : logs.reverse();
  }
}

function logFromRow(row: Database["logs"]): Log {
  return {
    id: row.id,
    created: row.created,
    updated: row.created,
    name: row.name,
    level: row.level,
    message: row.message,
    timestamp: row.timestamp,
    flow_run_id: row.flow_run_id,
    task_run_id: row.task_run_id,
  };
}
