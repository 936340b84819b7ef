import type { LogFilter } from "../prefect-api/filters.ts";
import { anyOf, between, combine, compact, field, isNull, matchText } from "./conditions.ts";
import type { Part } from "./walk-plan.ts";

export const TIMESTAMP = "l.timestamp";

/** What a filter asks of log lines `l`, all of it. A filter of alternatives is one part that no index finds. */
export function listLogParts(filter: LogFilter): Part[] {
  if (!filter) {
    return [];
  }
  const parts = listFields(filter);
  const alternatives = parts.map(({ condition }) => condition);
  return filter.operator === "and_" || parts.length === 0 ? parts : [{ condition: combine("or_", alternatives) }];
}

function listFields(filter: NonNullable<LogFilter>): Part[] {
  const { level, timestamp, flow_run_id: flowRun, task_run_id: taskRun, text } = filter;
  const range = between(TIMESTAMP, timestamp?.after_, timestamp?.before_);
  const ofTask = [...anyOf("l.task_run_id", taskRun?.any_), ...isNull("l.task_run_id", taskRun?.is_null_)];
  return [
    ...part(field(flowRun, anyOf("l.flow_run_id", flowRun?.any_)), flowRun?.any_),
    ...part(field(taskRun, ofTask), typeof taskRun?.is_null_ === "boolean" ? null : taskRun?.any_),
    ...compact([field(timestamp, range)]).map((condition) => ({
      condition,
      ...(range.length > 0 && { key: TIMESTAMP }),
    })),
    ...compact([field(level, between("l.level", level?.ge_, level?.le_))]).map((condition) => ({ condition })),
    ...matchText("l.message || ' ' || l.name", text?.query).map((condition) => ({ condition })),
  ];
}

function part(condition: Part["condition"] | undefined, listed: readonly string[] | null | undefined): Part[] {
  if (condition === undefined) {
    return [];
  }
  return [
    {
      condition,
      ...(listed && { lookup: { few: false, ...(listed.length === 1 && { values: [condition], keys: [TIMESTAMP] }) } }),
    },
  ];
}
