import type { PrefectClient } from "../../src/client/prefect-client.ts";
import type { Deployment } from "../../src/prefect-api/deployments.ts";
import type { ReceivedFlowRun } from "../../src/prefect-api/flow-runs.ts";
import type { Flow } from "../../src/prefect-api/flows.ts";
import { isTerminal } from "../../src/prefect-api/states.ts";
import type { WorkPool } from "../../src/prefect-api/work-pools.ts";
import type { WorkerSettings } from "../config.ts";
import type { Infrastructure, StartedRun, StartNote } from "../infrastructure/contract.ts";
import { buildJob, type Job, OWN_VARIABLES, selectRunSettings } from "../jobs/job.ts";
import { fillJobTemplate, mergeJobVariables, resolveReferences } from "../jobs/job-template.ts";
import { keepTrying } from "../keep-trying.ts";
import type { OpenRelay } from "../relay/open-relay.ts";
import type { WorkerHome } from "../worker-home.ts";
import { describeError, errorFields, NOT_STARTED, proposeState, reportState } from "./report.ts";
import { type RunOutcome, type SuperviseDependencies, submittingId, superviseRun } from "./supervise.ts";

export interface RunDependencies extends SuperviseDependencies {
  client: SuperviseDependencies["client"] & {
    deployments: Pick<PrefectClient["deployments"], "find">;
    flows: Pick<PrefectClient["flows"], "find">;
    workPools: Pick<PrefectClient["workPools"], "get">;
    flowRuns: Pick<PrefectClient["flowRuns"], "updateLabels">;
    blockDocuments: Pick<PrefectClient["blockDocuments"], "find" | "findByName">;
    variables: Pick<PrefectClient["variables"], "findByName">;
  };
  infrastructure: Infrastructure;
  /** Undefined: runs reach the plane by themselves. */
  relay?: Pick<OpenRelay, "accessFor"> | undefined;
  settings: SuperviseDependencies["settings"] & Pick<WorkerSettings, "name" | "pool" | "environment">;
  home: SuperviseDependencies["home"] & Pick<WorkerHome, "id" | "instance" | "saveClaim" | "dropClaim">;
}

/** A run that this worker may begin. */
export interface RunOffer {
  flowRun: ReceivedFlowRun;
  attempt: string;
  /** Undefined where the plane has no claims: then it is a proposal that decides whose run it is. */
  claimed:
    | {
        fencingToken: number;
        flow: Flow;
        deployment: Deployment | undefined;
        /** As it was when the run was claimed; undefined where the plane does not tell. */
        workPool: WorkPool | undefined;
      }
    | undefined;
}

/** One run that this worker has in its hands. */
export interface RunInFlight {
  flowRun: Pick<ReceivedFlowRun, "id" | "name">;
  /** Its transition id: names this claim, and everything that is made for it. */
  attempt: string;
  fencingToken: number | undefined;
  /** Set as soon as there is something that can be stopped. */
  started: StartedRun | undefined;
  /** Aborted when the run was cancelled before there is. */
  starting: AbortController;
}

/**
 * Takes one run from the plane to its end: claim, job, start, and then `superviseRun`. Never throws: one bad run must
 * not end the worker, so whatever goes wrong is reported as the run's CRASHED state and logged once.
 */
export async function runFlowRun(
  dependencies: RunDependencies,
  run: RunInFlight,
  offer: RunOffer,
): Promise<RunOutcome> {
  const { flowRun, attempt } = offer;
  const logger = dependencies.logger.child({ flow_run_id: flowRun.id, flow_run_name: flowRun.name });
  const own: RunDependencies = { ...dependencies, logger, fencingToken: run.fencingToken };
  try {
    const deployment = await findDeployment(own, offer);
    if (deployment === "missing" || !(await claimFlowRun(own, offer))) {
      return "done";
    }
    const startedAt = performance.now();
    const started = await startRun(own, run, { ...offer, deployment });
    if (started !== undefined) {
      run.started = started;
      own.phases?.started(started.what);
      logger.info({ infrastructure: started.what, seconds: secondsSince(startedAt) }, "Run started");
      await own.home.dropClaim(attempt);
      return await superviseRun(own, started, true);
    }
  } catch (error) {
    if (!own.signal.aborted) {
      logger.error({ ...errorFields(error) }, "The run was lost: its end could not be reported");
    }
  }
  return "done";
}

/** A run whose deployment is gone cannot be started by anybody: it is cancelled, as Prefect's worker does. */
async function findDeployment(
  own: RunDependencies,
  { flowRun, claimed }: RunOffer,
): Promise<Deployment | undefined | "missing"> {
  const id = flowRun.deployment_id;
  if (id === null || id === undefined) {
    return undefined;
  }
  const deployment =
    claimed?.deployment ??
    (await keepTrying({ what: "read the deployment", ...own }, () => own.client.deployments.find(id)));
  if (deployment === undefined) {
    await reportState(own, flowRun.id, { type: "CANCELLED", message: `Deployment ${id} no longer exists.` });
    return "missing";
  }
  return deployment;
}

/**
 * True when the run is ours now. Anything but PENDING in the answer means that it is somebody else's or not due. The
 * claim is noted before it is made: a worker that dies before there is a container leaves nothing else behind.
 */
