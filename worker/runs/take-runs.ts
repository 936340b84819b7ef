import { v7 as uuidv7 } from "uuid";
import type { PrefectClient } from "../../src/client/prefect-client.ts";
import { type ClaimedFlowRun, MAX_CLAIMED_AT_ONCE } from "../../src/flowyard-api/claims.ts";
import { MAX_PAGE_SIZE } from "../../src/prefect-api/primitives.ts";
import { timestampFromMs } from "../../src/prefect-api/timestamp.ts";
import type { Clock } from "../../src/shared/clock.ts";
import type { WorkerSettings } from "../config.ts";
import type { Infrastructure } from "../infrastructure/contract.ts";
import type { HasFeature } from "../plane-features.ts";
import type { WorkerHome } from "../worker-home.ts";
import { describeError, proposeState } from "./report.ts";
import type { RunOffer } from "./run-flow-run.ts";
import type { RunsInHand } from "./runs-in-hand.ts";

/** Long enough that a worker without work asks seldom, short enough for every proxy between it and the plane. */
const WAIT_SECONDS = 20;

export interface TakeDependencies {
  client: {
    workPools: Pick<PrefectClient["workPools"], "getScheduledFlowRuns">;
    claims: Pick<PrefectClient["claims"], "take">;
    flowRuns: Pick<PrefectClient["flowRuns"], "setState">;
  };
  settings: Pick<WorkerSettings, "name" | "pool" | "queues" | "limit" | "prefetchSeconds" | "runOnce">;
  infrastructure: Pick<Infrastructure, "checkReady">;
  home: Pick<WorkerHome, "instance">;
  hasFeature: HasFeature;
  clock: Clock;
}

/** One look for work. Answers the runs to begin, and how long to wait before the next look. */
export interface Look {
  offers: RunOffer[];
  waitSeconds: number;
}

/**
 * Asks the plane for runs, no more than the worker may begin: while it may begin none, the end of a run is waited for. A
 * Flowyard plane answers as soon as there is one, and has claimed it then; a stock Prefect server is polled.
 * `pollSeconds` is the pause where nothing else says when to ask.
 */
export function createTaker(
  own: TakeDependencies,
  runs: Pick<RunsInHand, "inFlight" | "waitForRoom">,
  pollSeconds: number,
): (stop: AbortSignal) => Promise<Look> {
  const { settings, infrastructure } = own;
  return async (stop) => {
    if (!settings.runOnce) {
      await runs.waitForRoom(settings.limit, stop);
    }
    const free = settings.limit - runs.inFlight.size;
    if (free <= 0 || stop.aborted) {
      return { offers: [], waitSeconds: 0 };
    }
    await infrastructure.checkReady();
    return (await own.hasFeature("claims"))
      ? { offers: await claim(own, runs, free, stop), waitSeconds: 0 }
      : { offers: await poll(own, runs, free), waitSeconds: pollSeconds };
  };
}

async function claim(
  own: TakeDependencies,
  { inFlight }: Pick<RunsInHand, "inFlight">,
  free: number,
  stop: AbortSignal,
): Promise<RunOffer[]> {
  const { client, settings } = own;
  const held = [...inFlight.values()].flatMap((run) => (run.fencingToken === undefined ? [] : [run.attempt]));
  const answer = client.claims.take(
    settings.pool,
    {
      worker_name: settings.name,
      worker_instance: own.home.instance,
      work_queue_names: settings.queues.length === 0 ? null : settings.queues,
      capacity: Math.min(free, MAX_CLAIMED_AT_ONCE),
      held,
      wait_seconds: settings.runOnce ? 0 : WAIT_SECONDS,
    },
    stop,
  );
  const { claimed, work_pool } = await answer.catch((error: unknown) => {
    // Given up: what was claimed all the same the plane returns when it hears that this worker stops.
    if (stop.aborted) {
      return { claimed: [], work_pool: undefined };
    }
    throw error;
  });
  await checkStillReady(own, claimed);
  return claimed.map(({ claim: { id, fencing_token }, flow_run, flow, deployment }) => ({
    flowRun: flow_run,
    attempt: id,
    claimed: { fencingToken: fencing_token, flow, deployment: deployment ?? undefined, workPool: work_pool },
  }));
}

/**
 * The engine may have gone away while the worker waited for work. What it cannot begin others may, at once; where that
 * cannot be said, the end of the claim says it. Throws what `checkReady` throws.
 */
async function checkStillReady(
  { client, settings, infrastructure }: TakeDependencies,
  claimed: readonly Pick<ClaimedFlowRun, "claim" | "flow_run">[],
): Promise<void> {
  if (claimed.length === 0) {
    return;
  }
  try {
    await infrastructure.checkReady();
  } catch (error) {
    const message = `Worker '${settings.name}' took this run and could not begin it. ${describeError(error)}`;
    const state = { type: "SCHEDULED" as const, message, state_details: { scheduled_time: new Date().toISOString() } };
    await Promise.allSettled(
      claimed.map(({ claim: { fencing_token }, flow_run }) =>
        proposeState({ client, fencingToken: fencing_token }, flow_run.id, { state, force: true }),
      ),
    );
    throw error;
  }
}

/** Two workers may be offered the same run; the PENDING proposal decides. */
async function poll(
  { client, settings, clock }: TakeDependencies,
  { inFlight }: Pick<RunsInHand, "inFlight">,
  free: number,
): Promise<RunOffer[]> {
  const scheduled = await client.workPools.getScheduledFlowRuns(settings.pool, {
    work_queue_names: settings.queues,
    scheduled_before: timestampFromMs(clock.now().getTime() + settings.prefetchSeconds * 1000),
    limit: Math.min(free + inFlight.size, MAX_PAGE_SIZE),
  });
  return scheduled
    .filter(({ flow_run }) => !inFlight.has(flow_run.id))
    .slice(0, free)
    .map(({ flow_run }) => ({ flowRun: flow_run, attempt: uuidv7(), claimed: undefined }));
}
