import { createPrefectClient, type PrefectClient } from "../src/client/prefect-client.ts";
import { FLOWYARD_VERSION } from "../src/client/version.ts";
import { systemClock } from "../src/shared/clock.ts";
import type { Logger } from "../src/shared/logger.ts";
import type { WorkerSettings } from "./config.ts";
import { startHealthServer } from "./health-server.ts";
import type { WorkerMetrics } from "./metrics.ts";
import { createPlaneContact } from "./plane-contact.ts";
import { relayFolder } from "./relay/config.ts";
import { createRunPhases, type RunPhases } from "./runs/run-phases.ts";

/** For a connection that broke while idle; anything longer is the worker's loops' to tell of and to wait out. */
const CLIENT_RETRY = { retries: 1, firstDelayMs: 200 };

export interface ObservedWorker {
  /** The plane's client, watched. */
  client: PrefectClient;
  runPhases: RunPhases;
  close(): Promise<void>;
}

/**
 * What tells how a worker is doing: health, metrics, steps of runs. Answers from before the worker has found its plane,
 * as Prefect's does. Throws UserError ADDRESS_IN_USE, ADDRESS_UNUSABLE.
 */
export async function observeWorker(
  settings: Pick<
    WorkerSettings,
    "api" | "name" | "pool" | "pollSeconds" | "heartbeatSeconds" | "webserver" | "flowyardHome"
  >,
  logger: Logger,
): Promise<ObservedWorker> {
  const { webserver } = settings;
  const metrics = webserver === undefined ? NOBODY_ASKS : await loadMetrics(settings);
  const contact = createPlaneContact(settings, metrics);
  const client = contact.watch(
    createPrefectClient({ ...settings.api, retry: CLIENT_RETRY, onRetry: (retry) => contact.onRetry(retry) }),
  );
  const runPhases = createRunPhases({ client, settings, metrics, clock: systemClock, logger });
  const server = webserver && (await startHealthServer(webserver, { isHealthy: () => contact.isHealthy(), metrics }));
  if (server !== undefined) {
    logger.info({ host: webserver?.host, port: server.port }, "Health server started");
  }
  return {
    client,
    runPhases,
    close: async () => {
      await runPhases.close();
      await server?.close();
    },
  };
}

const NOBODY_ASKS: WorkerMetrics = {
  noteTaken: () => undefined,
  noteStartPhase: () => undefined,
  noteExit: () => undefined,
  noteGone: () => undefined,
  notePlaneRequest: () => undefined,
  render: () => Promise.resolve({ contentType: "text/plain", text: "" }),
};

/** Loaded only for who asks: the library that counts takes 4 MB. */
async function loadMetrics({
  name,
  pool,
  flowyardHome,
}: Pick<WorkerSettings, "name" | "pool" | "flowyardHome">): Promise<WorkerMetrics> {
  const { createWorkerMetrics } = await import("./metrics.ts");
  return createWorkerMetrics({
    workerName: name,
    pool,
    version: FLOWYARD_VERSION,
    relayFolder: relayFolder(flowyardHome),
  });
}
