import { join } from "node:path";
import { findFreePort } from "../scripts/setup/free-port.ts";
import { loadMachine } from "../scripts/setup/machine.ts";
import type { BenchDatabases } from "./databases.ts";
import { type StartedProcess, startProcess } from "./processes.ts";

interface StartedServer {
  server: StartedProcess;
  apiUrl: string;
}

/** A plane of ours in a process of its own, ready to answer. */
export async function startFlowyard(folder: string, database: string): Promise<StartedServer> {
  const port = await findFreePort();
  const apiUrl = `http://127.0.0.1:${port}/api`;
  const server = await startProcess({
    command: join(import.meta.dirname, "..", "bin", "flowyard"),
    args: ["server", "start", "--port", String(port), "--database", database],
    env: { PATH: "/usr/local/bin:/usr/bin:/bin", FLOWYARD_HOME: folder },
    healthUrl: `${apiUrl}/health`,
    timeoutMs: 30_000,
  });
  return { server, apiUrl };
}

/** Prefect's own server, as it comes. */
export async function startPrefect(
  folder: string,
  databases: Pick<BenchDatabases, "buildPrefectEnvironment">,
): Promise<StartedServer> {
  const { prefect } = await loadMachine();
  if (!prefect.available) {
    throw new Error(`nothing to compare with: ${prefect.reason}; ${prefect.remedy}`);
  }
  const port = await findFreePort();
  const apiUrl = `http://127.0.0.1:${port}/api`;
  const server = await startProcess({
    command: prefect.prefect,
    args: ["server", "start", "--no-ui", "--port", String(port)],
    env: {
      PATH: "/usr/local/bin:/usr/bin:/bin",
      HOME: folder,
      PREFECT_HOME: join(folder, "prefect"),
      PREFECT_SERVER_ANALYTICS_ENABLED: "false",
      PREFECT_SERVER_LOGGING_LEVEL: "ERROR",
      ...(await databases.buildPrefectEnvironment("prefect")),
    },
    healthUrl: `${apiUrl}/health`,
    timeoutMs: 120_000,
  });
  return { server, apiUrl };
}
