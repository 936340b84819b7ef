import type { Kysely } from "kysely";
import type { FilterLogs } from "../prefect-api/filters.ts";
import type { Log } from "../prefect-api/logs.ts";
import { anyOf, combine, matchLog } from "./conditions.ts";
import type { Database } from "./database-types.ts";

/** Rows of one insert: 8 parameters each, and SQLite takes 32,766 in a statement. Fixed, so that the statement is cached. */
const ROWS_PER_INSERT = 100;

/** A log line as the wire has it, every key present. */
export type StoredLog = Database["logs"] & { updated: string };

export class LogStore {
  readonly #db: Kysely<Database>;

  constructor(db: Kysely<Database>) {
    this.#db = db;
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
    const direction = page.sort === "TIMESTAMP_ASC" ? "asc" : "desc";
    const rows = await this.#db
      .selectFrom("logs as l")
      .selectAll()
      .where(matchLog(filter))
      .orderBy("l.timestamp", direction)
      .orderBy("l.id", direction)
      .limit(page.limit)
      .offset(page.offset)
      .execute();
    return rows.map(logFromRow);
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
