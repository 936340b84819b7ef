import { CompiledQuery, type Kysely, PostgresAdapter } from "kysely";
import { asNarrow } from "./batch-answers.ts";
import type { Database } from "./database-types.ts";

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
 * Statements that write one row each and belong together, in their order. PostgreSQL is given them as one, in one way there and back
 * and with one plan; it looks at foreign keys when all is written. SQLite knows no such statement, and has no way to go.
 */
export class WritesTogether {
  readonly #db: Kysely<Database>;
  readonly #joined = new Map<string, CompiledQuery>();

  constructor(db: Kysely<Database>) {
    this.#db = db;
  }

  async run(writes: readonly CompiledQuery[]): Promise<void> {
    if (this.#db.getExecutor().adapter instanceof PostgresAdapter && writes.length > 1) {
      const key = writes.map(({ queryId }) => queryId.queryId).join(" ");
      const joined = this.#joined.get(key) ?? join(writes);
      this.#joined.set(key, joined);
      await this.#db.executeQuery({ ...joined, parameters: writes.flatMap(({ parameters }) => parameters) });
      return;
    }
    for (const write of writes) {
      await this.#db.executeQuery(write);
    }
  }
}

function join(writes: readonly CompiledQuery[]): CompiledQuery {
  let before = 0;
  const texts = writes.map(({ sql, parameters }) => {
    const text = sql.replaceAll(/\$(\d+)/g, (_, number) => `$${before + Number(number)}`);
    before += parameters.length;
    return text;
  });
  const named = texts.slice(0, -1).map((text, index) => `write_${index} as (${text})`);
  return asNarrow(CompiledQuery.raw(`with ${named.join(", ")} ${texts.at(-1)}`));
}
