import "./small-heap.ts";
import { flushCompileCache } from "node:module";
import { join } from "node:path";
import { type Engine, findEngine } from "../src/docker/engine.ts";
import { systemClock } from "../src/shared/clock.ts";
import type { Logger } from "../src/shared/logger.ts";
import type { WorkerSettings } from "./config.ts";
import { pruneImages } from "./images/prune-images.ts";
import type { Infrastructure } from "./infrastructure/contract.ts";
import { createDockerInfrastructure } from "./infrastructure/docker.ts";
import { limitStarts } from "./infrastructure/limit-starts.ts";
import { createProcessInfrastructure } from "./infrastructure/process.ts";
import { createWorkerLogger } from "./logger.ts";
import { createLogSender } from "./logs/log-sender.ts";
import { repeat } from "./loop.ts";
import { type ObservedWorker, observeWorker } from "./observe-worker.ts";
import { createRunOutput } from "./output.ts";
import { openRelay, reviveRelay } from "./relay/open-relay.ts";
import { startAnewIfStripped } from "./start-anew.ts";
import { prepareWorkPool } from "./work-pool.ts";
import { runWorker } from "./worker.ts";
import { openWorkerHome, type WorkerHome } from "./worker-home.ts";

const PRUNE_SECONDS = 60;

/**
 * Runs a worker in this process until `stop` aborts, then waits for its runs in flight. Whoever does not want to wait
 * ends the process: containers and process runs go on. The log goes to stderr, the output of runs to stdout.
 * Throws what keeps it from starting: PLANE_UNREACHABLE, UNAUTHORIZED, WORK_POOL_TYPE_MISMATCH, NOT_FOUND,
 * DOCKER_UNREACHABLE, ADDRESS_IN_USE of the health server.
 */
export async function startWorker(settings: WorkerSettings, stop: AbortSignal): Promise<void> {
  startAnewIfStripped(settings.environment);
  const logger = createWorkerLogger(settings.logFormat, (line) => process.stderr.write(line));
  const observed = await observeWorker(settings, logger);
  try {
    await workObserved(settings, observed, logger, stop);
  } finally {
    // Its health server would keep a process alive, and well, that could not start.
    await observed.close();
  }
  logger.info({ worker_name: settings.name }, "Worker stopped");
}

async function workObserved(
  settings: WorkerSettings,
  { client, runPhases }: ObservedWorker,
  logger: Logger,
  stop: AbortSignal,
): Promise<void> {
  await reviveRelay(settings, logger);
  const { workPool, type, created } = await prepareWorkPool(client, settings);
  const engine = type === "docker" ? await findEngine(settings.engine) : undefined;
  const home = await openWorkerHome(settings.homeFolder, logger);
  const infrastructure = createInfrastructure(engine, settings, home);
  const relay = await openRelay(settings, engine, logger);
  const ended = new AbortController();
  const watching = relay?.watch(ended.signal);
  const pruning =
    engine === undefined
      ? undefined
      : repeat({ name: "images", seconds: PRUNE_SECONDS, logger, signal: ended.signal }, () =>
          pruneImages({ client, engine, home, highPercent: settings.diskHighPercent, logger }),
        );
  if (engine !== undefined) {
    logger.info({ engine: engine.url, version: engine.version }, "Docker engine found");
  }
  logger.info(
    { worker_name: settings.name, work_pool_name: workPool.name, type, api: settings.api.apiUrl },
    created ? "Worker started; its work pool did not exist and was created" : "Worker started",
  );
  // Node writes it at a good end only; without it every start of a worker that is killed loads the TypeScript stripper.
  flushCompileCache();
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
      relay,
      logs: createLogSender(client, relay),
      output: createRunOutput(process.stdout),
      clock: systemClock,
      runPhases,
      // Nobody asks it to drop its runs: leaving them alone is what the end of the process does.
      signal: new AbortController().signal,
    },
    stop,
  );
  ended.abort();
  await watching;
  await pruning;
  await home.close();
  if (!(await home.hasLivingWorkers()) && !(await hasRuns(infrastructure, workPool.id))) {
    await relay?.stop();
  }
}

function createInfrastructure(engine: Engine | undefined, settings: WorkerSettings, home: WorkerHome): Infrastructure {
  const infrastructure =
    engine === undefined
      ? createProcessInfrastructure({ ...settings, folder: join(settings.homeFolder, "processes") })
      : createDockerInfrastructure(engine, process.cwd(), { allow: settings.allow, onPulled: home.notePulled });
  return limitStarts(infrastructure, settings.startingLimit);
}

/** Whether something goes on without this worker. An engine that does not answer may have something. */
async function hasRuns(infrastructure: Infrastructure, workPoolId: string): Promise<boolean> {
  const found = await infrastructure.listRuns(workPoolId).catch(() => undefined);
  return found === undefined || found.some(({ status }) => status !== "ended");
}
