import type { PrefectClient } from "../src/client/prefect-client.ts";
import { refusalStatus } from "../src/client/refusal.ts";
import { sleep } from "../src/shared/abort.ts";
import type { Clock } from "../src/shared/clock.ts";
import type { WorkerSettings } from "./config.ts";
import { drainRuns } from "./drain.ts";
import { createPullAhead } from "./images/pull-ahead.ts";
import type { StartedRun } from "./infrastructure/contract.ts";
import { repeat, tickOnce } from "./loop.ts";
import { createFeatureCheck } from "./plane-features.ts";
import { createAdoption } from "./runs/adopt.ts";
import { createRenewal, RENEW_SECONDS } from "./runs/renew-claims.ts";
import { errorFields } from "./runs/report.ts";
import { type RunDependencies, type RunInFlight, type RunOffer, runFlowRun } from "./runs/run-flow-run.ts";
import type { RunPhases } from "./runs/run-phases.ts";
import { createRunsInHand, type RunsInHand } from "./runs/runs-in-hand.ts";
import { createCancellationWatch } from "./runs/stop-cancelled.ts";
import { superviseRun } from "./runs/supervise.ts";
import { createTaker } from "./runs/take-runs.ts";
import { prepareWorkPool } from "./work-pool.ts";
import type { WorkerHome } from "./worker-home.ts";

/** A cancelled run is heard of within this, and its grace begins. */
const CANCELLATION_POLL_SECONDS = 1;
const ADOPTION_SECONDS = 5;

export interface WorkerDependencies extends Omit<RunDependencies, "settings" | "client" | "home"> {
  client: PrefectClient;
  settings: Omit<
    WorkerSettings,
    "engine" | "api" | "python" | "logFormat" | "homeFolder" | "flowyardHome" | "relay" | "relayLimits" | "webserver"
  >;
  home: WorkerHome;
  clock: Clock;
  /** Told what becomes of runs. */
  runPhases?: Pick<RunPhases, "begin"> | undefined;
}

/**
 * Serves one work pool until `stop` aborts; then takes nothing more and returns when its runs have ended, or when they
 * are left to go on without it (`onStop`, `drainSeconds`). It outlives a plane that is away and runs that go wrong.
 * `signal` of the dependencies makes it return without waiting for runs.
 */
export async function runWorker(dependencies: WorkerDependencies, stop: AbortSignal): Promise<void> {
  const { settings, logger, client } = dependencies;
  const leaving = new AbortController();
  const signal = AbortSignal.any([dependencies.signal, leaving.signal]);
  const own: WorkerDependencies = { ...dependencies, signal };
  const runs = createRunsInHand();
  const ended = new AbortController();
  const untilEnded = AbortSignal.any([ended.signal, signal]);
  const cancellations = createCancellationWatch({
    client,
    inFlight: runs.inFlight,
    graceSeconds: settings.cancelGraceSeconds,
    logger,
  });
  const adoption = createAdoption(own, runs.attempts, (run) => adoptRun(own, runs, run));
  const hasFeature = createFeatureCheck(client);
  const take = createTaker({ ...own, hasFeature }, runs, settings.pollSeconds);
  const pullAhead = createPullAhead({ ...own, signal: AbortSignal.any([stop, signal]) });
  const renew = createRenewal({ ...own, hasFeature, pullAhead, isStopping: () => stop.aborted }, runs);
  const heartbeat = () => sendHeartbeat(own);
  // The plane counts a worker as online from its first heartbeat, so that comes before the first poll.
  await tickOnce({ name: "heartbeat", logger }, heartbeat);
  // What others left behind counts against the limit, so that comes before the first poll, too.
  await tickOnce({ name: "adoption", logger }, adoption.tick);
  const every = (name: string, seconds: number) => ({ name, seconds, logger, signal: untilEnded });
  const loops = [
    repeat(every("heartbeat", settings.heartbeatSeconds), heartbeat, true),
    repeat(every("adoption", ADOPTION_SECONDS), adoption.tick, true),
    repeat(every("cancellations", CANCELLATION_POLL_SECONDS), cancellations.tick),
    repeat(every("claims", RENEW_SECONDS), renew, true),
  ];
  const look = async () => {
    const { offers, waitSeconds } = await take(stop);
    begin(own, runs, offers);
    await sleep(waitSeconds * 1000, stop);
  };
  if (settings.runOnce) {
    await tickOnce({ name: "take", logger }, look);
  } else {
    await repeat({ name: "take", seconds: 0, logger, signal: stop }, look);
  }
  await drainRuns(own, runs, {
    leave: () => leaving.abort(),
    announce: () => tickOnce({ name: "claims", logger }, renew),
  });
  ended.abort();
  await Promise.all(loops);
}

function begin(own: WorkerDependencies, runs: RunsInHand, offers: readonly RunOffer[]): void {
  for (const offer of offers) {
    const run: RunInFlight = {
      flowRun: offer.flowRun,
      attempt: offer.attempt,
      fencingToken: offer.claimed?.fencingToken,
      started: undefined,
      starting: new AbortController(),
    };
    const phases = own.runPhases?.begin({ flowRunId: offer.flowRun.id, attempt: offer.attempt }, "claimed");
    const ended = runFlowRun({ ...own, phases }, run, offer).finally(() => phases?.end(run.started !== undefined));
    runs.add(run, ended);
  }
}

function adoptRun(own: WorkerDependencies, runs: RunsInHand, started: StartedRun): void {
  const { flow_run_id, flow_run_name, attempt, fencing_token } = started.facts;
  const fencingToken = fencing_token === undefined ? undefined : Number(fencing_token);
  const logger = own.logger.child({ flow_run_id, flow_run_name });
  logger.info({ infrastructure: started.what, worker_name: started.facts.worker_name }, "Run adopted");
  const phases = own.runPhases?.begin({ flowRunId: flow_run_id, attempt }, "adopted");
  const supervised = superviseRun({ ...own, logger, fencingToken, phases }, started, false)
    .catch((error: unknown) => {
      if (!own.signal.aborted) {
        logger.error({ ...errorFields(error) }, "The adopted run was lost: its end could not be reported");
      }
      return "done" as const;
    })
    .finally(() => phases?.end(true));
  const flowRun = { id: flow_run_id, name: flow_run_name };
  runs.add({ flowRun, attempt, fencingToken, started, starting: new AbortController() }, supervised);
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
