import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { type Kysely, sql } from "kysely";
import { systemClock } from "../shared/clock.ts";
import { UserError } from "../shared/errors.ts";
import type { Database } from "./database-types.ts";
import { selectSize, selectTableNames } from "./dialect.ts";
import { findVersion } from "./migrate.ts";
import { migratePostgres, usingPostgres } from "./open-postgres-store.ts";
import { openSqliteStore, unusable } from "./open-sqlite-store.ts";
import { describeDatabase, isPostgresUrl } from "./open-store.ts";
import { buildKysely, openReadOnly } from "./sqlite.ts";

/** Those that grow with the years. */
const LARGE_TABLES = [
  "flows",
  "deployments",
  "flow_runs",
  "flow_run_states",
  "task_runs",
  "task_run_states",
  "logs",
  "events",
  "artifacts",
] as const;

export interface DatabaseInfo {
  kind: "sqlite" | "postgresql";
  /** Without the password. */
  location: string;
  /** The last migration; null in a database that has no tables yet. */
  schema_version: string | null;
  size_bytes: number;
  /** Null in a database that has no tables yet. */
  rows: Record<string, number> | null;
}

/** Reads only, also while planes use it. Throws UserError DATABASE_UNUSABLE. */
export async function inspectDatabase(database: string): Promise<DatabaseInfo> {
  return await usingDatabase(database, async (db) => ({
    kind: isPostgresUrl(database) ? "postgresql" : "sqlite",
    location: describeDatabase(database),
    schema_version: (await findVersion(db)) ?? null,
    size_bytes: (await selectSize().execute(db)).rows[0]?.bytes ?? 0,
    rows: await countRows(db),
  }));
}

/**
 * Makes the tables, or brings them to the newest version. On SQLite no plane may have the file. Throws as `openStore`.
 */
export async function upgradeDatabase(database: string): Promise<void> {
  if (isPostgresUrl(database)) {
    await migratePostgres(database);
    return;
  }
  const store = await openSqliteStore({ file: database, clock: systemClock });
  await store.close();
}

async function usingDatabase<T>(database: string, use: (db: Kysely<Database>) => Promise<T>): Promise<T> {
  if (isPostgresUrl(database)) {
    return await usingPostgres(database, use);
  }
  const file = resolve(database);
  if (!existsSync(file)) {
    throw new UserError("DATABASE_UNUSABLE", `there is no database ${file}`, {
      hint: "`flowyard server start` or `flowyard server database upgrade` makes it; --database names another.",
    });
  }
  try {
    const connection = openReadOnly(file);
    try {
      return await use(buildKysely(connection));
    } finally {
      connection.close();
    }
  } catch (error) {
    throw error instanceof UserError ? error : unusable(file, error);
  }
}

async function countRows(db: Kysely<Database>): Promise<Record<string, number> | null> {
  const there = new Set((await selectTableNames().execute(db)).rows.map(({ name }) => name));
  const counts: Record<string, number> = {};
  for (const table of LARGE_TABLES.filter((name) => there.has(name))) {
    const row = await db.selectFrom(table).select(sql<number>`count(*)`.as("count")).executeTakeFirstOrThrow();
    counts[table] = row.count;
  }
  return there.size === 0 ? null : counts;
}
