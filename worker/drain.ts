import type { PrefectClient } from "../src/client/prefect-client.ts";
import { sleep } from "../src/shared/abort.ts";
import type { Logger } from "../src/shared/logger.ts";
import type { WorkerSettings } from "./config.ts";
import { errorFields } from "./runs/report.ts";
import type { RunsInHand } from "./runs/runs-in-hand.ts";

interface DrainDependencies {
  client: { flowRuns: Pick<PrefectClient["flowRuns"], "setState"> };
  settings: Pick<WorkerSettings, "onStop" | "drainSeconds">;
  logger: Logger;
  signal: AbortSignal;
}

/** A plane that is away does not keep it from stopping. */
const ANNOUNCE_MS = 5000;
const MAX_TIMER_SECONDS = 2 ** 31 / 1000 - 1;

/**
 * What becomes of the runs of a worker that takes no more: they finish, are cancelled, or are left to go on without it,
 * to be adopted. Returns when none is in hand; after the deadline the rest is left, too.
 */
export async function drainRuns(
  own: DrainDependencies,
  runs: RunsInHand,
  { leave, announce }: { leave: () => void; announce: () => Promise<unknown> },
): Promise<void> {
  const { settings, logger, signal } = own;
  // Also without runs: the plane may just have claimed one in an answer that was no longer waited for.
  const announced = new AbortController();
  await Promise.race([announce(), sleep(ANNOUNCE_MS, AbortSignal.any([signal, announced.signal]))]);
  announced.abort();
  if (runs.inFlight.size > 0) {
    logger.info({ runs: runs.inFlight.size, on_stop: settings.onStop }, describe(settings.onStop));
  }
  switch (settings.onStop) {
    case "leave":
      leave();
      break;
    case "cancel":
      await cancelAll(own, runs);
      break;
    case "finish":
      break;
  }
  const deadline = AbortSignal.timeout(Math.min(settings.drainSeconds, MAX_TIMER_SECONDS) * 1000);
  await runs.wait(AbortSignal.any([signal, deadline]));
  if (deadline.aborted && runs.inFlight.size > 0) {
    logger.warn({ runs: runs.inFlight.size }, "The time to drain is up; what runs goes on and waits to be adopted");
  }
  leave();
  await runs.wait(signal);
}

function describe(onStop: WorkerSettings["onStop"]): string {
  switch (onStop) {
    case "finish":
      return "No new runs are taken; waiting for those in flight";
    case "cancel":
      return "No new runs are taken; cancelling those in flight";
    case "leave":
      return "No new runs are taken; leaving those in flight to whoever adopts them";
  }
}

async function cancelAll({ client, logger }: DrainDependencies, { inFlight }: RunsInHand): Promise<void> {
  const state = { type: "CANCELLING", message: "The worker was stopped with --on-stop cancel." } as const;
  for (const id of inFlight.keys()) {
    await client.flowRuns.setState(id, { state }).catch((error: unknown) => {
      logger.warn({ flow_run_id: id, ...errorFields(error) }, "A run could not be cancelled");
    });
  }
}
