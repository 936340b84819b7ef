import { createWaitExplainer } from "../client/explain-wait.ts";
import type { PrefectClient } from "../client/prefect-client.ts";
import type { ReceivedFlowRun } from "../prefect-api/flow-runs.ts";
import { isTerminal } from "../prefect-api/states.ts";
import { addSeconds } from "../prefect-api/timestamp.ts";
import { sleep } from "../shared/abort.ts";

const POLL_MS = 1000;
/** Log lines are stored in batches: the last ones arrive after the final state. */
const LAST_LOGS_MS = 2500;
/** Lines may be stored out of order by this much. */
const LOG_OVERLAP_SECONDS = 10;
const LOGS_PER_POLL = 5000;

export interface Watching {
  client: Pick<PrefectClient, "flowRuns" | "logs" | "explanations">;
  flowRunId: string;
  /** Ends the watching; the run goes on. */
  signal: AbortSignal;
  print(line: string): void;
}

/** Prints states, log lines and why the run does not start, until it ends or the signal aborts. Answers the run as last seen. */
export async function watchFlowRun({ client, flowRunId, signal, print }: Watching): Promise<ReceivedFlowRun> {
  const logs = createLogReader({ client, flowRunId, signal, print });
  const explainWait = createWaitExplainer({
    client,
    flowRunId,
    tell: ({ reason_code, sentence, next_step }) => {
      const now = new Date().toISOString();
      print(`${showClock(now)} | WAITING  | ${reason_code}: ${sentence}${next_step === "" ? "" : ` ${next_step}`}`);
    },
  });
  let shownState: string | undefined;
  for (;;) {
    const run = await client.flowRuns.get(flowRunId);
    const state = run.state ?? undefined;
    if (state !== undefined && state.timestamp !== shownState) {
      shownState = state.timestamp;
      const message = state.message === null || state.message === undefined ? "" : `: ${state.message}`;
      print(`${showClock(state.timestamp)} | STATE    | ${state.name}${message}`);
    }
    await logs.printNew();
    await explainWait(run);
    if (state !== undefined && isTerminal(state.type)) {
      await sleep(Math.max(0, Math.min(LAST_LOGS_MS, Date.parse(state.timestamp) + LAST_LOGS_MS - Date.now())), signal);
      await logs.printNew();
      return run;
    }
    await sleep(POLL_MS, signal);
    if (signal.aborted) {
      return run;
    }
  }
}

function createLogReader({ client, flowRunId, print }: Watching): { printNew(): Promise<void> } {
  /** Ids of lines within the overlap; older ones are not asked for again. */
  let recent = new Map<string, string>();
  let last: string | undefined;
  return {
    async printNew() {
      const after = last === undefined ? undefined : addSeconds(last, -LOG_OVERLAP_SECONDS);
      const found = await client.logs.list(
        {
          logs: {
            flow_run_id: { any_: [flowRunId] },
            ...(after === undefined ? {} : { timestamp: { after_: after } }),
          },
        },
        { limit: LOGS_PER_POLL },
      );
      for (const log of found) {
        if (!recent.has(log.id)) {
          recent.set(log.id, log.timestamp);
          last = last === undefined || log.timestamp > last ? log.timestamp : last;
          print(`${showClock(log.timestamp)} | ${showLevel(log.level).padEnd(8)} | ${log.message}`);
        }
      }
      if (last !== undefined) {
        const oldest = addSeconds(last, -2 * LOG_OVERLAP_SECONDS);
        recent = new Map([...recent].filter(([, timestamp]) => timestamp >= oldest));
      }
    },
  };
}

const LEVELS: readonly [number, string][] = [
  [50, "CRITICAL"],
  [40, "ERROR"],
  [30, "WARNING"],
  [20, "INFO"],
  [10, "DEBUG"],
];

function showLevel(level: number): string {
  return LEVELS.find(([least]) => level >= least)?.[1] ?? String(level);
}

function showClock(timestamp: string): string {
  return timestamp.slice(11, 23);
}
