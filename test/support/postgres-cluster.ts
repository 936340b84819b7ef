import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadMachine } from "../../scripts/setup/machine.ts";
import {
  buildUrl,
  createCluster,
  createDatabase,
  removeCluster,
  startCluster,
  stopCluster,
} from "../../scripts/setup/postgres.ts";

export interface PostgresCluster extends AsyncDisposable {
  /** Of an empty database in it. */
  url: string;
  start(): Promise<void>;
  stop(mode: "fast" | "immediate"): Promise<void>;
}

/** A PostgreSQL server of one test's own, which it may stop; what is committed there survives that. */
export async function startPostgresCluster(): Promise<PostgresCluster> {
  const { postgres } = await loadMachine();
  if (!postgres.available) {
    throw new Error(`there is no PostgreSQL: ${postgres.reason}`);
  }
  const directory = await mkdtemp(join(tmpdir(), "flowyard-pg-"));
  await rm(directory, { recursive: true }); // the server's account makes it anew
  const cluster = { ...postgres, directory };
  await createCluster(cluster, { isDurable: true });
  await startCluster(cluster);
  await createDatabase(cluster, "planes");
  return {
    url: buildUrl(cluster, "planes"),
    start: () => startCluster(cluster),
    stop: (mode) => stopCluster(cluster, mode),
    [Symbol.asyncDispose]: () => removeCluster(cluster),
  };
}
