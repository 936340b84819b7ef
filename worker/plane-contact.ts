import type { UpcomingRetry } from "../src/client/http.ts";
import type { PrefectClient } from "../src/client/prefect-client.ts";
import type { WorkerSettings } from "./config.ts";
import type { WorkerMetrics } from "./metrics.ts";

/** Prefect's factor: its worker is unhealthy when it has not polled for thirty of its intervals. */
const UNHEALTHY_INTERVALS = 30;
/** A restart of the plane must not restart its workers, however often they ask. */
const MIN_WINDOW_SECONDS = 60;
const MISSED_HEARTBEATS = 2;

/** When the plane was last there for this worker. */
export interface PlaneContact {
  /** Whether it answered lately, or says that it is in maintenance. A worker that has just started has time. */
  isHealthy(): boolean;
  /** For the client: what it waits for by itself. */
  onRetry(retry: UpcomingRetry): void;
  /** The client, watched in what the worker asks in any case: runs, renewals, signs of life. */
  watch(client: PrefectClient): PrefectClient;
}

export function createPlaneContact(
  settings: Pick<WorkerSettings, "pollSeconds" | "heartbeatSeconds">,
  metrics: Pick<WorkerMetrics, "notePlaneRequest">,
  nowMs: () => number = () => performance.now(),
): PlaneContact {
  const windowMs =
    1000 *
    Math.max(
      MIN_WINDOW_SECONDS,
      UNHEALTHY_INTERVALS * settings.pollSeconds,
      MISSED_HEARTBEATS * settings.heartbeatSeconds,
    );
  let lastMs = nowMs();
  const note = async <T>(asking: Promise<T>): Promise<T> => {
    try {
      const answer = await asking;
      lastMs = Math.max(lastMs, nowMs());
      metrics.notePlaneRequest(true);
      return answer;
    } catch (error) {
      metrics.notePlaneRequest(false);
      throw error;
    }
  };
  return {
    isHealthy: () => nowMs() - lastMs <= windowMs,
    onRetry: ({ isMaintenance, delayMs }) => {
      if (isMaintenance) {
        lastMs = Math.max(lastMs, nowMs() + delayMs);
      }
    },
    watch: (client) => ({
      ...client,
      claims: {
        take: (...asked) => note(client.claims.take(...asked)),
        renew: (...asked) => note(client.claims.renew(...asked)),
      },
      workPools: {
        ...client.workPools,
        getScheduledFlowRuns: (...asked) => note(client.workPools.getScheduledFlowRuns(...asked)),
        sendHeartbeat: (...asked) => note(client.workPools.sendHeartbeat(...asked)),
      },
    }),
  };
}
