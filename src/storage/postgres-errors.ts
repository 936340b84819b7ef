import { TransientError, UserError } from "../shared/errors.ts";
import { CONFLICT } from "./sqlite.ts";

const UNIQUE_VIOLATION = "23505";
const NUMBER_OUT_OF_RANGE = "22003";
const DISK_FULL = "53100";
/** Classes and codes of what passes: https://www.postgresql.org/docs/current/errcodes-appendix.html */
const BUSY = ["40001", "40P01", "55P03", "57014", "25P03"];
const AWAY = ["08", "53", "57P", "58"];
const AWAY_MESSAGE = "The database is away.";

/**
 * What PostgreSQL reports, by its code, as `toStorageError` does for SQLite. What is no report of the database and comes
 * from its connection is one that was lost.
 */
export function toPostgresError(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof UserError || error instanceof TransientError) {
    return error;
  }
  const code = findCode(error);
  // EPIPE looks like a SQLSTATE; what the operating system says has the name of its call.
  if (code === undefined || "syscall" in error || !/^[0-9A-Z]{5}$/.test(code)) {
    return isOfTheConnection(error, code)
      ? new TransientError("SERVICE_UNAVAILABLE", AWAY_MESSAGE, { cause: error })
      : error;
  }
  if (code === UNIQUE_VIOLATION) {
    return new UserError("ALREADY_EXISTS", CONFLICT, { cause: error });
  }
  if (code.startsWith("23") || code === NUMBER_OUT_OF_RANGE) {
    return new UserError("DATA_CONFLICT", CONFLICT, { cause: error });
  }
  if (code === DISK_FULL) {
    return new TransientError("SERVICE_UNAVAILABLE", "The disk that the database is on is full.", { cause: error });
  }
  if (BUSY.includes(code)) {
    return new TransientError("SERVICE_UNAVAILABLE", "The database is busy.", { cause: error });
  }
  if (AWAY.some((start) => code.startsWith(start))) {
    return new TransientError("SERVICE_UNAVAILABLE", AWAY_MESSAGE, { cause: error });
  }
  return error;
}

/** SQLSTATE, or Node's code of a failed connection. */
export function findCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** `pg` gives these no code: they are in client.js and pg-pool's index.js, word for word. */
const CONNECTION_TEXTS = [
  "Connection terminated",
  "Connection terminated unexpectedly",
  "Connection terminated due to connection timeout",
  "timeout expired",
  "timeout exceeded when trying to connect",
  "Query read timeout",
  "Client has encountered a connection error and is not queryable",
  "Client was closed and is not queryable",
];

function isOfTheConnection(error: Error, code: string | undefined): boolean {
  return (code !== undefined && "syscall" in error) || CONNECTION_TEXTS.includes(error.message);
}
