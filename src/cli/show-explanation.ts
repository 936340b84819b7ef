import type { Cause, Explanation } from "../flowyard-api/explain.ts";
import { showLevel } from "./log-lines.ts";
import type { Output } from "./output.ts";
import { toSafeLine, toSafeText } from "./safe-text.ts";
import { showClock, showLocalTime, showRelativeTime } from "./show.ts";

/** The whole answer: the decisive cause, what it rests on, what to do; the other causes; the last lines of an ended run. */
export function printExplanation(output: Output, explanation: Explanation, now: Date): void {
  printCause(output, explanation, now);
  for (const other of explanation.others) {
    output.line("");
    output.line(output.paint("dim", "And besides:"));
    printCause(output, other, now);
  }
  if (explanation.last_lines.length > 0) {
    output.line("");
    output.line(output.paint("dim", "Last lines of its log:"));
  }
  for (const { timestamp, level, message } of explanation.last_lines) {
    output.line(`${showClock(timestamp)} | ${showLevel(level).padEnd(7)} | ${toSafeText(message)}`);
  }
}

function printCause(output: Output, cause: Cause, now: Date): void {
  output.line(output.paint("bold", toSafeLine(cause.sentence)));
  const rows: [string, string | null][] = [
    ["reason", toSafeLine(cause.reason_code)],
    ["since", cause.since === null ? null : `${showLocalTime(cause.since)} (${showRelativeTime(cause.since, now)})`],
    ["whose doing", cause.blame === null ? null : BLAMED[cause.blame]],
    ...cause.evidence.map(({ text }): [string, string] => ["evidence", toSafeLine(text)]),
    ["next step", cause.next_step === "" ? null : toSafeLine(cause.next_step)],
  ];
  for (const [label, value] of rows) {
    if (value !== null) {
      output.line(`  ${output.paint("dim", label.padEnd(11))}  ${value}`);
    }
  }
}

const BLAMED: Record<NonNullable<Cause["blame"]>, string> = {
  user_code: "the flow's own code",
  infrastructure: "what it runs on: worker, container, host or network",
  operator: "whoever set it up or cancelled it",
  flowyard: "Flowyard itself",
};

/** One line for whoever watches a run that does not start. */
export function showWait({ reason_code, sentence, next_step }: Explanation): string {
  const next = next_step === "" ? "" : ` ${toSafeLine(next_step)}`;
  return `Waiting (${toSafeLine(reason_code)}): ${toSafeLine(sentence)}${next}`;
}
