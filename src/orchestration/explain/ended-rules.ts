import type { Blame, Cause, Evidence, ExplanationCode } from "../../flowyard-api/explain.ts";
import type { State } from "../../prefect-api/states.ts";
import { type EndReason, readCancellation, readCrash } from "./end-messages.ts";
import { buildCause, describeStateFact, nameOfWorker, type Situation } from "./situation.ts";
import { describeCount, describeMoment, describeSpan, excerpt, quote, shellWord } from "./wording.ts";

/** How a run that has ended came to its end, and whose doing it was. Pure. */
export function explainEnded(situation: Situation, state: State): Cause[] {
  switch (state.type) {
    case "COMPLETED":
      return [buildEnd("COMPLETED", situation, state, { sentence: describeCompleted(situation, state) })];
    case "FAILED":
      return explainFailed(situation, state);
    case "CRASHED":
      return explainCrashed(situation, state);
    case "CANCELLED":
      return explainCancelled(situation, state);
    case "SCHEDULED":
    case "PENDING":
    case "RUNNING":
    case "PAUSED":
    case "CANCELLING":
      return [];
  }
}

interface EndParts {
  sentence: string;
  next?: string;
  blame?: Blame | null;
  evidence?: readonly Evidence[];
}

function buildEnd(code: ExplanationCode, { run, states }: Situation, state: State, parts: EndParts): Cause {
  const before = states.find(({ id }) => id !== state.id);
  return buildCause(code, {
    ...parts,
    since: run.end_time ?? state.timestamp,
    evidence: [
      describeStateFact(state),
      ...(before === undefined ? [] : [{ ...describeStateFact(before), kind: "state_before" }]),
      ...(parts.evidence ?? []),
    ],
  });
}

/** `: the message`, or nothing. */
function say(state: State): string {
  return state.message ? `: ${excerpt(state.message).replace(/\.$/, "")}` : "";
}

function describeCompleted({ run }: Situation, state: State): string {
  const took = run.total_run_time > 0 ? ` after ${describeSpan(run.total_run_time)}` : "";
  return `The run completed at ${describeMoment(state.timestamp)}${took}${say(state)}.`;
}

function explainFailed(situation: Situation, state: State): Cause[] {
  const { run, states } = situation;
  const before = states.find(({ id }) => id !== state.id);
  const timeout = before?.type === "PAUSED" ? before.state_details.pause_timeout : null;
  if (timeout !== null && timeout !== undefined && timeout <= state.timestamp) {
    return [
      buildEnd("PAUSE_EXPIRED", situation, state, {
        sentence: `The run was paused, and nobody resumed it by ${describeMoment(timeout)}.`,
        next: "Start a new run, and resume it in time; the flow says how long it waits.",
        blame: "operator",
      }),
    ];
  }
  if (run.run_count === 0) {
    return [
      buildEnd("START_FAILED", situation, state, {
        sentence: `The run failed before its flow began${say(state)}.`,
        next: "Look at the worker's log.",
        blame: "infrastructure",
      }),
    ];
  }
  const failed = buildEnd("FLOW_FAILED", situation, state, {
    sentence: `The flow itself failed${say(state)}.`,
    next: `Read the last lines of its log; all of it: flowyard flow-run logs ${run.id}`,
    blame: "user_code",
  });
  const exhausted = describeExhausted(situation);
  return exhausted === undefined ? [failed] : [failed, exhausted];
}

function describeExhausted({ run }: Situation): Cause | undefined {
  const { retries } = run.empirical_policy;
  if (retries === null || retries === 0 || run.run_count <= retries) {
    return undefined;
  }
  return buildCause("RETRIES_EXHAUSTED", {
    sentence: `It was tried ${describeCount(run.run_count, "time")}: ${retries === 1 ? "its 1 retry is" : `all ${retries} retries are`} used up.`,
    next: `Run it once more: flowyard flow-run retry ${run.id}`,
    since: run.end_time ?? null,
    evidence: [
      {
        kind: "retry",
        text: `${run.run_count} attempts, ${retries} retries allowed`,
        data: { attempts: run.run_count, retries },
      },
    ],
  });
}

