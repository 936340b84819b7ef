import { v5 as uuidv5 } from "uuid";
import type { PrefectClient } from "../../src/client/prefect-client.ts";
import type { ReceivedFlowRun } from "../../src/prefect-api/flow-runs.ts";
import type { StateType } from "../../src/prefect-api/states.ts";
import type { WorkerSettings } from "../config.ts";
import type { Exit, StartedRun } from "../infrastructure/contract.ts";
import { keepTrying } from "../keep-trying.ts";
import type { LogSender } from "../logs/log-sender.ts";
import { createLogShipper, type LogShipper } from "../logs/log-shipper.ts";
import { createOutputReader, dropMarks, type OutputEntry } from "../logs/output-lines.ts";
import { createWithheldLines } from "../logs/withheld-lines.ts";
import type { RunOutput } from "../output.ts";
import type { RunNote, WorkerHome } from "../worker-home.ts";
import { decideVerdict, type End } from "./exit-reason.ts";
import { errorFields, type ReportDependencies, reportState } from "./report.ts";
import type { AttemptPhases } from "./run-phases.ts";

const TAIL_LINES = 20;

export interface SuperviseDependencies extends ReportDependencies {
  client: {
    flowRuns: Pick<PrefectClient["flowRuns"], "find" | "setState" | "update">;
    logs: Pick<PrefectClient["logs"], "list">;
  };
  settings: Pick<WorkerSettings, "logLimitBytes" | "keepFailedSeconds">;
  home: Pick<WorkerHome, "findNote" | "saveNote" | "dropNote">;
  logs: LogSender;
  output: RunOutput;
  /** Told what becomes of this run. */
  phases?: AttemptPhases | undefined;
}

/** `unwatched`: it goes on, and nobody wants to know any more. */
export type RunOutcome = "done" | "unwatched";

/**
 * Looks after one started run until nothing is left of it: output to the plane, end, report, removal. Each step may be
 * repeated by another worker after this one died: what the plane has is not stored or reported twice.
 * Throws when the signal aborts; the run then goes on without us.
 */
export async function superviseRun(own: SuperviseDependencies, run: StartedRun, isNew: boolean): Promise<RunOutcome> {
  const known = isNew ? undefined : await own.home.findNote(run.key);
  const note = known ?? { position: {}, shippedCharacters: 0, isDone: false };
  const notingPid = noteInfrastructure(own, run, isNew);
  const end = await shipUntilEnd(own, run, note);
  await notingPid;
  const state = await reportEnd(own, run, end);
  if (end.exit.kind === "unwatched") {
    return "unwatched";
  }
  if (!(await cleanUp(own, run, state))) {
    await own.home.saveNote(run.key, { ...note, isDone: true });
  }
  return "done";
}

async function noteInfrastructure(own: SuperviseDependencies, run: StartedRun, isNew: boolean): Promise<void> {
  const id = run.facts.flow_run_id;
  try {
    await keepTrying({ what: "note the infrastructure", ...own }, async () => {
      const known = isNew ? undefined : await own.client.flowRuns.find(id);
      // An adopted run may have been noted, started again elsewhere, or deleted.
      if (isNew || (known !== undefined && isOurAttempt(known, run) && known.infrastructure_pid !== run.pid)) {
        await own.client.flowRuns.update(id, { infrastructure_pid: run.pid });
      }
    });
  } catch (error) {
    if (!own.signal.aborted) {
      own.logger.warn({ ...errorFields(error) }, "The run's infrastructure_pid could not be noted");
    }
  }
}

async function shipUntilEnd(own: SuperviseDependencies, run: StartedRun, note: RunNote): Promise<End> {
  const { logger, signal } = own;
  const flowRunId = run.facts.flow_run_id;
  const lastLines: string[] = [];
  const watching = new AbortController();
  const withheld = createWithheldLines();
  const shipper = createLogShipper({
    sender: own.logs,
    home: own.home,
    run: { flowRunId, key: run.key },
    note,
    maxCharacters: own.settings.logLimitBytes,
    logger,
    signal,
  });
  const shipping = shipOutput(own, run, {
    from: note,
    shipper,
    withhold: withheld.note,
    lastLines,
    signal: AbortSignal.any([signal, watching.signal]),
  });
  let exit: Exit;
  try {
    exit = await run.waitForEnd(signal);
    own.phases?.exited(exit);
  } finally {
    shipping.catch(() => undefined);
  }
  if (exit.kind === "unwatched") {
    watching.abort();
  }
  await shipping.catch((error: unknown) => {
    signal.throwIfAborted();
    if (!watching.signal.aborted) {
      logger.warn({ ...errorFields(error) }, "The output of a run could not be read");
    }
  });
  // What waits in the relay is not missing: the plane was away, and the worker may find it back first.
  if (!withheld.isEmpty()) {
    await own.logs.untilRelayed(signal);
    signal.throwIfAborted();
  }
  const missing = await keepTrying({ what: "compare the run's log", ...own }, () =>
    withheld.findMissing(own.client, flowRunId),
  );
  for (const entry of missing) {
    await shipper.add({ ...entry, source: "output" });
  }
  await shipper.finish();
  return { exit, lastLines };
}

