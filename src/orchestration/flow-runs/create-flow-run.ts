import { v7 as uuidv7 } from "uuid";
import type { CreateFlowRunFromDeployment } from "../../prefect-api/deployments.ts";
import { type CreateFlowRun, EmpiricalPolicy, type FlowRun } from "../../prefect-api/flow-runs.ts";
import type { SchemaCache } from "../../prefect-api/json-schema.ts";
import type { CreatedBy, JsonObject, Labels } from "../../prefect-api/primitives.ts";
import { estimateTimes } from "../../prefect-api/run-estimates.ts";
import type { StateCreate } from "../../prefect-api/states.ts";
import { timestampFromDate } from "../../prefect-api/timestamp.ts";
import { UserError } from "../../shared/errors.ts";
import type { Logger } from "../../shared/logger.ts";
import type { RunSource } from "../../storage/deployment-rows.ts";
import type { Store, Tx } from "../../storage/store.ts";
import type { LiveBus } from "../events/live-bus.ts";
import { enterState, NO_STATE } from "../states/bookkeeping.ts";
import type { EventSubject } from "../states/flow-run-event.ts";
import { announceState, buildStateEvent } from "../states/set-flow-run-state.ts";
import { buildProposedState } from "../states/transition.ts";
import { ensureWorkQueue } from "../work-queues.ts";
import { findJobVariableProblem } from "./job-variables.ts";
import { resolveParameters } from "./resolve-parameters.ts";
import { buildRunName } from "./run-name.ts";

export interface CreateRunDeps {
  store: Pick<Store, "transaction">;
  bus: LiveBus;
  logger: Logger;
  schemas: SchemaCache;
}

export interface CreatedRun {
  flowRun: FlowRun;
  /** False when a run with the same idempotency key was there. */
  created: boolean;
}

interface Request {
  now: Date;
  createdBy: CreatedBy | null;
}

/**
 * Makes a run of a deployment, SCHEDULED unless another state is given. Throws UserError NOT_FOUND,
 * INVALID_PARAMETERS, INVALID_PARAMETER_TEMPLATE, INVALID_JOB_VARIABLES, WORK_POOL_REQUIRED.
 */
export function createFlowRunFromDeployment(
  deps: CreateRunDeps,
  deploymentId: string,
  body: CreateFlowRunFromDeployment,
  request: Request,
): Promise<CreatedRun> {
  const create = async (tx: Tx): Promise<CreatedRun> => {
    const source = await tx.deployments.findRunSource(deploymentId);
    if (source === undefined) {
      throw new UserError("NOT_FOUND", "Deployment not found");
    }
    const parameters = await resolveParameters(tx, deps.schemas, source, body);
    await checkJobVariables(tx, deps.schemas, source, body.job_variables ?? {});
    const existing = await findExisting(tx, source.flow_id, body.idempotency_key);
    if (existing !== undefined) {
      return { flowRun: existing, created: false };
    }
    const queue = await chooseQueue(tx, source, body.work_queue_name, request.now);
    return insertRun(tx, deps, request, body.state ?? { type: "SCHEDULED", state_details: {} }, {
      ...body,
      ...queue,
      parameters,
      flow_id: source.flow_id,
      deployment_id: source.id,
      deployment_version: source.version,
      tags: [...new Set([...source.tags, ...(body.tags ?? [])])],
      labels: {
        ...source.labels,
        "prefect.flow.id": source.flow_id,
        "prefect.deployment.id": source.id,
        ...body.labels,
      },
      infrastructure_document_id: body.infrastructure_document_id ?? source.infrastructure_document_id,
      ...describeSource(source),
    });
  };
  return deps.store.transaction(create, (nouns) => nouns.deployments.findRunSource(deploymentId));
}

/**
 * Makes a run of a flow, PENDING unless another state is given: what a flow that is called without a deployment sends.
 * Throws UserError NOT_FOUND for an unknown pool or queue; an unknown flow is a `foreign-key` storage error.
 */
export function createFlowRun(deps: CreateRunDeps, body: CreateFlowRun, request: Request): Promise<CreatedRun> {
  return deps.store.transaction(async (tx) => {
    const existing = await findExisting(tx, body.flow_id, body.idempotency_key);
    if (existing !== undefined) {
      return { flowRun: existing, created: false };
    }
    const queue = await findQueue(tx, body);
    const flow = await tx.flows.find(body.flow_id);
    const labels: Labels = {
      ...flow?.labels,
      "prefect.flow.id": body.flow_id,
      ...(body.deployment_id && { "prefect.deployment.id": body.deployment_id }),
      ...body.labels,
    };
    return insertRun(tx, deps, request, body.state ?? { type: "PENDING", state_details: {} }, {
      ...body,
      ...queue,
      deployment_version: null,
      parameters: body.parameters ?? {},
      labels,
      // A flow that does not exist is what the insert will say.
      flow: flow ?? { id: body.flow_id, name: "", tags: [] },
      deployment: await findDeployment(tx, body.deployment_id),
    });
  });
}

async function findExisting(tx: Tx, flowId: string, key: string | null | undefined): Promise<FlowRun | undefined> {
  return key ? await tx.flowRuns.findByIdempotencyKey(flowId, key) : undefined;
}

/** What events of a run of the deployment name beside it. */
function describeSource(source: RunSource): Pick<RunParts, "flow" | "deployment"> {
  return {
    flow: { id: source.flow_id, name: source.flow_name, tags: source.flow_tags },
    deployment: { id: source.id, name: source.name, tags: source.tags },
  };
}

