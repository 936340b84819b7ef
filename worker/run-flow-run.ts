import { v7 as uuidv7 } from "uuid";
import type { PrefectClient } from "../src/client/prefect-client.ts";
import { refusalStatus } from "../src/client/refusal.ts";
import type { Deployment } from "../src/prefect-api/deployments.ts";
import type { ReceivedFlowRun } from "../src/prefect-api/flow-runs.ts";
import { isTerminal, type ReceivedSetStateResult } from "../src/prefect-api/states.ts";
import { errorMessage, TransientError, UserError } from "../src/shared/errors.ts";
import type { Logger } from "../src/shared/logger.ts";
import type { WorkerSettings } from "./config.ts";
import { decideVerdict } from "./exit-reason.ts";
import type { Exit, Infrastructure, StartedRun } from "./infrastructure/contract.ts";
import { buildJob, type Job, selectRunSettings } from "./job.ts";
import { fillJobTemplate, mergeJobVariables, resolveReferences } from "./job-template.ts";
import { keepTrying } from "./keep-trying.ts";
import type { RunOutput } from "./output.ts";

export interface RunDependencies {
  client: {
    deployments: Pick<PrefectClient["deployments"], "find">;
    flows: Pick<PrefectClient["flows"], "find">;
    workPools: Pick<PrefectClient["workPools"], "get">;
    flowRuns: Pick<PrefectClient["flowRuns"], "find" | "setState" | "update" | "updateLabels">;
    blockDocuments: Pick<PrefectClient["blockDocuments"], "find" | "findByName">;
    variables: Pick<PrefectClient["variables"], "findByName">;
  };
  infrastructure: Infrastructure;
  settings: Pick<WorkerSettings, "name" | "pool" | "environment">;
  logger: Logger;
  output: RunOutput;
  /** Aborts when the worker must go at once; what it started goes on without it. */
  signal: AbortSignal;
}

/** One run that this worker has in its hands. */
export interface RunInFlight {
  flowRun: ReceivedFlowRun;
  /** Set as soon as there is something that can be stopped. */
  started: StartedRun | undefined;
}

/**
 * Takes one run from the plane to its end: claim, job, start, output, exit, report. Never throws: one bad run must not
 * end the worker, so whatever goes wrong is reported as the run's CRASHED state and logged once.
 */
export async function runFlowRun(dependencies: RunDependencies, run: RunInFlight): Promise<void> {
  const { flowRun } = run;
  const logger = dependencies.logger.child({ flow_run_id: flowRun.id, flow_run_name: flowRun.name });
  const own: RunDependencies = { ...dependencies, logger };
  try {
    const deployment = await findDeployment(own, flowRun);
    if (deployment === "missing" || !(await claimFlowRun(own, flowRun.id))) {
      return;
    }
    await startAndWatch(own, run, deployment);
  } catch (error) {
    if (!own.signal.aborted) {
      logger.error({ ...errorFields(error) }, "The run was lost: its end could not be reported");
    }
  }
}

/** A run whose deployment is gone cannot be started by anybody: it is cancelled, as Prefect's worker does. */
async function findDeployment(
  own: RunDependencies,
  flowRun: ReceivedFlowRun,
): Promise<Deployment | undefined | "missing"> {
  const id = flowRun.deployment_id;
  if (id === null || id === undefined) {
    return undefined;
  }
  const deployment = await keepTrying({ what: "read the deployment", ...own }, () => own.client.deployments.find(id));
  if (deployment === undefined) {
    await reportState(own, flowRun.id, "CANCELLED", `Deployment ${id} no longer exists.`);
    return "missing";
  }
  return deployment;
}

/** True when the run is ours now. Anything but PENDING in the answer means that it is somebody else's or not due. */
async function claimFlowRun(own: RunDependencies, id: string): Promise<boolean> {
  // An answer that got lost is asked for again with the same transition: the plane then shows the state it made.
  const transition_id = uuidv7();
  const answer = await keepTrying({ what: "claim the run", ...own }, () =>
    proposeState(own, id, { state: { type: "PENDING", state_details: { transition_id } } }),
  );
  if (answer?.state?.type !== "PENDING") {
    const reason = answer?.details.reason ?? answer?.state?.name;
    own.logger.info({ status: answer?.status, reason }, "The run is not taken");
    return false;
  }
  return answer.status === "ACCEPT" || answer.state.state_details.transition_id === transition_id;
}

async function startAndWatch(
  own: RunDependencies,
  run: RunInFlight,
  deployment: Deployment | undefined,
): Promise<void> {
  const { flowRun } = run;
  const startedAt = performance.now();
  const started = await startRun(own, flowRun, deployment);
  if (started === undefined) {
    return;
  }
  run.started = started;
  own.logger.info({ infrastructure: started.what, seconds: secondsSince(startedAt) }, "Run started");
  const exit = await watchRun(own, flowRun, started);
  await reportExit(own, flowRun, started, exit);
}

/** Undefined when the run ended before it began: cancelled meanwhile, or crashed with the reason reported. */
async function startRun(
  own: RunDependencies,
  flowRun: ReceivedFlowRun,
  deployment: Deployment | undefined,
): Promise<StartedRun | undefined> {
  try {
    const job = await prepareJob(own, flowRun, deployment);
    if (!(await announceStart(own, flowRun.id))) {
      return undefined;
    }
    return await own.infrastructure.start(job, (message) => own.logger.info({}, message));
  } catch (error) {
    own.signal.throwIfAborted();
    own.logger.error({ ...errorFields(error) }, "The run could not be started");
    await reportState(own, flowRun.id, "CRASHED", `The run could not be started. ${describeError(error)}`);
    return undefined;
  }
}

