import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadMachine } from "../scripts/setup/machine.ts";
import { buildUrl, createCluster, createDatabase, removeCluster, startCluster } from "../scripts/setup/postgres.ts";

/** What both servers keep their data in, each in a database of its own. */
export interface BenchDatabases {
  title: string;
  /** For `flowyard server start --database`, and for the bare route. */
  locate(name: string): Promise<string>;
  /** For a Prefect server. */
  buildPrefectEnvironment(name: string): Promise<Record<string, string>>;
  remove(): Promise<void>;
}

/** The folder is the bench's, which removes it. */
export function useSqlite(folder: string): BenchDatabases {
  return {
    title: "SQLite",
    locate: async (name) => join(folder, `${name}.sqlite`),
    buildPrefectEnvironment: async () => ({}),
    remove: async () => undefined,
  };
}

/** A PostgreSQL of the bench's own, which waits for the disk at each commit, unlike that of the tests. */
export async function usePostgres(): Promise<BenchDatabases> {
  const { postgres } = await loadMachine();
  if (!postgres.available) {
    throw new Error(`there is no PostgreSQL: ${postgres.reason}; ${postgres.remedy}`);
  }
  // Its account cannot read a folder of the bench's.
  const directory = mkdtempSync(join(tmpdir(), "flowyard-pg-"));
  rmSync(directory, { recursive: true });
  const cluster = { ...postgres, directory };
  await createCluster(cluster, { isDurable: true });
  await startCluster(cluster);
  const make = async (name: string) => {
    await createDatabase(cluster, name);
    return buildUrl(cluster, name);
  };
  return {
    title: postgres.version,
    locate: make,
    buildPrefectEnvironment: async (name) => ({
      PREFECT_API_DATABASE_CONNECTION_URL: (await make(name)).replace("postgresql:", "postgresql+asyncpg:"),
    }),
    remove: () => removeCluster(cluster),
  };
}
