import "./small-heap.ts";
import { join } from "node:path";
import { createPrefectClient } from "../src/client/prefect-client.ts";
import { findEngine } from "../src/docker/engine.ts";
import { systemClock } from "../src/shared/clock.ts";
import type { Logger } from "../src/shared/logger.ts";
import type { WorkerSettings } from "./config.ts";
import type { Infrastructure } from "./infrastructure/contract.ts";
import { createDockerInfrastructure } from "./infrastructure/docker.ts";
import { createProcessInfrastructure } from "./infrastructure/process.ts";
import { createLogSender } from "./log-sender.ts";
import { createWorkerLogger } from "./logger.ts";
import { createRunOutput } from "./output.ts";
import { prepareWorkPool, type WorkerType } from "./work-pool.ts";
import { runWorker } from "./worker.ts";
import { openWorkerHome } from "./worker-home.ts";

/** For a connection that broke while idle; anything longer is the worker's loops' to tell of and to wait out. */
const CLIENT_RETRY = { retries: 1, firstDelayMs: 200 };

/**
 * Runs a worker in this process until `stop` aborts, then waits for its runs in flight. Whoever does not want to wait
 * ends the process: containers and process runs go on. The log goes to stderr, the output of runs to stdout.
 * Throws what keeps it from starting: PLANE_UNREACHABLE, UNAUTHORIZED, WORK_POOL_TYPE_MISMATCH, NOT_FOUND,
 * DOCKER_UNREACHABLE.
 */
export async function startWorker(settings: WorkerSettings, stop: AbortSignal): Promise<void> {
  const logger = createWorkerLogger(settings.logFormat, (line) => process.stderr.write(line));
  const client = createPrefectClient({ ...settings.api, retry: CLIENT_RETRY });
  const { workPool, type, created } = await prepareWorkPool(client, settings);
  const infrastructure = await createInfrastructure(type, settings, logger);
  const home = await openWorkerHome(settings.homeFolder);
  logger.info(
    { worker_name: settings.name, work_pool_name: workPool.name, type, api: settings.api.apiUrl },
    created ? "Worker started; its work pool did not exist and was created" : "Worker started",
  );
  if (workPool.is_paused) {
    logger.warn({ work_pool_name: workPool.name }, "The work pool is paused: its runs wait until it is resumed");
  }
  await runWorker(
    {
      client,
      infrastructure,
      settings,
      logger,
      home,
      logs: createLogSender(client),
      output: createRunOutput(process.stdout),
      clock: systemClock,
      // Nobody asks it to drop its runs: leaving them alone is what the end of the process does.
      signal: new AbortController().signal,
    },
    stop,
  );
  await home.close();
  logger.info({ worker_name: settings.name }, "Worker stopped");
}

async function createInfrastructure(
  type: WorkerType,
  settings: WorkerSettings,
  logger: Logger,
): Promise<Infrastructure> {
  switch (type) {
    case "docker": {
      const engine = await findEngine(settings.engine);
      logger.info({ engine: engine.url, version: engine.version }, "Docker engine found");
      return createDockerInfrastructure(engine, process.cwd());
    }
    case "process":
      return createProcessInfrastructure({ ...settings, folder: join(settings.homeFolder, "processes") });
  }
}
