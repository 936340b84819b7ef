import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findFreePort } from "../../scripts/setup/free-port.ts";
import { TestProcess } from "./child-process.ts";
import { plainEnvironment } from "./plane-process.ts";
import { waitUntil } from "./wait-until.ts";

export interface PrefectServer extends AsyncDisposable {
  apiUrl: string;
}

/** Loops that would change what a comparison sees while it looks. Triggers stay: the automations API needs them. */
const QUIET_LOOPS = ["SCHEDULER", "LATE_RUNS", "FOREMAN", "PAUSE_EXPIRATIONS", "CANCELLATION_CLEANUP", "REPOSSESSOR"];

/** Prefect's own server on SQLite, in a process and folder of its own, ready to answer. */
export async function startPrefectServer(prefect: string): Promise<PrefectServer> {
  const folder = await mkdtemp(join(tmpdir(), "flowyard-prefect-server-"));
  const port = await findFreePort();
  const apiUrl = `http://127.0.0.1:${port}/api`;
  const server = new TestProcess(prefect, ["server", "start", "--no-ui", "--port", String(port)], {
    cwd: folder,
    env: plainEnvironment(folder, {
      PREFECT_HOME: join(folder, "prefect"),
      PREFECT_SERVER_ANALYTICS_ENABLED: "false",
      PREFECT_SERVER_LOGGING_LEVEL: "ERROR",
      ...Object.fromEntries(QUIET_LOOPS.map((loop) => [`PREFECT_SERVER_SERVICES_${loop}_ENABLED`, "false"])),
    }),
  });
  await waitUntil(
    async () => {
      if (server.child.exitCode !== null) {
        throw new Error(`Prefect's server ended with ${server.child.exitCode}:\n${server.output}`);
      }
      return fetch(`${apiUrl}/health`).then(
        (answer) => answer.ok,
        () => false,
      );
    },
    { timeoutMs: 120_000, what: "Prefect's server", evidence: () => server.output.slice(-4000) },
  );
  return {
    apiUrl,
    async [Symbol.asyncDispose]() {
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
