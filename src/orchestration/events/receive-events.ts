import type { Event, ReceivedEvent } from "../../prefect-api/events.ts";
import { type Timestamp, timestampFromDate } from "../../prefect-api/timestamp.ts";
import type { Store, Tx } from "../../storage/store.ts";
import { decideTaskRun, parseTaskRunEvent, type TaskRunReport } from "../states/task-run-event.ts";
import type { LiveBus } from "./live-bus.ts";

/** Events that share a transaction: other writers wait no longer than these take. */
const MAX_TOGETHER = 500;

/**
 * Stores events that clients sent, with the task runs that they tell of, and publishes them once they are on disk.
 * Safe to repeat: a known event changes nothing and is not published again.
 */
export async function receiveEvents(
  deps: { store: Pick<Store, "transaction">; bus: LiveBus },
  events: readonly Event[],
  now: Date,
): Promise<void> {
  const received = timestampFromDate(now);
  for (let start = 0; start < events.length; start += MAX_TOGETHER) {
    const together = events.slice(start, start + MAX_TOGETHER).map((event) => ({ ...event, received }));
    await deps.store.transaction((tx) => receiveEventsIn(tx, deps.bus, together));
  }
}

async function receiveEventsIn(tx: Tx, bus: LiveBus, events: readonly ReceivedEvent[]): Promise<void> {
  const added = await tx.events.insert(events);
  for (const event of added) {
    const report = parseTaskRunEvent(event);
    if (report !== undefined) {
      await recordTaskRun(tx, report, event.received);
    }
  }
  bus.announceEvents(tx, added);
}

/** A task run is the same one by its keys within its flow run, whatever id a repeated execution gave it. */
async function recordTaskRun(tx: Pick<Tx, "taskRuns">, report: TaskRunReport, now: Timestamp): Promise<void> {
  const { taskRunId, flowRunId, taskRun, state } = report;
  const sameKeys =
    flowRunId === null
      ? undefined
      : await tx.taskRuns.findByKey({
          flow_run_id: flowRunId,
          task_key: taskRun.task_key,
          dynamic_key: taskRun.dynamic_key,
        });
  const stored = sameKeys ?? (await tx.taskRuns.find(taskRunId));
  if (stored?.flow_run_id && stored.flow_run_id !== flowRunId) {
    return; // another run's: it stays an event
  }
  const changed = decideTaskRun(stored, report, now);
  if (changed !== undefined) {
    await tx.taskRuns.put(changed);
  } else if (stored !== undefined) {
    await tx.taskRuns.addState(stored.id, {
      ...state,
      state_details: { ...state.state_details, task_run_id: stored.id },
    });
  }
}
