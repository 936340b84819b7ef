import { createWaitExplainer } from "../client/explain-wait.ts";
import type { PrefectClient } from "../client/prefect-client.ts";
import type { Event } from "../prefect-api/events.ts";
import type { ReceivedFlowRun } from "../prefect-api/flow-runs.ts";
import { isTerminal, type ReceivedState, StateType } from "../prefect-api/states.ts";
import { addSeconds, timestampFromDate } from "../prefect-api/timestamp.ts";
import { sleep } from "../shared/abort.ts";
import { UserError } from "../shared/errors.ts";
import type { CliContext } from "./context.ts";
import { createRunScreen, type RunScreen } from "./run-screen.ts";

/** With both streams open, asking is only there for what a stream lost. */
const POLL_WITH_STREAMS_MS = 5000;
const POLL_WITHOUT_STREAMS_MS = 1000;
/** Log lines are stored in batches: the last ones arrive after the final state. */
const LAST_LOGS_MS = 2500;
/** Lines may be stored out of order by this much. */
const LOG_OVERLAP_SECONDS = 10;
const STREAMS = 2;
const YEAR_SECONDS = 365 * 86_400;

export interface WatchOptions {
  timeoutSeconds: number | undefined;
  /** For callers whose stdout carries JSON. */
  logsToStderr: boolean;
}

interface Watched {
  client: PrefectClient;
  flowRunId: string;
  screen: RunScreen;
  signal: AbortSignal;
}

/**
 * Prints states (to stderr) and log lines (to stdout) until the run ends, and answers with the ended run. Reads the
 * streams of the control plane, and asks again and again where they are refused or break.
 * Throws UserError WATCH_TIMEOUT; the run goes on.
 */
export async function watchFlowRun(
  context: CliContext,
  client: PrefectClient,
  flowRunId: string,
  { timeoutSeconds, logsToStderr }: WatchOptions,
): Promise<ReceivedFlowRun> {
  const stop = new AbortController();
  const deadlines = timeoutSeconds === undefined ? [] : [AbortSignal.timeout(timeoutSeconds * 1000)];
  const signal = AbortSignal.any([context.signal, stop.signal, ...deadlines]);
  const watched = { client, flowRunId, screen: createRunScreen(context.output, logsToStderr), signal };
  try {
    const run = await pollUntilEnded(watched);
    if (run === undefined) {
      context.signal.throwIfAborted();
      throw new UserError("WATCH_TIMEOUT", `Flow run ${flowRunId} has not ended within ${timeoutSeconds} s.`, {
        hint: `It goes on; watch it again with \`flowyard flow-run watch ${flowRunId}\`.`,
      });
    }
    const endedMs = run.state === null || run.state === undefined ? 0 : Date.parse(run.state.timestamp);
    await sleep(Math.max(0, Math.min(LAST_LOGS_MS, endedMs + LAST_LOGS_MS - Date.now())), context.signal);
    await showNewLogs(watched);
    return run;
  } finally {
    stop.abort();
  }
}

/** Undefined when the signal aborts first. */
async function pollUntilEnded(watched: Watched): Promise<ReceivedFlowRun | undefined> {
  const { client, flowRunId, screen, signal } = watched;
  let nap = new AbortController();
  const explainWait = createWaitExplainer({ client, flowRunId, tell: screen.showWait });
  const streams = await openStreams(watched, () => nap.abort());
  while (!signal.aborted) {
    const run = await client.flowRuns.get(flowRunId);
    if (run.state !== null && run.state !== undefined) {
      screen.showState(run.state);
    }
    await showNewLogs(watched);
    await explainWait(run);
    if (run.state_type !== null && run.state_type !== undefined && isTerminal(run.state_type)) {
      return run;
    }
    await sleep(
      streams.open() === STREAMS ? POLL_WITH_STREAMS_MS : POLL_WITHOUT_STREAMS_MS,
      AbortSignal.any([signal, nap.signal]),
    );
    nap = new AbortController();
  }
  return undefined;
}

async function showNewLogs({ client, flowRunId, screen }: Watched): Promise<void> {
  const since = screen.lastLogAt();
  const logs = await client.logs.list({
    logs: {
      flow_run_id: { any_: [flowRunId] },
      ...(since === undefined ? {} : { timestamp: { after_: addSeconds(since, -LOG_OVERLAP_SECONDS) } }),
    },
  });
  for (const log of logs) {
    screen.showLog(log);
  }
}

/** Follows both streams in the background; `onNews` is called when the run ended or a stream broke. */
async function openStreams(watched: Watched, onNews: () => void): Promise<{ open(): number }> {
  const { client, flowRunId, screen, signal } = watched;
  const now = timestampFromDate(new Date());
  let open = 0;
  const follow = async <T>(opening: Promise<AsyncIterable<T>>, show: (item: T) => void): Promise<void> => {
    // A stream that is refused is no failure: asking takes its place.
    const stream = await opening.catch(() => undefined);
    if (stream === undefined) {
      return;
    }
    open += 1;
    void readStream(stream, show).then(() => {
      open -= 1;
      onNews();
    });
  };
  await Promise.all([
    follow(client.sockets.openLogs({ flow_run_id: { any_: [flowRunId] } }, signal), screen.showLog),
    follow(
      client.sockets.openEvents(
        {
          occurred: { since: addSeconds(now, -60), until: addSeconds(now, YEAR_SECONDS) },
          any_resource: { id: [`prefect.flow-run.${flowRunId}`] },
        },
        signal,
      ),
      (event) => {
        const state = stateOf(event, flowRunId);
        if (state !== undefined) {
          screen.showState(state);
        }
        if (state !== undefined && isTerminal(state.type)) {
          onNews();
        }
      },
    ),
  ]);
  return { open: () => open };
}

async function readStream<T>(stream: AsyncIterable<T>, show: (item: T) => void): Promise<void> {
  try {
    for await (const item of stream) {
      show(item);
    }
  } catch {
    // Broken: asking takes over.
  }
}

/** The state that an event of the run's own reports; undefined for heartbeats and the like. */
function stateOf(event: Event, flowRunId: string): ReceivedState | undefined {
  const labels = event.resource;
  const type = StateType.safeParse(labels["prefect.state-type"]);
  const name = labels["prefect.state-name"];
  if (!type.success || name === undefined || labels["prefect.resource.id"] !== `prefect.flow-run.${flowRunId}`) {
    return undefined;
  }
  const message = labels["prefect.state-message"] ?? null;
  return { id: event.id, type: type.data, name, message, timestamp: event.occurred, state_details: {} };
}