function explainCrashed(situation: Situation, state: State): Cause[] {
  const { run, pool } = situation;
  const hasRun = run.run_count > 0;
  const reason = readCrash(state.message ?? "", hasRun);
  const worker = nameOfWorker(situation);
  const evidence: Evidence[] = [
    ...(reason.exitCode === null
      ? []
      : [{ kind: "exit", text: `exit code ${reason.exitCode}`, data: { exit_code: reason.exitCode } }]),
    ...(reason.errorCode === null
      ? []
      : [
          {
            kind: "error",
            text: `error ${reason.errorCode}: see docs/errors.md`,
            data: { error_code: reason.errorCode },
          },
        ]),
    ...(worker === null || pool === null
      ? []
      : [{ kind: "worker", text: `worker ${quote(worker)}`, data: { name: worker, work_pool_name: pool.name } }]),
  ];
  return [
    buildEnd(reason.code, situation, state, {
      sentence: `${describeCrash(reason, hasRun)}${say(state)}.`,
      next: adviseOnCrash(reason, situation),
      blame: reason.blame,
      evidence,
    }),
  ];
}

function describeCrash({ code }: EndReason, hasRun: boolean): string {
  const when = hasRun ? "while the flow was running" : "before the flow began";
  switch (code) {
    case "START_FAILED":
      return "The run could not be started";
    case "OUT_OF_MEMORY":
      return `The run ran out of memory ${when}`;
    case "WORKER_VANISHED":
      return `The worker vanished ${when}`;
    case "INTERRUPTED":
      return `The run was interrupted from outside ${when}`;
    default:
      return `The run's infrastructure ended ${when}`;
  }
}

function adviseOnCrash({ code, errorCode, blame }: EndReason, { run, deployment, flow_name }: Situation): string {
  const again = deployment === null ? "" : ` Then run it again: flowyard flow-run retry ${run.id}`;
  if (code === "OUT_OF_MEMORY") {
    return `Give it more memory (job variable mem_limit of the deployment), or have it use less.${again}`;
  }
  if (errorCode !== null) {
    return `See ${errorCode} in docs/errors.md.${again}`;
  }
  if (blame === "flowyard") {
    return "This is a bug of Flowyard: report it with the worker's log.";
  }
  if (blame === "user_code") {
    return "Its process ended by itself: read the last lines of its log.";
  }
  return blame === "operator" && code === "INFRASTRUCTURE_ENDED"
    ? `Look at the image and the job variables of ${quote(`${flow_name}/${deployment?.name ?? ""}`)}: what they start ends at once.${again}`
    : `Look at the worker's log and its host.${again}`;
}

function explainCancelled(situation: Situation, state: State): Cause[] {
  const { run, states, deployment, flow_name } = situation;
  const code = readCancellation(state.message ?? "");
  if (code === "CANCELLED_BY_LIMIT") {
    return [
      buildEnd(code, situation, state, {
        sentence: `The run was cancelled because its deployment's concurrency limit was full${say(state)}.`,
        next: "With collision strategy ENQUEUE the deployment's runs wait for a slot instead.",
        blame: "operator",
      }),
    ];
  }
  if (code === "CANCELLED_WITH_PARENT") {
    return [
      buildEnd(code, situation, state, {
        sentence: "The run was cancelled because the flow run that it is a part of was cancelled.",
        blame: "operator",
      }),
    ];
  }
  if (code === "CANCELLED_WITHOUT_DEPLOYMENT") {
    return [
      buildEnd(code, situation, state, {
        sentence: `The run was cancelled because its deployment had been deleted${say(state)}.`,
        next: "Deploy again and start a new run.",
        blame: "operator",
      }),
    ];
  }
  const asked = states.findLast(({ type }) => type === "CANCELLING");
  const when = asked === undefined ? "" : `; that was asked for at ${describeMoment(asked.timestamp)}`;
  const started = run.run_count === 0 ? "before its flow began" : "while its flow was running";
  const name = deployment === null ? null : `${flow_name}/${deployment.name}`;
  return [
    buildEnd("CANCELLED", situation, state, {
      sentence: `Somebody cancelled the run ${started}${when}${say(state)}.`,
      next: name === null ? "" : `Start a new run if need be: flowyard deployment run ${shellWord(name)}`,
      blame: "operator",
    }),
  ];
}
