import { v7 as uuidv7 } from "uuid";
import type { CreateLog } from "../../prefect-api/logs.ts";
import { timestampFromDate } from "../../prefect-api/timestamp.ts";
import type { Store } from "../../storage/store.ts";
import type { LiveBus } from "./live-bus.ts";

/**
 * Stores a batch of log lines, and shows them to whoever follows them once they are on disk. A line that brings an id
 * which is stored already is left out.
 */
export async function recordLogs(
  deps: { store: Pick<Store, "transaction">; bus: LiveBus },
  lines: readonly CreateLog[],
  now: Date,
): Promise<void> {
  if (lines.length === 0) {
    return;
  }
  const created = timestampFromDate(now);
  const logs = lines.map((line) => ({
    // Version 7: lines of one instant keep the order of their arrival.
    id: line.id ?? uuidv7(),
    created,
    updated: created,
    name: line.name,
    level: line.level,
    message: line.message,
    timestamp: line.timestamp,
    flow_run_id: line.flow_run_id ?? null,
    task_run_id: line.task_run_id ?? null,
  }));
  await deps.store.transaction(async (tx) => {
    const stored = await tx.logs.insert(logs);
    if (stored.length > 0) {
      deps.bus.announceLogs(tx, stored);
    }
  });
}
