import { v5 as uuidv5 } from "uuid";
import type { PrefectClient } from "../../src/client/prefect-client.ts";
import type { OutputStream } from "../../src/docker/logs.ts";
import { TransientError } from "../../src/shared/errors.ts";
import type { OpenRelay } from "../relay/open-relay.ts";
import type { OutputEntry } from "./output-lines.ts";

/** Makes the ids of log entries: the same line of the same run has the same id, whoever sends it and how often. */
const LOG_NAMESPACE = "0f5d5a1e-6c0c-5a58-9d0a-3a3f6f9f2c11";
const LOG_IDS = "log_ids";
/** A plane that does not answer is not asked again with every batch. */
const AWAY_MS = 5000;

export interface LogSender {
  /** Throws what the client throws. */
  send(run: { flowRunId: string; key: string }, entries: readonly OutputEntry[]): Promise<void>;
  /** Returns when what engines have sent by the relay until now is at the plane, too; early when the signal aborts. */
  untilRelayed(signal: AbortSignal): Promise<void>;
}

type LogClient = {
  logs: Pick<PrefectClient["logs"], "create">;
  releases: Pick<PrefectClient["releases"], "findCapabilities">;
};

/**
 * Stores entries of runs' output at the plane. Sent again, they are stored once where the plane knows our ids; a stock
 * Prefect server refuses them, and gets plain entries. While the plane is away the relay takes them, on disk: what is
 * sent is then safe whatever becomes of the container and of this worker. Without room there, or without a relay, the
 * container's own log is what keeps them.
 */
export function createLogSender(client: LogClient, relay?: Pick<OpenRelay, "keepLogs" | "untilSettled">): LogSender {
  let takesIds: boolean | undefined;
  let awayUntilMs = 0;

  async function sendToPlane(logs: ReturnType<typeof buildLogs>): Promise<void> {
    takesIds ??= (await client.releases.findCapabilities())?.features.includes(LOG_IDS) ?? false;
    await client.logs.create(takesIds ? logs : logs.map(({ id: _, ...log }) => log));
  }

  return {
    send: async (run, entries) => {
      const logs = buildLogs(run, entries);
      if (performance.now() < awayUntilMs && (await relay?.keepLogs(run.flowRunId, logs)) === true) {
        return;
      }
      try {
        await sendToPlane(logs);
      } catch (error) {
        if (!(error instanceof TransientError) || (await relay?.keepLogs(run.flowRunId, logs)) !== true) {
          throw error;
        }
        awayUntilMs = performance.now() + AWAY_MS;
      }
    },
    untilRelayed: async (signal) => relay?.untilSettled(signal),
  };
}

function buildLogs({ flowRunId, key }: { flowRunId: string; key: string }, entries: readonly OutputEntry[]) {
  const times = createTimes();
  return entries.map((entry) => ({
    id: uuidv5(`${key}/${entry.stream}/${entry.place}`, LOG_NAMESPACE),
    name: entry.name,
    level: entry.level,
    message: entry.message.replaceAll("\0", "\uFFFD"), // PostgreSQL stores no NUL
    timestamp: times.next(entry),
    flow_run_id: flowRunId,
  }));
}

/** Lines of one microsecond keep their order: the plane sorts by time, and knows microseconds. */
function createTimes(): { next: (entry: Pick<OutputEntry, "at" | "stream">) => string } {
  const last: Partial<Record<OutputStream, number>> = {};
  return {
    next: ({ at, stream }) => {
      const micros = Date.parse(`${at.slice(0, 23)}Z`) * 1000 + Number(at.slice(23, 26));
      const later = Math.max(micros, (last[stream] ?? 0) + 1);
      last[stream] = later;
      const milliseconds = Math.floor(later / 1000);
      return `${new Date(milliseconds).toISOString().slice(0, 23)}${String(later % 1000).padStart(3, "0")}Z`;
    },
  };
}
