import { type DatabaseInfo, inspectDatabase, upgradeDatabase } from "../storage/administer.ts";
import { backUpDatabase } from "../storage/back-up.ts";
import { parseDatabaseSetting } from "./config.ts";

/** What an administrator does to the database that the plane's own settings name. Throws CONFIG_INVALID. */
export function administerDatabase(env: NodeJS.ProcessEnv, flag: string | undefined) {
  const database = parseDatabaseSetting(env, flag);
  return {
    inspect: (): Promise<DatabaseInfo> => inspectDatabase(database),
    upgrade: (): Promise<void> => upgradeDatabase(database),
    backUp: (file: string): void => backUpDatabase(database, file),
  };
}