async function findDeployment(tx: Tx, id: string | null | undefined): Promise<RunParts["deployment"]> {
  const source = id ? await tx.deployments.findRunSource(id) : undefined;
  return source === undefined ? null : describeSource(source).deployment;
}

interface QueueChoice {
  workQueue: { id: string; name: string } | null;
  workPool: { id: string; name: string; type: string } | null;
}

async function chooseQueue(
  tx: Tx,
  source: RunSource,
  queueName: string | null | undefined,
  now: Date,
): Promise<QueueChoice> {
  const workPool = findPool(source);
  if (!queueName || queueName === source.work_queue_name) {
    const { work_queue_id: id, work_queue_name: name } = source;
    return { workQueue: id === null || name === null ? null : { id, name }, workPool };
  }
  if (workPool === null) {
    throw new UserError(
      "WORK_POOL_REQUIRED",
      `Cannot create flow run in work queue ${queueName} because deployment ${source.id} is not associated with a work pool. Please remove work_pool_name and try again.`,
    );
  }
  const id = await ensureWorkQueue(tx, workPool, queueName, now);
  return { workQueue: { id, name: queueName }, workPool };
}

function findPool({
  work_pool_id: id,
  work_pool_name: name,
  work_pool_type: type,
}: RunSource): QueueChoice["workPool"] {
  return id === null || name === null ? null : { id, name, type: type ?? "" };
}

async function findQueue(tx: Tx, body: CreateFlowRun): Promise<QueueChoice> {
  if (!body.work_pool_name) {
    return { workQueue: null, workPool: null };
  }
  const pool = await tx.workPools.findByName(body.work_pool_name);
  if (pool === undefined) {
    throw new UserError("NOT_FOUND", `Work pool "${body.work_pool_name}" not found.`);
  }
  const queue = body.work_queue_name
    ? await tx.workQueues.findByName(pool.name, body.work_queue_name)
    : await tx.workQueues.find(pool.default_queue_id ?? "");
  if (queue === undefined) {
    throw new UserError("NOT_FOUND", `Work pool queue '${pool.name}/${body.work_queue_name ?? "default"}' not found.`);
  }
  return { workQueue: queue, workPool: pool };
}

async function checkJobVariables(
  tx: Tx,
  schemas: SchemaCache,
  source: RunSource,
  jobVariables: JsonObject,
): Promise<void> {
  const { work_pool_id: poolId, work_pool_updated: updated } = source;
  if (poolId === null || updated === null) {
    return;
  }
  const load = async () => (await tx.workPools.find(poolId))?.base_job_template;
  const layers = [source.job_variables, jobVariables];
  const problem = await findJobVariableProblem(schemas, { id: poolId, updated, load }, layers, true);
  if (problem !== undefined) {
    throw new UserError("INVALID_JOB_VARIABLES", `Error creating flow run: ${problem}`);
  }
}

type RunParts = Pick<FlowRun, "flow_id" | "parameters" | "labels"> &
  QueueChoice &
  Omit<CreateFlowRun, "flow_id" | "state" | "parameters" | "labels" | "work_pool_name" | "work_queue_name"> & {
    deployment_version: string | null;
    flow: EventSubject["flow"];
    deployment: EventSubject["deployment"];
  };

async function insertRun(
  tx: Tx,
  deps: CreateRunDeps,
  { now, createdBy }: Request,
  stateCreate: StateCreate,
  parts: RunParts,
): Promise<CreatedRun> {
  const timestamp = timestampFromDate(now);
  const id = uuidv7();
  const parentTaskRunId = parts.parent_task_run_id ?? null;
  const { state, times, policy } = enterState(
    { ...NO_STATE, id, parent_task_run_id: parentTaskRunId },
    buildProposedState(stateCreate, timestamp),
    EmpiricalPolicy.parse(parts.empirical_policy ?? {}),
    { stateId: uuidv7(), now: timestamp, clientApiVersion: null },
  );
  const { state_timestamp: _stateTimestamp, state_id: stateId, ...columns } = times;
  const flowRun: FlowRun = {
    id,
    created: timestamp,
    updated: timestamp,
    name: parts.name || buildRunName(),
    flow_id: parts.flow_id,
    state_id: stateId,
    deployment_id: parts.deployment_id ?? null,
    deployment_version: parts.deployment_version,
    work_queue_id: parts.workQueue?.id ?? null,
    work_queue_name: parts.workQueue?.name ?? null,
    flow_version: parts.flow_version ?? null,
    parameters: parts.parameters,
    idempotency_key: parts.idempotency_key ?? null,
    context: parts.context ?? {},
    empirical_policy: policy,
    tags: parts.tags ?? [],
    labels: parts.labels,
    parent_task_run_id: parentTaskRunId,
    ...columns,
    ...estimateTimes(times, now),
    auto_scheduled: false,
    infrastructure_document_id: parts.infrastructure_document_id ?? null,
    infrastructure_pid: null,
    created_by: createdBy,
    work_pool_id: parts.workPool?.id ?? null,
    work_pool_name: parts.workPool?.name ?? null,
    state,
    job_variables: parts.job_variables ?? {},
  };
  const { flow, deployment, workQueue, workPool } = parts;
  const subject = { ...flowRun, created_by: createdBy, parent_task_run_id: parentTaskRunId };
  const told = await buildStateEvent(tx, { ...subject, flow, deployment, workQueue, workPool }, null, state);
  await tx.flowRuns.insert(flowRun, told.event);
  await announceState(tx, deps, parts, told, state);
  tx.afterCommit(() =>
    deps.logger.info(
      { flow_run_id: id, from: null, to: state.name, deployment_id: flowRun.deployment_id },
      "flow run state",
    ),
  );
  return { flowRun, created: true };
}
