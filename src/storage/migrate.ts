import type { Kysely } from "kysely";
import { type Migration, Migrator } from "kysely/migration";
import { UserError } from "../shared/errors.ts";
import type { Database } from "./database-types.ts";
import { selectTableNames } from "./dialect.ts";
import { up as initial } from "./migrations/0001-initial.ts";

/** In order; a released migration is never changed, only followed by another. */
const MIGRATIONS: Record<string, Migration> = {
  "0001-initial": { up: initial },
};

const NEWEST = Object.keys(MIGRATIONS).sort().at(-1);

const LOG_TABLE = "kysely_migration";

/**
 * Brings the database to the newest version. Planes that start together take turns. Throws UserError DATABASE_UNUSABLE
 * for a database of a newer version or of another program, and what the failing migration threw.
 */
export async function migrate(db: Kysely<Database>): Promise<void> {
  if ((await findVersion(db)) === NEWEST) {
    return;
  }
  const migrator = new Migrator({ db, provider: { getMigrations: async () => MIGRATIONS } });
  const { error } = await migrator.migrateToLatest();
  if (error !== undefined) {
    throw error;
  }
}

/** The last migration of the database; undefined for an empty one. Throws UserError DATABASE_UNUSABLE as `migrate`. */
export async function findVersion(db: Kysely<Database>): Promise<string | undefined> {
  const tables = (await selectTableNames().execute(db)).rows.map(({ name }) => name);
  if (tables.length === 0) {
    return undefined;
  }
  if (!tables.includes(LOG_TABLE)) {
    throw new UserError(
      "DATABASE_UNUSABLE",
      `the database belongs to another program: it has the table "${tables[0]}"`,
      {
        hint: "Give Flowyard a database of its own.",
      },
    );
  }
  const done = await db
    .withTables<{ kysely_migration: { name: string } }>()
    .selectFrom(LOG_TABLE)
    .select("name")
    .execute();
  const names = done.map(({ name }) => name).sort();
  const unknown = names.find((name) => !(name in MIGRATIONS));
  if (unknown !== undefined) {
    throw new UserError(
      "DATABASE_UNUSABLE",
      `the database was made by a newer Flowyard (or another program): it has the migration "${unknown}"`,
      { hint: "Start the newer version again, or give this one a database of its own." },
    );
  }
  return names.at(-1);
}
