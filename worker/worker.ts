import type { PrefectClient } from "../src/client/prefect-client.ts";
import { refusalStatus } from "../src/client/refusal.ts";
import { MAX_PAGE_SIZE } from "../src/prefect-api/primitives.ts";
import { timestampFromMs } from "../src/prefect-api/timestamp.ts";
import { sleep } from "../src/shared/abort.ts";
import type { Clock } from "../src/shared/clock.ts";
import type { Logger } from "../src/shared/logger.ts";
import type { WorkerSettings } from "./config.ts";
import { backOffMs } from "./keep-trying.ts";
import { errorFields, type RunDependencies, type RunInFlight, runFlowRun } from "./run-flow-run.ts";
import { createCancellationWatch } from "./stop-cancelled.ts";
import { prepareWorkPool } from "./work-pool.ts";

const CANCELLATION_POLL_SECONDS = 2;

export interface WorkerDependencies extends Omit<RunDependencies, "settings" | "client"> {
  client: PrefectClient;
  settings: Omit<WorkerSettings, "engine" | "api" | "python" | "logFormat">;
  clock: Clock;
}

/**
 * Serves one work pool until `stop` aborts; then takes nothing more and returns when its runs have ended. It outlives
 * a plane that is away and runs that go wrong. `signal` of the dependencies makes it return without waiting for runs.
 */
export async function runWorker(dependencies: WorkerDependencies, stop: AbortSignal): Promise<void> {
  const { settings, logger, client } = dependencies;
  const inFlight = new Map<string, RunInFlight>();
  const drained = new AbortController();
  const untilDrained = AbortSignal.any([drained.signal, dependencies.signal]);
  const cancellations = createCancellationWatch({
    client,
    inFlight,
    graceSeconds: settings.cancelGraceSeconds,
    logger,
  });
  const running = new Set<Promise<void>>();
  const poll = createPoll(dependencies, inFlight, (run) => {
    const ended = runFlowRun(dependencies, run).finally(() => {
      inFlight.delete(run.flowRun.id);
      running.delete(ended);
    });
    running.add(ended);
  });
  // The plane counts a worker as online from its first heartbeat, so that comes before the first poll.
  const heartbeat = () => sendHeartbeat(dependencies);
  await tickOnce({ name: "heartbeat", logger }, heartbeat);
  const loops = [
    repeat({ name: "heartbeat", seconds: settings.heartbeatSeconds, logger, signal: untilDrained }, heartbeat, true),
    repeat(
      { name: "cancellations", seconds: CANCELLATION_POLL_SECONDS, logger, signal: untilDrained },
      cancellations.tick,
    ),
  ];
  if (settings.runOnce) {
    await tickOnce({ name: "poll", logger }, poll);
  } else {
    await repeat({ name: "poll", seconds: settings.pollSeconds, logger, signal: stop }, poll);
  }
  if (running.size > 0) {
    logger.info({ runs: running.size }, "No new runs are taken; waiting for those in flight");
  }
  await Promise.all(running);
  drained.abort();
  await Promise.all(loops);
}

function createPoll(
  { client, settings, infrastructure, clock }: WorkerDependencies,
  inFlight: Map<string, RunInFlight>,
  start: (run: RunInFlight) => void,
): () => Promise<void> {
  return async () => {
    const free = settings.limit - inFlight.size;
    if (free <= 0) {
      return;
    }
    await infrastructure.checkReady();
    const scheduled = await client.workPools.getScheduledFlowRuns(settings.pool, {
      work_queue_names: settings.queues,
      scheduled_before: timestampFromMs(clock.now().getTime() + settings.prefetchSeconds * 1000),
      limit: Math.min(free + inFlight.size, MAX_PAGE_SIZE),
    });
    for (const { flow_run } of scheduled) {
      if (!inFlight.has(flow_run.id) && inFlight.size < settings.limit) {
        const run: RunInFlight = { flowRun: flow_run, started: undefined };
        inFlight.set(flow_run.id, run);
        start(run);
      }
    }
  };
}

/** A pool that was deleted is made again when that is allowed, as Prefect's worker does. */
async function sendHeartbeat({ client, settings, logger }: WorkerDependencies): Promise<void> {
  const beat = () =>
    client.workPools.sendHeartbeat(settings.pool, {
      name: settings.name,
      heartbeat_interval_seconds: Math.ceil(settings.heartbeatSeconds),
    });
  try {
    await beat();
  } catch (error) {
    if (refusalStatus(error) !== 404) {
      throw error;
    }
    const { created } = await prepareWorkPool(client, settings);
    if (created) {
      logger.warn({ work_pool_name: settings.pool }, "The work pool was gone and has been created again");
    }
    await beat();
  }
}

interface Loop {
  name: string;
  seconds: number;
  logger: Logger;
  signal: AbortSignal;
}

/**
 * Repeats a tick until the signal aborts, one at a time. A tick that throws is logged and tried again with growing
 * waits, for ever: neither a plane that is away nor a bug in one tick ends the worker.
 */
async function repeat(loop: Loop, tick: () => Promise<void>, waitsFirst = false): Promise<void> {
  let failures = 0;
  if (waitsFirst) {
    await sleep(loop.seconds * 1000, loop.signal);
  }
  while (!loop.signal.aborted) {
    const succeeded = await tickOnce(loop, tick);
    if (succeeded && failures > 0) {
      loop.logger.info({ loop: loop.name, failures }, "Works again");
    }
    failures = succeeded ? 0 : failures + 1;
    await sleep(succeeded ? loop.seconds * 1000 : backOffMs(failures), loop.signal);
  }
}

async function tickOnce(loop: Pick<Loop, "name" | "logger">, tick: () => Promise<void>): Promise<boolean> {
  try {
    await tick();
    return true;
  } catch (error) {
    loop.logger.warn({ loop: loop.name, ...errorFields(error) }, "A loop's turn failed; it is tried again");
    return false;
  }
}
