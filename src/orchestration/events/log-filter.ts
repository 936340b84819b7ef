import type { LogFilter } from "../../prefect-api/filters.ts";
import type { Log } from "../../prefect-api/logs.ts";

/** Whether a line that has just arrived is one that a subscriber asked for. */
export function matchesLogFilter(log: Log, filter: LogFilter): boolean {
  if (!filter) {
    return true;
  }
  const { level, timestamp, flow_run_id, task_run_id, text } = filter;
  const answers = [
    ...ask(level?.ge_, (least) => log.level >= least),
    ...ask(level?.le_, (most) => log.level <= most),
    ...ask(timestamp?.before_, (before) => log.timestamp <= before),
    ...ask(timestamp?.after_, (after) => log.timestamp >= after),
    ...ask(flow_run_id?.any_, (ids) => includes(ids, log.flow_run_id)),
    ...ask(task_run_id?.any_, (ids) => includes(ids, log.task_run_id)),
    ...ask(task_run_id?.is_null_, (wanted) => ((log.task_run_id ?? null) === null) === wanted),
    ...ask(text?.query, (query) => `${log.message} ${log.name}`.toLowerCase().includes(query.toLowerCase())),
  ];
  return answers.length === 0 || (filter.operator === "or_" ? answers.includes(true) : !answers.includes(false));
}

function ask<T>(value: T | null | undefined, matches: (value: T) => boolean): boolean[] {
  return value === null || value === undefined ? [] : [matches(value)];
}

function includes(ids: readonly string[], id: string | null | undefined): boolean {
  return id !== null && id !== undefined && ids.includes(id);
}
