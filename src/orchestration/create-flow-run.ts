import { v7 as uuidv7 } from "uuid";
import type { CreateFlowRunFromDeployment } from "../prefect-api/deployments.ts";
import { type CreateFlowRun, EmpiricalPolicy, type FlowRun } from "../prefect-api/flow-runs.ts";
import { compileSchema, type SchemaCache, type Validate } from "../prefect-api/json-schema.ts";
import type { CreatedBy, JsonObject, Labels } from "../prefect-api/primitives.ts";
import { estimateTimes } from "../prefect-api/run-estimates.ts";
import type { StateCreate } from "../prefect-api/states.ts";
import { timestampFromDate } from "../prefect-api/timestamp.ts";
import { errorMessage, UserError } from "../shared/errors.ts";
import type { Logger } from "../shared/logger.ts";
import type { RunSource } from "../storage/deployment-rows.ts";
import type { Store, Tx } from "../storage/store.ts";
import { enterState, NO_STATE } from "./bookkeeping.ts";
import { hydrateParametersOf, listVariableNames } from "./hydrate-parameters.ts";
import { findJobVariableProblem } from "./job-variables.ts";
import type { LiveBus } from "./live-bus.ts";
import { buildRunName } from "./run-name.ts";
import { announceFirstState } from "./set-flow-run-state.ts";
import { buildProposedState } from "./transition.ts";
import { ensureWorkQueue } from "./work-queues.ts";

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
  return deps.store.transaction(async (tx) => {
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
    });
  });
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
    });
  });
}

async function findExisting(tx: Tx, flowId: string, key: string | null | undefined): Promise<FlowRun | undefined> {
  return key ? await tx.flowRuns.findByIdempotencyKey(flowId, key) : undefined;
}

interface QueueChoice {
  work_queue_id: string | null;
  work_queue_name: string | null;
  work_pool_id: string | null;
  work_pool_name: string | null;
}

async function chooseQueue(
  tx: Tx,
  source: RunSource,
  queueName: string | null | undefined,
  now: Date,
): Promise<QueueChoice> {
  const { work_queue_id, work_queue_name, work_pool_id, work_pool_name } = source;
  if (!queueName || queueName === work_queue_name) {
    return { work_queue_id, work_queue_name, work_pool_id, work_pool_name };
  }
  if (work_pool_id === null || work_pool_name === null) {
    throw new UserError(
      "WORK_POOL_REQUIRED",
      `Cannot create flow run in work queue ${queueName} because deployment ${source.id} is not associated with a work pool. Please remove work_pool_name and try again.`,
    );
  }
  const queueId = await ensureWorkQueue(tx, { id: work_pool_id, name: work_pool_name }, queueName, now);
  return { work_queue_id: queueId, work_queue_name: queueName, work_pool_id, work_pool_name };
}

async function findQueue(tx: Tx, body: CreateFlowRun): Promise<QueueChoice> {
  const none = { work_queue_id: null, work_queue_name: null, work_pool_id: null, work_pool_name: null };
  if (!body.work_pool_name) {
    return none;
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
  return { work_queue_id: queue.id, work_queue_name: queue.name, work_pool_id: pool.id, work_pool_name: pool.name };
}

async function resolveParameters(
  tx: Tx,
  schemas: SchemaCache,
  source: RunSource,
  body: CreateFlowRunFromDeployment,
): Promise<JsonObject> {
  const merged = { ...source.parameters, ...body.parameters };
  const names = listVariableNames(merged);
  const variables = names.length === 0 ? new Map<string, unknown>() : await tx.variables.listValues(names);
  const parameters = hydrateParametersOf("flow run", merged, (name) => variables.get(name));
  if (body.enforce_parameter_schema ?? source.enforce_parameter_schema) {
    const problem = findParameterValidator(schemas, source)(parameters);
    if (problem !== undefined) {
      throw new UserError("INVALID_PARAMETERS", `Error creating flow run: ${problem}`);
    }
  }
  return parameters;
}

function findParameterValidator(schemas: SchemaCache, source: RunSource): Validate {
  const { parameterSchema } = source;
  if (parameterSchema === null) {
    throw new UserError(
      "INVALID_PARAMETERS",
      "Error creating flow run: parameter schema enforcement is enabled and the deployment does not have a valid parameter schema.",
    );
  }
  const key = `parameters:${parameterSchema.text}`;
  return schemas.find(key) ?? schemas.put(key, compileParameterSchema(parameterSchema.load()));
}

function compileParameterSchema(schema: JsonObject): Validate {
  try {
    return compileSchema(schema, { ignoreRequired: false, allowNullWithDefault: false });
  } catch (error) {
    throw new UserError("INVALID_PARAMETERS", `Error creating flow run: Invalid schema: ${errorMessage(error)}`, {
      cause: error,
    });
  }
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
    work_queue_id: parts.work_queue_id,
    work_queue_name: parts.work_queue_name,
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
    work_pool_id: parts.work_pool_id,
    work_pool_name: parts.work_pool_name,
    state,
    job_variables: parts.job_variables ?? {},
  };
  // The second reads what the first writes, in one way to PostgreSQL and back.
  await Promise.all([tx.flowRuns.insert(flowRun), announceFirstState(tx, deps, id)]);
  tx.afterCommit(() =>
    deps.logger.info(
      { flow_run_id: id, from: null, to: state.name, deployment_id: flowRun.deployment_id },
      "flow run state",
    ),
  );
  return { flowRun, created: true };
}
