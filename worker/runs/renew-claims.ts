import type { PrefectClient } from "../../src/client/prefect-client.ts";
import { MAX_RENEWED_AT_ONCE } from "../../src/flowyard-api/claims.ts";
import type { Logger } from "../../src/shared/logger.ts";
import type { WorkerSettings } from "../config.ts";
import type { HasFeature } from "../plane-features.ts";
import type { WorkerHome } from "../worker-home.ts";
import { errorFields } from "./report.ts";
import type { RunInFlight } from "./run-flow-run.ts";
import type { RunsInHand } from "./runs-in-hand.ts";

/** A third of the time that a claim lasts before its run was started. */
export const RENEW_SECONDS = 10;
/** The attempt was given up, so nobody waits for its goodbye. */
const LOST_STOP_SECONDS = 0;

interface RenewDependencies {
  client: { claims: Pick<PrefectClient["claims"], "renew"> };
  settings: Pick<WorkerSettings, "name" | "pool">;
  logger: Logger;
  home: Pick<WorkerHome, "instance">;
  hasFeature: HasFeature;
  /** Told of images that runs will need soon. */
  pullAhead(images: readonly string[]): void;
  /** Whether it was told to stop: shown at the plane. */
  isStopping(): boolean;
}

/**
 * Prolongs the claims of all runs in hand, in one request, and stops what belongs to somebody else by now. Throws what
 * the client throws: while the plane is away nothing is lost on either side, it ends no claims then.
 */
export function createRenewal(own: RenewDependencies, { inFlight }: Pick<RunsInHand, "inFlight">): () => Promise<void> {
  let wasDraining = false;
  return async () => {
    if (!(await own.hasFeature("claims"))) {
      return;
    }
    const held = [...inFlight.values()].filter(({ fencingToken }) => fencingToken !== undefined);
    const { claims, images, draining } = await own.client.claims.renew(own.settings.pool, {
      worker_name: own.settings.name,
      worker_instance: own.home.instance,
      stopping: own.isStopping(),
      claims: held.slice(0, MAX_RENEWED_AT_ONCE).map(({ attempt, fencingToken = 1, started }) => ({
        id: attempt,
        fencing_token: fencingToken,
        started: started !== undefined,
      })),
    });
    own.pullAhead(images);
    if (draining !== wasDraining) {
      own.logger.info({}, draining ? "Drained by an operator: no new runs are taken" : "Takes runs again");
      wasDraining = draining;
    }
    const lost = new Set(claims.filter(({ status }) => status === "lost").map(({ id }) => id));
    for (const run of held.filter(({ attempt }) => lost.has(attempt))) {
      await giveUp(own, run);
    }
  };
}

/** A run that has just ended is lost, too: its supervisor is at work, and stopping what has stopped does nothing. */
async function giveUp({ logger }: RenewDependencies, run: RunInFlight): Promise<void> {
  const fields = { flow_run_id: run.flowRun.id, infrastructure: run.started?.what };
  logger.info(fields, "The run has ended or is somebody else's by now; what this worker has of it is stopped");
  run.starting.abort();
  try {
    await run.started?.stop(LOST_STOP_SECONDS);
  } catch (error) {
    logger.warn({ ...fields, ...errorFields(error) }, "A run that was lost could not be stopped");
  }
}
