import type { Log } from "../prefect-api/logs.ts";
import type { Output } from "./output.ts";
import { toSafeText } from "./safe-text.ts";
import { showClock, showLocalTime } from "./show.ts";

const LEVELS: [number, string][] = [
  [50, "CRITICAL"],
  [40, "ERROR"],
  [30, "WARNING"],
  [20, "INFO"],
  [10, "DEBUG"],
];
const LEVEL_WIDTH = 7;

export function showLevel(level: number): string {
  return LEVELS.find(([least]) => level >= least)?.[1] ?? String(level);
}

/** Log text comes from containers: it must not steer the terminal. */
function paintLine(output: Output, log: Log, time: string, subject: string): string {
  const level = showLevel(log.level);
  const style = log.level >= 40 ? "red" : log.level >= 30 ? "yellow" : "dim";
  const text = toSafeText(`${subject}${log.message}`);
  return `${time} | ${output.paint(style, level.padEnd(LEVEL_WIDTH))} | ${text}`;
}

/** A line of a run that is being watched. */
export function showWatchedLog(output: Output, log: Log): string {
  return paintLine(output, log, showClock(log.timestamp), "");
}

/** As `prefect flow-run logs` prints it. */
export function printStoredLog(output: Output, log: Log, flowRunName: string): void {
  const time = `${showLocalTime(log.timestamp)}.${log.timestamp.slice(20, 23)}`;
  output.line(paintLine(output, log, time, `Flow run '${flowRunName}' - `));
}
