import type { CompiledQuery, RootOperationNode } from "kysely";
import type { QueryResult } from "pg";

type Statement = Pick<CompiledQuery, "query" | "sql" | "parameters">;

const repeatable = new WeakSet<RootOperationNode>();
const narrow = new WeakSet<RootOperationNode>();

/** A question that is asked about one row with others joined to it, and may be answered once for a batch. */
export function asRepeatable<Query extends Statement>(question: Query): Query {
  repeatable.add(question.query);
  return question;
}

export function isRepeatable({ query }: Pick<Statement, "query">): boolean {
  return repeatable.has(query);
}

/** A statement that writes rows of, or that name, the ids among its values, and no others. */
export function asNarrow<Query extends Statement>(write: Query): Query {
  narrow.add(write.query);
  return write;
}

interface Kept {
  tables: ReadonlySet<string>;
  parameters: readonly unknown[];
  answer: Promise<QueryResult>;
}

/**
 * What was answered in a batch of transactions, for as long as nothing that the batch has written could change it. The
 * questions of all its transactions can so be asked in one way to PostgreSQL and back, and one about the same
 * deployment is asked once.
 */
export class BatchAnswers {
  readonly #run: (statement: Statement) => Promise<QueryResult>;
  readonly #kept = new Map<string, Kept>();

  constructor(run: (statement: Statement) => Promise<QueryResult>) {
    this.#run = run;
  }

  run(statement: Statement): Promise<QueryResult> {
    if (!isRepeatable(statement)) {
      this.#forgetWhatChanges(statement);
      return this.#run(statement);
    }
    const key = `${JSON.stringify(statement.parameters)} ${statement.sql}`;
    const kept = this.#kept.get(key);
    if (kept !== undefined) {
      return kept.answer;
    }
    const answer = this.#run(statement);
    answer.catch(() => undefined); // nobody may come for it
    this.#kept.set(key, { tables: findRead(statement.sql), parameters: statement.parameters, answer });
    return answer;
  }

  clear(): void {
    this.#kept.clear();
  }

  #forgetWhatChanges({ query, sql, parameters }: Statement): void {
    const written = this.#kept.size === 0 ? NOTHING : findWritten(sql);
    if (written.size === 0) {
      return;
    }
    const isNarrow = narrow.has(query);
    for (const [key, kept] of this.#kept) {
      const isMeant = written.has(ANY) || [...written].some((table) => kept.tables.has(table));
      if (isMeant && (!isNarrow || kept.parameters.some((value) => parameters.includes(value)))) {
        this.#kept.delete(key);
      }
    }
  }
}

const NOTHING: ReadonlySet<string> = new Set();
/** What a removal takes with it is in other tables. */
const ANY = "*";

const findRead = remember((sql) => new Set(listNames(sql, /\b(?:from|join) "?(\w+)/g)));
const findWritten = remember(
  (sql) => new Set(/\bdelete from /.test(sql) ? [ANY] : listNames(sql, /\b(?:insert into|update) "?(\w+)/g)),
);

function listNames(sql: string, pattern: RegExp): string[] {
  return [...sql.matchAll(pattern)].flatMap(([, name]) => name ?? []);
}

const MAX_REMEMBERED = 1000;

function remember<T>(find: (sql: string) => T): (sql: string) => T {
  const found = new Map<string, T>();
  return (sql) => {
    const known = found.get(sql);
    if (known !== undefined) {
      return known;
    }
    if (found.size >= MAX_REMEMBERED) {
      found.clear();
    }
    const value = find(sql);
    found.set(sql, value);
    return value;
  };
}
