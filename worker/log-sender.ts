import { v5 as uuidv5 } from "uuid";
import type { PrefectClient } from "../src/client/prefect-client.ts";
import type { OutputStream } from "../src/docker/logs.ts";
import type { OutputEntry } from "./output-lines.ts";

/** Makes the ids of log entries: the same line of the same run has the same id, whoever sends it and how often. */
const LOG_NAMESPACE = "0f5d5a1e-6c0c-5a58-9d0a-3a3f6f9f2c11";
const LOG_IDS = "log_ids";

export interface LogSender {
  /** Throws what the client throws. */
  send(run: { flowRunId: string; key: string }, entries: readonly OutputEntry[]): Promise<void>;
}

type LogClient = {
  logs: Pick<PrefectClient["logs"], "create">;
  releases: Pick<PrefectClient["releases"], "findCapabilities">;
};

/**
 * Stores entries of runs' output at the plane. Sent again, they are stored once where the plane knows our ids; a stock
 * Prefect server refuses them, and gets plain entries.
 */
export function createLogSender(client: LogClient): LogSender {
  let takesIds: boolean | undefined;
  return {
    send: async ({ flowRunId, key }, entries) => {
      takesIds ??= (await client.releases.findCapabilities())?.features.includes(LOG_IDS) ?? false;
      const times = createTimes();
      const logs = entries.map((entry) => ({
        ...(takesIds === true ? { id: uuidv5(`${key}/${entry.stream}/${entry.place}`, LOG_NAMESPACE) } : {}),
        name: entry.name,
        level: entry.level,
        message: entry.message.replaceAll("\0", "\uFFFD"), // PostgreSQL stores no NUL
        timestamp: times.next(entry),
        flow_run_id: flowRunId,
      }));
      await client.logs.create(logs);
    },
  };
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
