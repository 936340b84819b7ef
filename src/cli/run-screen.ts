import type { Explanation } from "../flowyard-api/explain.ts";
import type { Log } from "../prefect-api/logs.ts";
import type { ReceivedState } from "../prefect-api/states.ts";
import { showWatchedLog } from "./log-lines.ts";
import type { Output } from "./output.ts";
import { toSafeLine, toSafeText } from "./safe-text.ts";
import { showClock, styleOfState } from "./show.ts";
import { showWait } from "./show-explanation.ts";

/** Prints each state once and each log line once, whichever way and how often it arrives. */
export interface RunScreen {
  showLog(log: Log): void;
  showState(state: ReceivedState): void;
  /** Why the run does not start. */
  showWait(explanation: Explanation): void;
  /** Timestamp of the latest line shown. */
  lastLogAt(): string | undefined;
}

export function createRunScreen(output: Output, logsToStderr: boolean): RunScreen {
  const seenLogs = new Set<string>();
  const seenStates = new Set<string>();
  let lastLogAt: string | undefined;
  return {
    showLog(log) {
      if (seenLogs.has(log.id)) {
        return;
      }
      seenLogs.add(log.id);
      lastLogAt = lastLogAt === undefined || log.timestamp > lastLogAt ? log.timestamp : lastLogAt;
      const text = showWatchedLog(output, log);
      if (logsToStderr) {
        output.say(text);
      } else {
        output.line(text);
      }
    },
    showState(state) {
      // An event has an id of its own on some servers; name and time are the state's everywhere.
      const key = `${state.name} ${state.timestamp}`;
      if (seenStates.has(key)) {
        return;
      }
      seenStates.add(key);
      const style = styleOfState(state.type);
      const stateName = toSafeLine(state.name);
      const name = style === undefined ? stateName : output.paint(style, stateName, "stderr");
      const message =
        state.message === null || state.message === undefined || state.message === ""
          ? ""
          : `: ${toSafeText(state.message)}`;
      output.say(`${showClock(state.timestamp)} | ${output.paint("bold", "STATE  ", "stderr")} | ${name}${message}`);
    },
    showWait: (explanation) => output.say(output.paint("yellow", showWait(explanation), "stderr")),
    lastLogAt: () => lastLogAt,
  };
}
