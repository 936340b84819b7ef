import { createPrefectClient } from "../src/client/prefect-client.ts";
import { findEngine } from "../src/docker/engine.ts";
import { systemClock } from "../src/shared/clock.ts";
import type { Logger } from "../src/shared/logger.ts";
import type { WorkerSettings } from "./config.ts";
import type { Infrastructure } from "./infrastructure/contract.ts";
import { createDockerInfrastructure } from "./infrastructure/docker.ts";
import { createProcessInfrastructure } from "./infrastructure/process.ts";
import { createWorkerLogger } from "./logger.ts";
import { createRunOutput } from "./output.ts";
import { prepareWorkPool, type WorkerType } from "./work-pool.ts";
import { runWorker } from "./worker.ts";

/**
 * Runs a worker in this process until SIGINT or SIGTERM: the first waits for the runs in flight, the second ends the
 * process at once and leaves their containers running. The log goes to stderr, the output of runs to stdout.
 * Throws what keeps it from starting: PLANE_UNREACHABLE, UNAUTHORIZED, WORK_POOL_TYPE_MISMATCH, NOT_FOUND,
 * DOCKER_UNREACHABLE.
 */
export async function startWorker(settings: WorkerSettings): Promise<void> {
  const logger = createWorkerLogger(settings.logFormat, (line) => process.stderr.write(line));
  const client = createPrefectClient(settings.api);
  const { workPool, type, created } = await prepareWorkPool(client, settings);
  const infrastructure = await createInfrastructure(type, settings, logger);
  logger.info(
    { worker_name: settings.name, work_pool_name: workPool.name, type, api: settings.api.apiUrl },
    created ? "Worker started; its work pool did not exist and was created" : "Worker started",
  );
  if (workPool.is_paused) {
    logger.warn({ work_pool_name: workPool.name }, "The work pool is paused: its runs wait until it is resumed");
  }
  const { stop, release } = stopOnSignals(logger);
  try {
    await runWorker(
      {
        client,
        infrastructure,
        settings,
        logger,
        output: createRunOutput(process.stdout),
        clock: systemClock,
        signal: new AbortController().signal,
      },
      stop,
    );
  } finally {
    release();
  }
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
      return createProcessInfrastructure(settings);
  }
}

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

function stopOnSignals(logger: Logger): { stop: AbortSignal; release: () => void } {
  const controller = new AbortController();
  const onSignal = (signal: NodeJS.Signals) => {
    if (controller.signal.aborted) {
      logger.warn({ signal }, "Second signal: exiting at once; containers go on");
      process.exit(signal === "SIGINT" ? 130 : 143);
    }
    logger.info({ signal }, "Stopping; a second signal exits at once");
    controller.abort();
  };
  for (const signal of SIGNALS) {
    process.on(signal, onSignal);
  }
  return {
    stop: controller.signal,
    release: () => {
      for (const signal of SIGNALS) {
        process.off(signal, onSignal);
      }
    },
  };
}
