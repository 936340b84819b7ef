import type { Clock } from "../shared/clock.ts";
import { openPostgresStore } from "./open-postgres-store.ts";
import { openSqliteStore } from "./open-sqlite-store.ts";
import { describeLocation } from "./postgres.ts";
import type { Store } from "./store.ts";

export interface StoreOptions {
  /** A file of SQLite's, made with its folder when it is not there; or a URL of PostgreSQL's. */
  database: string;
  clock: Clock;
}

/**
 * Opens and migrates the database. Throws UserError DATABASE_IN_USE when another plane has the SQLite file,
 * DATABASE_UNUSABLE when it cannot be opened or reached, or is no database of ours.
 */
export async function openStore({ database, clock }: StoreOptions): Promise<Store> {
  return isPostgresUrl(database)
    ? await openPostgresStore({ url: database, clock })
    : await openSqliteStore({ file: database, clock });
}

export function isPostgresUrl(database: string): boolean {
  return /^postgres(ql)?(\+\w+)?:/i.test(database);
}

/** For people: no password is in it. */
export function describeDatabase(database: string): string {
  return isPostgresUrl(database) ? describeLocation(database) : database;
}
