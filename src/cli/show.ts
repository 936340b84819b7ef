import type { ScheduledFlowRun } from "../prefect-api/flow-runs.ts";
import type { DeploymentSchedule } from "../prefect-api/schedules.ts";
import type { StateType } from "../prefect-api/states.ts";
import type { Column, Output, Style } from "./output.ts";

const SECOND_MS = 1000;
const UNITS: [string, number][] = [
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];

/** `in 1 hour 30 minutes`, `2 days ago`, `now`: at most two units. */
export function showRelativeTime(timestamp: string | null | undefined, now: Date): string {
  if (timestamp === null || timestamp === undefined) {
    return "";
  }
  const seconds = Math.round((Date.parse(timestamp) - now.getTime()) / SECOND_MS);
  let left = Math.abs(seconds);
  const parts: string[] = [];
  for (const [unit, length] of UNITS) {
    const count = Math.floor(left / length);
    left -= count * length;
    if (count > 0) {
      parts.push(`${count} ${unit}${count === 1 ? "" : "s"}`);
    }
  }
  const text = parts.slice(0, seconds > 0 ? 2 : 1).join(" ");
  return text === "" ? "now" : seconds > 0 ? `in ${text}` : `${text} ago`;
}

/** Local time to the second, with the zone's offset. */
export function showLocalTime(timestamp: string): string {
  const date = new Date(timestamp);
  const part = (value: number) => String(value).padStart(2, "0");
  const day = `${date.getFullYear()}-${part(date.getMonth() + 1)}-${part(date.getDate())}`;
  return `${day} ${showClock(timestamp)}`;
}

export function showClock(timestamp: string): string {
  const date = new Date(timestamp);
  return [date.getHours(), date.getMinutes(), date.getSeconds()]
    .map((value) => String(value).padStart(2, "0"))
    .join(":");
}

export function styleOfState(type: StateType | null | undefined): Style | undefined {
  switch (type) {
    case "COMPLETED":
      return "green";
    case "FAILED":
    case "CRASHED":
      return "red";
    case "CANCELLED":
    case "CANCELLING":
    case "PAUSED":
      return "yellow";
    case "RUNNING":
    case "PENDING":
      return "blue";
    case "SCHEDULED":
    case null:
    case undefined:
      return undefined;
  }
}

export function styleOfStatus(status: string | null | undefined): Style | undefined {
  return status === "READY" ? "green" : status === "PAUSED" ? "yellow" : status === "NOT_READY" ? "red" : undefined;
}

export function showSchedule({ schedule }: Pick<DeploymentSchedule, "schedule">): string {
  const zone = schedule.timezone === null || schedule.timezone === undefined ? "" : ` (${schedule.timezone})`;
  if ("cron" in schedule) {
    return `cron ${schedule.cron}${zone}`;
  }
  return "interval" in schedule
    ? `every ${schedule.interval} s${zone}`
    : `rrule ${schedule.rrule.replaceAll("\n", " ")}${zone}`;
}

/** Runs that a pool or queue would hand out, in that order. */
export function printPreview(output: Output, runs: ScheduledFlowRun[], now: Date): void {
  const columns: Column<ScheduledFlowRun>[] = [
    { title: "Scheduled", value: ({ flow_run }) => showRelativeTime(flow_run.next_scheduled_start_time, now) },
    { title: "Flow run", value: ({ flow_run }) => flow_run.name },
    { title: "Id", value: ({ flow_run }) => flow_run.id },
    { title: "Deployment id", value: ({ flow_run }) => flow_run.deployment_id ?? "" },
    { title: "Work queue", value: ({ flow_run, work_queue_id }) => flow_run.work_queue_name ?? work_queue_id },
  ];
  output.table(runs, columns);
}

/** A name as one word of a command that a person copies. */
export function quoteForShell(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
