import type { Kysely } from "kysely";
import { type Migration, Migrator } from "kysely/migration";
import type { Database } from "./database-types.ts";
import { up as initial } from "./migrations/0001-initial.ts";

/** In order; a released migration is never changed, only followed by another. */
const MIGRATIONS: Record<string, Migration> = {
  "0001-initial": { up: initial },
};

/** Brings the database to the newest version. Throws what the failing migration threw. */
export async function migrate(db: Kysely<Database>): Promise<void> {
  const migrator = new Migrator({ db, provider: { getMigrations: async () => MIGRATIONS } });
  const { error } = await migrator.migrateToLatest();
  if (error !== undefined) {
    throw error;
  }
}
