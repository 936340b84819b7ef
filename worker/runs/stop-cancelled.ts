import type { PrefectClient } from "../../src/client/prefect-client.ts";
import type { Logger } from "../../src/shared/logger.ts";
import type { StartedRun } from "../infrastructure/contract.ts";
import { errorFields } from "./report.ts";
import type { RunInFlight } from "./run-flow-run.ts";

const MAX_STOP_SECONDS = 10;

interface CancellationWatch {
  /** One look at the plane; throws what the client throws. */
  tick: () => Promise<void>;
}

/**
 * Cancels runs: one that is being started at once; one that runs is asked (the engine that the worker runs directly by
 * the worker, Prefect's runner hears it from the plane), and ended by force when its grace is over. Its supervisor
 * reports CANCELLED when it is gone.
 */
export function createCancellationWatch(dependencies: {
  client: { flowRuns: Pick<PrefectClient["flowRuns"], "list"> };
  inFlight: ReadonlyMap<string, RunInFlight>;
  graceSeconds: number;
  logger: Logger;
}): CancellationWatch {
  const { client, inFlight, logger } = dependencies;
  const seenAtMs = new Map<string, number>();
  /** What was done for a run already; taken back when it failed, so that the next tick tries again. */
  const done = new Set<string>();

  async function once(run: RunInFlight, what: string, act: () => Promise<void>): Promise<void> {
    const key = `${run.attempt}/${what}`;
    if (done.has(key)) {
      return;
    }
    done.add(key);
    const fields = { flow_run_id: run.flowRun.id, infrastructure: run.started?.what };
    logger.info(fields, what);
    try {
      await act();
    } catch (error) {
      done.delete(key);
      logger.warn({ ...fields, ...errorFields(error) }, "A cancelled run could not be reached");
    }
  }

  function cancel(run: RunInFlight, started: StartedRun): void {
    const now = performance.now();
    const firstSeenAtMs = seenAtMs.get(run.attempt) ?? now;
    seenAtMs.set(run.attempt, firstSeenAtMs);
    const { waitSeconds, stopSeconds } = splitGrace(readGrace(started, dependencies.graceSeconds));
    if (now - firstSeenAtMs >= waitSeconds * 1000) {
      void once(run, "Stopping a cancelled run that did not end by itself", () => started.stop(stopSeconds));
    } else if (started.facts.engine === "direct") {
      void once(run, "Asking a run to cancel its flow", () => started.askToCancel());
    }
  }

  function forgetEnded(): void {
    const attempts = new Set([...inFlight.values()].map(({ attempt }) => attempt));
    for (const attempt of [...seenAtMs.keys()].filter((known) => !attempts.has(known))) {
      seenAtMs.delete(attempt);
    }
    for (const key of [...done].filter((known) => !attempts.has(known.split("/")[0] ?? ""))) {
      done.delete(key);
    }
  }

  return {
    tick: async () => {
      forgetEnded();
      if (inFlight.size === 0) {
        return;
      }
      const cancelled = await client.flowRuns.list({
        flow_runs: { id: { any_: [...inFlight.keys()] }, state: { type: { any_: ["CANCELLING", "CANCELLED"] } } },
      });
      for (const { id } of cancelled) {
        const run = inFlight.get(id);
        if (run?.started === undefined) {
          run?.starting.abort();
        } else {
          cancel(run, run.started);
        }
      }
    },
  };
}

function readGrace({ facts }: StartedRun, graceSeconds: number): number {
  return facts.cancel_grace_seconds === undefined ? graceSeconds : Number(facts.cancel_grace_seconds);
}

/** The last part of the grace is between SIGTERM and SIGKILL: when it is over, so is the run. */
function splitGrace(graceSeconds: number): { waitSeconds: number; stopSeconds: number } {
  const stopSeconds = Math.min(MAX_STOP_SECONDS, Math.floor(graceSeconds / 3));
  return { waitSeconds: graceSeconds - stopSeconds, stopSeconds };
}
