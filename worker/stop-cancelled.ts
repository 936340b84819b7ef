import type { PrefectClient } from "../src/client/prefect-client.ts";
import type { Logger } from "../src/shared/logger.ts";
import { errorFields } from "./report.ts";
import type { RunInFlight } from "./run-flow-run.ts";

const STOP_SECONDS = 10; // between SIGTERM and SIGKILL, for a run that had its grace already

interface CancellationWatch {
  /** One look at the plane; throws what the client throws. */
  tick: () => Promise<void>;
}

/**
 * The engine inside a container reacts to CANCELLING by itself. Where it does not (no engine, a hanging flow, an image
 * that ignores signals), the run's container is stopped after the grace, and its supervisor reports CANCELLED.
 */
export function createCancellationWatch(dependencies: {
  client: { flowRuns: Pick<PrefectClient["flowRuns"], "list"> };
  inFlight: ReadonlyMap<string, RunInFlight>;
  graceSeconds: number;
  logger: Logger;
}): CancellationWatch {
  const { client, inFlight, graceSeconds, logger } = dependencies;
  const seenAtMs = new Map<string, number>();
  const stopped = new Set<string>();

  async function stop(run: RunInFlight, started: NonNullable<RunInFlight["started"]>): Promise<void> {
    const fields = { flow_run_id: run.flowRun.id, infrastructure: started.what };
    logger.info(fields, "Stopping a cancelled run that did not end by itself");
    try {
      await started.stop(STOP_SECONDS);
    } catch (error) {
      stopped.delete(run.flowRun.id); // tried again with the next tick
      logger.warn({ ...fields, ...errorFields(error) }, "A cancelled run could not be stopped");
    }
  }

  return {
    tick: async () => {
      for (const id of [...seenAtMs.keys()].filter((known) => !inFlight.has(known))) {
        seenAtMs.delete(id);
        stopped.delete(id);
      }
      if (inFlight.size === 0) {
        return;
      }
      const cancelled = await client.flowRuns.list({
        flow_runs: { id: { any_: [...inFlight.keys()] }, state: { type: { any_: ["CANCELLING", "CANCELLED"] } } },
      });
      const now = performance.now();
      for (const { id } of cancelled) {
        const run = inFlight.get(id);
        if (run?.started === undefined) {
          run?.starting.abort();
          continue;
        }
        const firstSeenAtMs = seenAtMs.get(id) ?? now;
        seenAtMs.set(id, firstSeenAtMs);
        const isDue = now - firstSeenAtMs >= graceSeconds * 1000;
        if (isDue && !stopped.has(id)) {
          stopped.add(id);
          void stop(run, run.started);
        }
      }
    },
  };
}
