import { addSeconds, type Timestamp, timestampFromDate } from "../../prefect-api/timestamp.ts";
import type { Store, Tx } from "../../storage/store.ts";
import type { BatchResult } from "../states/change-each.ts";

const DAY_SECONDS = 86_400;

/** Rows of one transaction. Everybody who writes waits while they go: each kind costs some ten milliseconds at most. */
const MOST_RUNS = 20;
const MOST_LINES = 500;
const MOST_TASK_RUNS = 100;
const MOST_EVENTS = 500;

/** How long things are kept, in days; 0 keeps them for ever. */
export interface Retention {
  /** Runs that have ended, with all that belongs to them. */
  runsDays: number;
  logsDays: number;
  eventsDays: number;
}

/** Removes one small batch of what has been kept long enough: runs first, they take their logs with them. */
export function removeOld(
  { store }: { store: Pick<Store, "transaction"> },
  now: Date,
  { runsDays, logsDays, eventsDays }: Retention,
): Promise<BatchResult> {
  return store.transaction(async (tx) => {
    const steps = [
      ...(runsDays > 0 ? [() => removeRuns(tx, daysBefore(now, runsDays))] : []),
      ...(logsDays > 0 ? [() => removeLogs(tx, daysBefore(now, logsDays))] : []),
      ...(eventsDays > 0 ? [() => removeEvents(tx, daysBefore(now, eventsDays))] : []),
    ];
    for (const step of steps) {
      const result = await step();
      if (result.changed > 0) {
        return { ...result, more: true };
      }
    }
    return { changed: 0, more: false };
  });
}

function daysBefore(now: Date, days: number): Timestamp {
  return addSeconds(timestampFromDate(now), -days * DAY_SECONDS);
}

/** A run goes last, when nothing that belongs to it is left: none of it is forgotten when the plane stops between. */
async function removeRuns(tx: Tx, ended: Timestamp): Promise<{ changed: number }> {
  const ids = await tx.retention.listRunsEndedBefore(ended, MOST_RUNS);
  if (ids.length === 0) {
    return { changed: await tx.retention.removeLoneTaskRunsEndedBefore(ended, MOST_TASK_RUNS) };
  }
  const lines = await tx.retention.removeLogsOf(ids, MOST_LINES);
  const taskRuns = await tx.retention.removeTaskRunsOf(ids, MOST_TASK_RUNS);
  const artifacts = await tx.retention.removeArtifactsOf(ids, MOST_TASK_RUNS);
  const more = lines === MOST_LINES || taskRuns === MOST_TASK_RUNS || artifacts === MOST_TASK_RUNS;
  const runs = more ? 0 : await tx.retention.removeRuns(ids, ended);
  return { changed: lines + taskRuns + artifacts + runs };
}

async function removeLogs(tx: Tx, before: Timestamp): Promise<{ changed: number }> {
  return { changed: await tx.retention.removeLogsBefore(before, MOST_LINES) };
}

async function removeEvents(tx: Tx, before: Timestamp): Promise<{ changed: number }> {
  return { changed: await tx.events.removeBefore(before, MOST_EVENTS) };
}