async function claimFlowRun(own: RunDependencies, { flowRun, attempt, claimed }: RunOffer): Promise<boolean> {
  await own.home.saveClaim({
    flow_run_id: flowRun.id,
    work_pool_name: own.settings.pool,
    attempt,
    worker_instance: own.home.instance,
    ...(claimed === undefined ? {} : { fencing_token: claimed.fencingToken }),
  });
  if (claimed !== undefined) {
    return true;
  }
  // An answer that got lost is asked for again with the same transition: the plane then shows the state it made.
  const answer = await keepTrying({ what: "claim the run", ...own }, () =>
    proposeState(own, flowRun.id, { state: { type: "PENDING", state_details: { transition_id: attempt } } }),
  );
  const isOurs =
    answer?.state?.type === "PENDING" &&
    (answer.status === "ACCEPT" || answer.state.state_details.transition_id === attempt);
  if (!isOurs) {
    await own.home.dropClaim(attempt);
    const reason = answer?.details.reason ?? answer?.state?.name;
    own.logger.info({ status: answer?.status, reason }, "The run is not taken");
  }
  return isOurs;
}

/** Unless the plane has ended it already: it does so by itself with a run that has no infrastructure. */
async function reportCancelled(own: RunDependencies, id: string): Promise<void> {
  const current = await keepTrying({ what: "read the run's state", ...own }, () => own.client.flowRuns.find(id));
  if (current?.state?.type === "CANCELLING") {
    await reportState(own, id, { type: "CANCELLED", message: "Cancelled before it was started." });
  }
}

interface Claimed extends RunOffer {
  deployment: Deployment | undefined;
}

/** Undefined when the run ended before it began: cancelled meanwhile, or crashed with the reason reported. */
async function startRun(own: RunDependencies, run: RunInFlight, claimed: Claimed): Promise<StartedRun | undefined> {
  const { flowRun, attempt } = claimed;
  const signal = AbortSignal.any([own.signal, run.starting.signal]);
  try {
    const job = await prepareJob(own, claimed);
    // At the same time: the plane then writes both to its disk at once.
    const [goesOn] = await Promise.all([announceStart(own, flowRun.id, attempt), labelRun(own, job)]);
    if (!goesOn) {
      await own.home.dropClaim(attempt);
      return undefined;
    }
    return await own.infrastructure.start(job, buildNote(own), signal);
  } catch (error) {
    own.signal.throwIfAborted();
    if (run.starting.signal.aborted) {
      await reportCancelled(own, flowRun.id);
    } else {
      own.logger.error({ ...errorFields(error) }, "The run could not be started");
      const message = `${NOT_STARTED} ${describeError(error)}`;
      await reportState(own, flowRun.id, { type: "CRASHED", message });
    }
    await own.home.dropClaim(attempt);
    return undefined;
  }
}

function buildNote({ logger, phases }: RunDependencies): StartNote {
  return (message, step) => {
    if (step?.kind === "created") {
      logger.debug({}, message);
    } else {
      logger.info({}, message);
    }
    if (step !== undefined) {
      phases?.step(step);
    }
  };
}

async function prepareJob(own: RunDependencies, { flowRun, deployment, attempt, claimed }: Claimed): Promise<Job> {
  const { client, settings, home } = own;
  const [flow, workPool] = await keepTrying({ what: "read flow and work pool", ...own }, () =>
    Promise.all([
      claimed?.flow ?? client.flows.find(flowRun.flow_id),
      claimed?.workPool ?? client.workPools.get(settings.pool),
    ]),
  );
  const variables = mergeJobVariables(deployment?.job_variables ?? {}, flowRun.job_variables ?? {});
  const template = fillJobTemplate(workPool.base_job_template, variables, settings.environment);
  const configuration = await keepTrying({ what: "read blocks and variables", ...own }, () =>
    resolveReferences(client, template),
  );
  const ownVariables = OWN_VARIABLES.flatMap((name) => (name in variables ? [[name, variables[name]] as const] : []));
  return buildJob(
    { ...configuration, ...Object.fromEntries(ownVariables) },
    {
      flowRun,
      deployment,
      flow,
      workPool,
      workerName: settings.name,
      claim: {
        worker_instance: home.instance,
        worker_home: home.id,
        attempt,
        fencing_token: claimed === undefined ? undefined : String(claimed.fencingToken),
      },
      settings: selectRunSettings(settings.environment),
      relay: own.relay?.accessFor({ flow_run_id: flowRun.id, fencing_token: claimed?.fencingToken ?? null }),
    },
  );
}

async function labelRun(own: RunDependencies, { flowRun, facts }: Job): Promise<void> {
  const labels = {
    "prefect.worker.name": own.settings.name,
    "prefect.worker.type": own.infrastructure.type,
    "prefect.work-pool.name": facts.work_pool_name,
    "prefect.work-pool.id": facts.work_pool_id,
  };
  await keepTrying({ what: "label the run", ...own }, () => own.client.flowRuns.updateLabels(flowRun.id, labels));
}

/** PENDING, Submitting: tells that an infrastructure comes up. False when the run was ended meanwhile. */
async function announceStart(own: RunDependencies, id: string, attempt: string): Promise<boolean> {
  const state_details = { transition_id: submittingId(attempt) };
  const answer = await keepTrying({ what: "announce the start", ...own }, () =>
    proposeState(own, id, { state: { type: "PENDING", name: "Submitting", state_details } }),
  );
  const type = answer?.state?.type;
  if (type === "CANCELLING") {
    await reportCancelled(own, id);
    return false;
  }
  const isEnded = answer === undefined || (type !== undefined && isTerminal(type));
  if (isEnded) {
    own.logger.info({ state: answer?.state?.name }, "The run was ended before it was started");
  }
  return !isEnded;
}

function secondsSince(start: number): number {
  return Math.round((performance.now() - start) / 10) / 100;
}