async function shipOutput(
  own: SuperviseDependencies,
  run: StartedRun,
  options: {
    from: RunNote;
    shipper: LogShipper;
    withhold: (entry: OutputEntry) => void;
    lastLines: string[];
    signal: AbortSignal;
  },
): Promise<void> {
  const { lastLines, shipper } = options;
  const reader = createOutputReader();
  const take = async (entries: OutputEntry[]) => {
    for (const entry of entries) {
      if (entry.source === "engine") {
        options.withhold(entry);
      }
      await shipper.add(entry);
    }
  };
  try {
    for await (const line of run.readOutput({ ...options.from.position }, options.signal)) {
      own.phases?.line();
      const text = dropMarks(line.text);
      lastLines.push(text);
      lastLines.splice(0, lastLines.length - TAIL_LINES);
      if (run.streamOutput) {
        own.output.write(run.facts.flow_run_name, text);
      }
      await take(reader.push(line));
    }
  } finally {
    await take(reader.end());
  }
}

/** The state that the run has then; undefined when it is not this run's end any more that the plane waits for. */
async function reportEnd(own: SuperviseDependencies, run: StartedRun, end: End): Promise<StateType | undefined> {
  const id = run.facts.flow_run_id;
  const current = await keepTrying({ what: "read the run's state", ...own }, () => own.client.flowRuns.find(id));
  if (current === undefined || !isOurAttempt(current, run)) {
    own.logger.info({ infrastructure: run.what }, "Run ended; it was deleted or started again meanwhile");
    return undefined;
  }
  const verdict = decideVerdict(end, run.what, current.state);
  const exitCode = end.exit.kind === "exited" ? end.exit.exitCode : undefined;
  own.logger.info({ exit_code: exitCode, state: current.state_name }, "Run ended");
  switch (verdict.outcome) {
    case "leave":
      own.logger.debug({ why: verdict.why }, "Nothing to report");
      return current.state?.type;
    case "cancelled":
      await reportState(own, id, { type: "CANCELLED", message: verdict.message });
      return "CANCELLED";
    case "crashed":
      await reportState(own, id, { type: "CRASHED", message: verdict.message });
      return "CRASHED";
    case "explained":
      await reportState(own, id, { type: "CRASHED", message: verdict.message, force: true });
      return "CRASHED";
  }
}

/** The transition id under which a claimed run is said to be Submitting. */
export function submittingId(attempt: string): string {
  return uuidv5("submitting", attempt);
}

/**
 * Whether the state of a run is about this container. A run that was given back and claimed again is PENDING or runs
 * elsewhere: the end of the earlier container says nothing about it.
 */
export function isOurAttempt(
  current: Pick<ReceivedFlowRun, "state" | "infrastructure_pid">,
  { pid, facts }: Pick<StartedRun, "pid" | "facts">,
): boolean {
  if (current.state?.type === "PENDING") {
    const transitionId = current.state.state_details.transition_id;
    return transitionId === facts.attempt || transitionId === submittingId(facts.attempt);
  }
  return (current.infrastructure_pid ?? pid) === pid;
}

const FAILED: ReadonlySet<StateType | undefined> = new Set(["FAILED", "CRASHED"]);

/**
 * Output and end are stored: what is left only takes space, unless somebody wants to look at what failed. Answers whether
 * nothing is left.
 */
async function cleanUp(own: SuperviseDependencies, run: StartedRun, state: StateType | undefined): Promise<boolean> {
  if (FAILED.has(state) && !run.removeAlways && own.settings.keepFailedSeconds > 0) {
    own.logger.info({ infrastructure: run.what, seconds: own.settings.keepFailedSeconds }, "Kept, as its run failed");
    return false;
  }
  try {
    await run.remove();
    await own.home.dropNote(run.key);
    return true;
  } catch (error) {
    own.logger.warn({ ...errorFields(error) }, "What is left of a run could not be removed; it is tried again later");
    return false;
  }
}
