import {
  type Expression,
  PostgresQueryCompiler,
  type QueryCompiler,
  type RawBuilder,
  RawNode,
  SqliteQueryCompiler,
  sql,
} from "kysely";

/**
 * Where SQLite and PostgreSQL differ, all of it: each function below says one thing in both, and why they differ.
 * Everything else in this room is text that both read alike. (Connections differ too: `sqlite.ts` and `postgres.ts`.)
 */
interface Spellings {
  sqlite: RawBuilder<unknown>;
  postgres: RawBuilder<unknown>;
}

/** Where a text begins in another, from 1; 0 when it is not there. SQL's own `position` is not in SQLite. */
export function positionIn(text: RawBuilder<unknown>, wanted: string): RawBuilder<number> {
  return differing({ sqlite: sql`instr(${text}, ${wanted})`, postgres: sql`strpos(${text}, ${wanted})` });
}

/** The texts of a list as rows, whatever their number. Each database unpacks JSON in its own way. */
export function selectTexts(texts: readonly string[]): RawBuilder<unknown> {
  // PostgreSQL reads no lone surrogate and no NUL from JSON, and no column has one.
  const json = JSON.stringify(texts.map((text) => withoutNul(text.toWellFormed())));
  return differing({
    sqlite: sql`(select value from json_each(${json}))`,
    postgres: sql`(select jsonb_array_elements_text(${json}::jsonb))`,
  });
}

/**
 * Selects that an index has sorted, one after the other; what follows says how all of them are sorted. SQLite then takes
 * the next row of each in turn. PostgreSQL would sort all rows, so it is told how each is sorted and where it may end.
 */
export function mergeSorted(selects: RawBuilder<unknown>[], sortedTo: RawBuilder<unknown>): RawBuilder<unknown> {
  return differing({
    sqlite: sql`${sql.join(selects, sql` union all `)}`,
    postgres: sql.join(
      selects.map((select) => sql`(${select} ${sortedTo})`),
      sql` union all `,
    ),
  });
}

/** In an index that a list is walked by: a column that may be null, before the id. */
const WALKED_NULLS = /\b(expected_start_time|next_scheduled_start_time|end_time)(?=, id\b)/g;

/**
 * A statement that makes a table or an index, written for SQLite.
 * - Text is compared byte by byte, as SQLite does; PostgreSQL would take the order of the database's language.
 * - An integer has 64 bits, as in SQLite; PostgreSQL's `integer` has 32.
 * - Nulls are the smallest where lists are walked (`walk.ts` says so in its orders), as in SQLite.
 */
export function buildDdl(statement: string): RawBuilder<unknown> {
  const typed = statement.replaceAll(/\btext\b/g, 'text collate "C"').replaceAll(/\binteger\b/g, "bigint");
  const isIndex = /^create (unique )?index/.test(statement);
  const postgres = isIndex ? typed.replaceAll(WALKED_NULLS, "$1 nulls first") : typed;
  return differing({ sqlite: sql.raw(statement), postgres: sql.raw(postgres) });
}

/** Bytes of the database, its indexes included. */
export function selectSize(): RawBuilder<{ bytes: number }> {
  return differing({
    sqlite: sql`select page_count * page_size as bytes from pragma_page_count(), pragma_page_size()`,
    postgres: sql`select pg_database_size(current_database()) as bytes`,
  });
}

/** Names of the tables that are there. Each database keeps them in its own catalogue. */
export function selectTableNames(): RawBuilder<{ name: string }> {
  return differing({
    sqlite: sql`select name from sqlite_schema where type = 'table' and name not like 'sqlite%'`,
    postgres: sql`select table_name as name from information_schema.tables where table_schema = current_schema()`,
  });
}

/**
 * No text with a NUL reaches a database: PostgreSQL refuses it, and functions of SQLite end there. What a program
 * printed is kept all the same, with the sign for what cannot be shown; a question is changed as the answer was.
 */
export function withoutNul(text: string): string {
  return text.includes("\0") ? text.replaceAll("\0", "\u{FFFD}") : text;
}

const spellingsOf = new WeakMap<RawNode, Spellings>();

/** SQL that is chosen when the statement is compiled: who writes a condition does not know the database. */
function differing<T>(spellings: Spellings): RawBuilder<T> {
  const chosenLater: Pick<Expression<T>, "toOperationNode"> = {
    toOperationNode: () => {
      const node = RawNode.createWithSql("");
      spellingsOf.set(node, spellings);
      return node;
    },
  };
  return sql<T>`${chosenLater}`;
}

class Sqlite extends SqliteQueryCompiler {
  protected override visitRaw(node: RawNode): void {
    super.visitRaw(spellingsOf.get(node)?.sqlite.toOperationNode() ?? node);
  }
}

class Postgres extends PostgresQueryCompiler {
  protected override visitRaw(node: RawNode): void {
    super.visitRaw(spellingsOf.get(node)?.postgres.toOperationNode() ?? node);
  }
}

export function createSqliteCompiler(): QueryCompiler {
  return new Sqlite();
}

export function createPostgresCompiler(): QueryCompiler {
  return new Postgres();
}