async function prepareJob(
  own: RunDependencies,
  flowRun: ReceivedFlowRun,
  deployment: Deployment | undefined,
): Promise<Job> {
  const { client, settings } = own;
  const [flow, workPool] = await keepTrying({ what: "read flow and work pool", ...own }, () =>
    Promise.all([client.flows.find(flowRun.flow_id), client.workPools.get(settings.pool)]),
  );
  const variables = mergeJobVariables(deployment?.job_variables ?? {}, flowRun.job_variables ?? {});
  const template = fillJobTemplate(workPool.base_job_template, variables, settings.environment);
  const labels = {
    "prefect.worker.name": settings.name,
    "prefect.worker.type": own.infrastructure.type,
    "prefect.work-pool.name": workPool.name,
    "prefect.work-pool.id": workPool.id,
  };
  const [configuration] = await Promise.all([
    keepTrying({ what: "read blocks and variables", ...own }, () => resolveReferences(client, template)),
    keepTrying({ what: "label the run", ...own }, () => client.flowRuns.updateLabels(flowRun.id, labels)),
  ]);
  const context = { flowRun, deployment, flow, workPool, workerName: settings.name };
  return buildJob(configuration, { ...context, settings: selectRunSettings(settings.environment) });
}

/** PENDING, Submitting: tells that an infrastructure comes up. False when the run was ended meanwhile. */
async function announceStart(own: RunDependencies, id: string): Promise<boolean> {
  const answer = await keepTrying({ what: "announce the start", ...own }, () =>
    proposeState(own, id, { state: { type: "PENDING", name: "Submitting" } }),
  );
  const type = answer?.state?.type;
  if (type === "CANCELLING") {
    await reportState(own, id, "CANCELLED", "Cancelled before it was started.");
    return false;
  }
  const isEnded = answer === undefined || (type !== undefined && isTerminal(type));
  if (isEnded) {
    own.logger.info({ state: answer?.state?.name }, "The run was ended before it was started");
  }
  return !isEnded;
}

async function watchRun(own: RunDependencies, flowRun: ReceivedFlowRun, started: StartedRun): Promise<Exit> {
  const notingPid = keepTrying({ what: "note the infrastructure", ...own }, () =>
    own.client.flowRuns.update(flowRun.id, { infrastructure_pid: started.pid }),
  ).catch((error: unknown) => {
    if (!own.signal.aborted) {
      own.logger.warn({ ...errorFields(error) }, "The run's infrastructure_pid could not be noted");
    }
  });
  const exit = await started.watch((line) => own.output.write(flowRun.name, line), own.signal);
  await notingPid;
  return exit;
}

async function reportExit(
  own: RunDependencies,
  { id }: ReceivedFlowRun,
  started: StartedRun,
  exit: Exit,
): Promise<void> {
  const current = await keepTrying({ what: "read the run's state", ...own }, () => own.client.flowRuns.find(id));
  const pid = current?.infrastructure_pid ?? started.pid;
  if (current === undefined || pid !== started.pid) {
    own.logger.info({}, "Run ended; it was deleted or started again meanwhile");
    return;
  }
  const verdict = decideVerdict(exit, started.what, current.state);
  const exitCode = exit.kind === "exited" ? exit.exitCode : undefined;
  own.logger.info({ exit_code: exitCode, state: current.state_name }, "Run ended");
  switch (verdict.outcome) {
    case "leave":
      own.logger.debug({ why: verdict.why }, "Nothing to report");
      break;
    case "cancelled":
      await reportState(own, id, "CANCELLED", verdict.message);
      break;
    case "crashed":
      await reportState(own, id, "CRASHED", verdict.message);
      break;
    case "explained":
      await reportState(own, id, "CRASHED", verdict.message, true);
      break;
  }
}

/** CANCELLED is forced, as a run is cancelled whatever it was doing; CRASHED leaves a final state alone. */
async function reportState(
  own: RunDependencies,
  id: string,
  type: "CANCELLED" | "CRASHED",
  message: string,
  force = type === "CANCELLED",
): Promise<void> {
  const answer = await keepTrying({ what: `report ${type}`, ...own }, () =>
    proposeState(own, id, { state: { type, message }, force }),
  );
  own.logger.info({ to: answer?.state?.name, status: answer?.status, reason: message }, `Reported ${type}`);
}

/** Undefined when the run was deleted. */
async function proposeState(
  own: RunDependencies,
  id: string,
  proposal: Parameters<RunDependencies["client"]["flowRuns"]["setState"]>[1],
): Promise<ReceivedSetStateResult | undefined> {
  try {
    return await own.client.flowRuns.setState(id, proposal);
  } catch (error) {
    if (refusalStatus(error) === 404) {
      return undefined;
    }
    throw error;
  }
}

function describeError(error: unknown): string {
  const sentence = errorMessage(error).replace(/[^.!?]$/, "$&.");
  if (error instanceof UserError) {
    return `${error.code}: ${sentence}${error.hint === undefined ? "" : ` ${error.hint}`}`;
  }
  return error instanceof TransientError ? `${error.code}: ${sentence}` : sentence;
}

/** What a log line says about an error; only a bug of ours shows its stack. */
export function errorFields(error: unknown): Record<string, unknown> {
  if (error instanceof UserError || error instanceof TransientError) {
    return { code: error.code, reason: error.message, ...(error instanceof UserError ? { hint: error.hint } : {}) };
  }
  return { reason: errorMessage(error), stack: error instanceof Error ? error.stack : undefined };
}

function secondsSince(start: number): number {
  return Math.round((performance.now() - start) / 10) / 100;
}
