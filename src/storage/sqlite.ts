import { closeSync, openSync } from "node:fs";
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { Kysely, SqliteDialect } from "kysely";
import { TransientError, UserError } from "../shared/errors.ts";
import type { Database } from "./database-types.ts";
import { createSqliteCompiler, withoutNul } from "./dialect.ts";

const BUSY_TIMEOUT_MS = 5000;
const CACHE_KIBIBYTES = 2048; // for each of two connections; the rest is in the system's page cache
/** Statements are as many as the code has query shapes; lists of different lengths make more. */
const MAX_CACHED_STATEMENTS = 1000;

/** Makes the file when it is missing, for its owner alone: job variables and blocks hold secrets. */
export function createPrivateFile(file: string): void {
  closeSync(openSync(file, "a", 0o600));
}

/** Opens one connection. A commit is on disk when it returns (`synchronous = full`), whatever happens to the machine. */
export function openConnection(file: string): DatabaseSync {
  const connection = new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS, enableForeignKeyConstraints: true });
  connection.exec(`pragma journal_mode = wal; pragma synchronous = full;
    pragma cache_size = -${CACHE_KIBIBYTES}; pragma temp_store = memory;`);
  return connection;
}

/** Opens a file that a plane may have open. */
export function openReadOnly(file: string): DatabaseSync {
  return new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS, readOnly: true });
}

/** Kysely over node:sqlite: its own SQLite dialect, given the four methods of better-sqlite3 that it calls. */
export function buildKysely(connection: DatabaseSync): Kysely<Database> {
  const statements = new Map<string, ReturnType<typeof wrapStatement>>();
  const prepare = (text: string) => {
    const cached = statements.get(text);
    if (cached !== undefined) {
      return cached;
    }
    if (statements.size >= MAX_CACHED_STATEMENTS) {
      statements.clear();
    }
    const statement = wrapStatement(connection.prepare(text));
    statements.set(text, statement);
    return statement;
  };
  return new Kysely<Database>({
    dialect: new OurDialect({ database: { prepare, close: () => connection.close() } }),
  });
}

class OurDialect extends SqliteDialect {
  override createQueryCompiler() {
    return createSqliteCompiler();
  }
}

function wrapStatement(statement: StatementSync) {
  return {
    reader: statement.columns().length > 0,
    all: (parameters: readonly unknown[]) => asOurs(() => statement.all(...parameters.map(toSqlValue))),
    run: (parameters: readonly unknown[]) => asOurs(() => statement.run(...parameters.map(toSqlValue))),
    iterate: (parameters: readonly unknown[]) => statement.iterate(...parameters.map(toSqlValue)),
  };
}

function asOurs<T>(execute: () => T): T {
  try {
    return execute();
  } catch (error) {
    throw toStorageError(error);
  }
}

/** node:sqlite binds NULL for some unsuitable values without a word: refuse them here. */
function toSqlValue(value: unknown): SQLInputValue {
  if (typeof value === "string") {
    return withoutNul(value);
  }
  if (value === null || typeof value === "number" || typeof value === "bigint") {
    return value;
  }
  throw new TypeError(`a ${typeof value} cannot be a SQL parameter`);
}

/**
 * Makes this process the only plane on the file until it exits, however it exits: the lock is the operating system's,
 * held through an otherwise empty SQLite file beside the database. Throws UserError DATABASE_IN_USE.
 */
export function lockDatabase(file: string): DatabaseSync {
  const lock = new DatabaseSync(`${file}.lock`, { timeout: 0 });
  try {
    lock.exec("begin exclusive");
    return lock;
  } catch (error) {
    lock.close();
    if (!isBusy(error)) {
      throw error;
    }
    throw new UserError("DATABASE_IN_USE", `another control plane is using the database ${file}`, {
      hint: "Stop it first, or give this one its own file with --database. One SQLite file belongs to one plane.",
      cause: error,
    });
  }
}

const SQLITE_CONSTRAINT = 19;
const SQLITE_CONSTRAINT_PRIMARYKEY = 1555;
const SQLITE_CONSTRAINT_UNIQUE = 2067;
const SQLITE_BUSY = 5;
const SQLITE_LOCKED = 6;
const SQLITE_FULL = 13;
/** Prefect's words; operations that know what was taken say it better. */
export const CONFLICT = "Data integrity conflict. This usually means a unique or foreign key constraint was violated.";

/**
 * What the database reports, by its number: a taken key is UserError ALREADY_EXISTS, any other broken constraint (a
 * flow that does not exist) DATA_CONFLICT, a database that is busy or has no room TransientError SERVICE_UNAVAILABLE:
 * clients wait and try again, and space can be made.
 */
export function toStorageError(error: unknown): unknown {
  const code = findSqliteCode(error);
  if (code === undefined) {
    return error;
  }
  if (code === SQLITE_CONSTRAINT_UNIQUE || code === SQLITE_CONSTRAINT_PRIMARYKEY) {
    return new UserError("ALREADY_EXISTS", CONFLICT, { cause: error });
  }
  switch (code & 0xff) {
    case SQLITE_CONSTRAINT:
      return new UserError("DATA_CONFLICT", CONFLICT, { cause: error });
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return new TransientError("SERVICE_UNAVAILABLE", "The database is busy.", { cause: error });
    case SQLITE_FULL:
      return new TransientError("SERVICE_UNAVAILABLE", "The disk that the database is on is full.", { cause: error });
    default:
      return error;
  }
}

function findSqliteCode(error: unknown): number | undefined {
  return error instanceof Error && "errcode" in error && typeof error.errcode === "number" ? error.errcode : undefined;
}

function isBusy(error: unknown): boolean {
  return ((findSqliteCode(error) ?? 0) & 0xff) === SQLITE_BUSY;
}
