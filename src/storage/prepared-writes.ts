import { type CompiledQuery, type Kysely, PostgresAdapter } from "kysely";
import type { Database } from "./database-types.ts";
import { buildHoldable } from "./held-writes.ts";

/** A statement whose text is made once, of the first row that it writes: all its rows have the same columns. */
export class PreparedWrite<Row extends object> {
  readonly #compile: (row: Row) => CompiledQuery;
  #compiled: CompiledQuery | undefined;

  constructor(compile: (row: Row) => CompiledQuery) {
    this.#compile = compile;
  }

  /** The row's keys come in the order of the first one's. `last`: what the text names after the columns. */
  bind(row: Row, ...last: readonly unknown[]): CompiledQuery {
    this.#compiled ??= this.#compile(row);
    return { ...this.#compiled, parameters: [...Object.values(row), ...last] };
  }
}

/**
 * Statements that write one row each and belong together, in their order. PostgreSQL is given them as one, together with
 * those of other transactions of the batch, before anything is asked that they could change; what fails there fails the
 * transaction. SQLite knows no such statement, and has no way to go.
 */
export class WritesTogether {
  readonly #db: Kysely<Database>;
  readonly #joined = new Map<string, CompiledQuery>();

  constructor(db: Kysely<Database>) {
    this.#db = db;
  }

  async run(writes: readonly CompiledQuery[]): Promise<void> {
    if (this.#db.getExecutor().adapter instanceof PostgresAdapter) {
      const key = writes.map(({ queryId }) => queryId.queryId).join(" ");
      const joined = this.#joined.get(key) ?? buildHoldable(writes);
      this.#joined.set(key, joined);
      await this.#db.executeQuery({ ...joined, parameters: writes.flatMap(({ parameters }) => parameters) });
      return;
    }
    for (const write of writes) {
      await this.#db.executeQuery(write);
    }
  }
}
