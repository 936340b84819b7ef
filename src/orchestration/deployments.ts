import { randomUUID } from "node:crypto";
import { deploymentLimitName } from "../prefect-api/concurrency-limits.ts";
import type { CreateDeployment, Deployment, UpdateDeployment } from "../prefect-api/deployments.ts";
import { compileSchema, type SchemaCache, type Validate } from "../prefect-api/json-schema.ts";
import type { CreatedBy, JsonObject } from "../prefect-api/primitives.ts";
import { timestampFromDate } from "../prefect-api/timestamp.ts";
import { errorMessage, UserError } from "../shared/errors.ts";
import type { ConcurrencyLimit } from "../storage/concurrency-limits.ts";
import type { DeploymentChanges } from "../storage/deployment-rows.ts";
import type { Store, Tx } from "../storage/store.ts";
import { announceDeployment, announceDeploymentChange } from "./events/announce-deployment.ts";
import { hydrateParametersOf, listVariableNames } from "./flow-runs/hydrate-parameters.ts";
import { findJobVariableProblem } from "./flow-runs/job-variables.ts";
import { renewRuns, replaceSchedules, saveScheduleChanges } from "./schedules/deployment-schedules.ts";
import { decideScheduleChanges } from "./schedules/schedule-changes.ts";
import { getWorkPool } from "./work-pools.ts";
import { ensureAgentQueue, ensureWorkQueue } from "./work-queues.ts";

export interface DeploymentDeps {
  store: Pick<Store, "transaction">;
  schemas: SchemaCache;
}

export interface Request {
  now: Date;
  createdBy: CreatedBy | null;
}

/** `created` is false when the flow already had a deployment of that name, which is changed then. */
export interface SavedDeployment {
  deployment: Deployment;
  created: boolean;
}

/**
 * Makes the deployment, or changes the one of the same flow and name: keys that are absent keep their value there, but
 * schedules are replaced as a whole, less those that say the same. Throws UserError NOT_FOUND, INVALID_JOB_VARIABLES,
 * ALREADY_EXISTS (two schedules with one slug); an unknown flow is a `foreign-key` storage error.
 */
export function saveDeployment(
  deps: DeploymentDeps,
  body: CreateDeployment,
  request: Request,
): Promise<SavedDeployment> {
  return deps.store.transaction(async (tx) => {
    await checkDeploymentJobVariables(tx, deps.schemas, body);
    const existingId = await tx.deployments.findIdByName(body.flow_id, body.name);
    const id = await putDeployment(tx, body, existingId, request);
    await replaceSchedules(tx, id, body.schedules ?? [], request.now);
    return { deployment: await getDeployment(tx, id), created: existingId === undefined };
  });
}

/**
 * Writes all of a deployment but its schedules, unchecked, inside a transaction of the caller's: a new one, or keys of
 * an existing one. Answers its id.
 */
export async function putDeployment(
  tx: Tx,
  body: CreateDeployment,
  existingId: string | undefined,
  { now, createdBy }: Request,
): Promise<string> {
  const limitId = body.global_concurrency_limit_id
    ? (await getLimit(tx, body.global_concurrency_limit_id)).id
    : body.global_concurrency_limit_id;
  const queueId = await chooseQueue(tx, body, now);
  const id = existingId ?? randomUUID();
  const changes = {
    ...pickColumns(body),
    labels: { ...(await tx.flows.find(body.flow_id))?.labels, "prefect.flow.id": body.flow_id, ...body.labels },
    ...(limitId !== undefined && { concurrency_limit_id: limitId }),
    ...(queueId !== undefined && { work_queue_id: queueId }),
    updated_by: createdBy,
  };
  if (existingId === undefined) {
    await insertDeployment(tx, { id, body, changes, now, createdBy });
    await saveConcurrencyLimit(tx, id, body, now);
    await announceDeployment(tx, "created", id, now);
  } else {
    const before = await getDeployment(tx, id);
    await tx.deployments.update(id, changes);
    await renewRuns(tx, before, now);
    await saveConcurrencyLimit(tx, id, body, now);
    await announceDeploymentChange(tx, before, now);
  }
  return id;
}

/** Throws UserError NOT_FOUND. */
export async function getDeployment(store: Pick<Store, "deployments">, id: string): Promise<Deployment> {
  const deployment = await store.deployments.find(id);
  if (deployment === undefined) {
    throw new UserError("NOT_FOUND", "Deployment not found");
  }
  return deployment;
}

async function insertDeployment(
  tx: Tx,
  made: { id: string; body: CreateDeployment; changes: DeploymentChanges; now: Date; createdBy: CreatedBy | null },
): Promise<void> {
  const timestamp = timestampFromDate(made.now);
  await tx.deployments.insert({
    paused: false,
    concurrency_limit_id: null,
    job_variables: {},
    parameters: {},
    tags: [],
    enforce_parameter_schema: true,
    // What Prefect's table has where a client says nothing.
    parameter_openapi_schema: {},
    pull_steps: [],
    ...made.changes,
    id: made.id,
    created: timestamp,
    updated: timestamp,
    name: made.body.name,
    flow_id: made.body.flow_id,
    created_by: made.createdBy,
  });
}

/** The keys that are columns, as far as they are present. Null empties the three that are never null in answers. */
function pickColumns(body: UpdateDeployment): DeploymentChanges {
  const { parameters, job_variables: jobVariables } = body;
  return {
    ...(body.version !== undefined && { version: body.version }),
    ...(body.description !== undefined && { description: body.description }),
    ...(body.paused !== undefined && { paused: body.paused }),
    ...(body.concurrency_options !== undefined && {
      concurrency_options: body.concurrency_options && {
        collision_strategy: body.concurrency_options.collision_strategy,
        grace_period_seconds: body.concurrency_options.grace_period_seconds ?? null,
      },
    }),
    ...(jobVariables !== undefined && jobVariables !== null && { job_variables: jobVariables }),
    ...(parameters !== undefined && parameters !== null && { parameters }),
    ...(body.tags !== undefined && { tags: body.tags }),
    ...(body.parameter_openapi_schema !== undefined && { parameter_openapi_schema: body.parameter_openapi_schema }),
    ...(body.path !== undefined && { path: body.path }),
    ...(body.pull_steps !== undefined && { pull_steps: body.pull_steps }),
    ...(body.entrypoint !== undefined && { entrypoint: body.entrypoint }),
    ...(body.storage_document_id !== undefined && { storage_document_id: body.storage_document_id }),
    ...(body.infrastructure_document_id !== undefined && {
      infrastructure_document_id: body.infrastructure_document_id,
    }),
    ...(body.enforce_parameter_schema !== undefined && { enforce_parameter_schema: body.enforce_parameter_schema }),
  };
}

/** Throws UserError NOT_FOUND (the work pool), INVALID_JOB_VARIABLES. */
export async function checkDeploymentJobVariables(
  tx: Pick<Store, "workPools">,
  schemas: SchemaCache,
  body: CreateDeployment,
): Promise<void> {
  if (!body.work_pool_name) {
    return;
  }
  const pool = await getWorkPool(tx, body.work_pool_name);
  const variables = body.job_variables ?? {};
  if (Object.keys(variables).length === 0) {
    return;
  }
  const template = { id: pool.id, updated: pool.updated, load: async () => pool.base_job_template };
  const problem = await findJobVariableProblem(schemas, template, [variables], false);
  if (problem !== undefined) {
    throw new UserError("INVALID_JOB_VARIABLES", `Error creating deployment: ${problem}`);
  }
}

/** Undefined: the body says nothing of queues. */
async function chooseQueue(tx: Tx, body: UpdateDeployment, now: Date): Promise<string | null | undefined> {
  if (body.work_pool_name) {
    const pool = await getWorkPool(tx, body.work_pool_name);
    return body.work_queue_name ? ensureWorkQueue(tx, pool, body.work_queue_name, now) : pool.default_queue_id;
  }
  if (body.work_queue_name) {
    return ensureAgentQueue(tx, body.work_queue_name, now);
  }
  return body.work_pool_name === null ? null : undefined;
}

async function getLimit(tx: Tx, id: string): Promise<ConcurrencyLimit> {
  const limit = await tx.concurrencyLimits.find(id);
  if (limit === undefined) {
    throw new UserError("NOT_FOUND", "Concurrency limit not found");
  }
  return limit;
}

/** `concurrency_limit` is kept as the limit `deployment:<id>`; null takes it away. */
async function saveConcurrencyLimit(tx: Tx, id: string, body: UpdateDeployment, now: Date): Promise<void> {
  const slots = body.concurrency_limit;
  if (slots === undefined) {
    return;
  }
  const existing = await tx.concurrencyLimits.findByName(deploymentLimitName(id));
  if (slots === null) {
    if (existing !== undefined) {
      await tx.concurrencyLimits.remove(existing.id);
    }
    return;
  }
  if (existing !== undefined) {
    await tx.concurrencyLimits.update(existing.id, { limit: slots });
    await tx.deployments.update(id, { concurrency_limit_id: existing.id });
    return;
  }
  const timestamp = timestampFromDate(now);
  const limitId = randomUUID();
  await tx.concurrencyLimits.insert({
    id: limitId,
    created: timestamp,
    updated: timestamp,
    active: true,
    name: deploymentLimitName(id),
    limit: slots,
    slot_decay_per_second: 0,
    avg_slot_occupancy_seconds: 2,
  });
  await tx.deployments.update(id, { concurrency_limit_id: limitId });
}

/**
 * Changes the keys that are present; schedules are merged by slug where all have one, else replaced. Job variables are
 * not checked here, as Prefect does not: a run that they do not fit is refused. Throws UserError NOT_FOUND,
 * INVALID_PARAMETERS, INVALID_PARAMETER_TEMPLATE, INVALID_SCHEDULE.
 */
export function updateDeployment(
  deps: DeploymentDeps,
  id: string,
  body: UpdateDeployment,
  { now, createdBy }: Request,
): Promise<void> {
  return deps.store.transaction(async (tx) => {
    const existing = await tx.deployments.find(id);
    if (existing === undefined) {
      throw new UserError("NOT_FOUND", "Deployment not found.");
    }
    const scheduleChanges = decideScheduleChanges("merge", existing.schedules, body.schedules);
    const parameters = body.parameters ? await hydrate(tx, body.parameters) : undefined;
    checkParameters(existing, body, parameters ?? existing.parameters);
    const limitId = body.global_concurrency_limit_id;
    if (limitId) {
      await getLimit(tx, limitId);
    }
    const queueId = await chooseQueue(tx, body, now);
    await tx.deployments.update(id, {
      ...pickColumns(body),
      ...(parameters !== undefined && { parameters }),
      ...(limitId !== undefined && { concurrency_limit_id: limitId }),
      ...(queueId !== undefined && { work_queue_id: queueId }),
      updated_by: createdBy,
    });
    await renewRuns(tx, existing, now);
    await saveScheduleChanges(tx, id, scheduleChanges, now);
    await saveConcurrencyLimit(tx, id, body, now);
    await announceDeploymentChange(tx, existing, now);
  });
}

async function hydrate(tx: Tx, parameters: JsonObject): Promise<JsonObject> {
  const names = listVariableNames(parameters);
  const variables = names.length === 0 ? new Map<string, unknown>() : await tx.variables.listValues(names);
  return hydrateParametersOf("deployment", parameters, (name) => variables.get(name));
}

function checkParameters(existing: Deployment, body: UpdateDeployment, parameters: JsonObject): void {
  if (!(body.enforce_parameter_schema ?? existing.enforce_parameter_schema)) {
    return;
  }
  const schema = body.parameter_openapi_schema ?? existing.parameter_openapi_schema;
  if (!schema) {
    throw new UserError(
      "INVALID_PARAMETERS",
      "Error updating deployment: Cannot update parameters because parameter schema enforcement is enabled and the deployment does not have a valid parameter schema.",
    );
  }
  const problem = findParameterProblem(schema, parameters);
  if (problem !== undefined) {
    throw new UserError("INVALID_PARAMETERS", `Error updating deployment: ${problem}`);
  }
}

export function compileParameterSchema(schema: JsonObject): Validate {
  return compileSchema(schema, { ignoreRequired: true, allowNullWithDefault: false });
}

/** Why a deployment's parameters do not fit its schema; keys that are missing may still come with a run. */
export function findParameterProblem(
  schema: JsonObject,
  parameters: JsonObject,
  compile = compileParameterSchema,
): string | undefined {
  try {
    return compile(schema)(parameters);
  } catch (error) {
    return `Invalid schema: ${errorMessage(error)}`;
  }
}

/** Removes the deployment with its schedules, its limit and its waiting runs. Throws UserError NOT_FOUND. */
export function deleteDeployment(store: Pick<Store, "transaction">, id: string, now: Date): Promise<void> {
  return store.transaction((tx) => removeDeployment(tx, id, now));
}

/** The same inside a transaction of the caller's. */
export async function removeDeployment(tx: Tx, id: string, now: Date): Promise<void> {
  await announceDeployment(tx, "deleted", id, now);
  const limit = await tx.concurrencyLimits.findByName(deploymentLimitName(id));
  if (!(await tx.deployments.remove(id))) {
    throw new UserError("NOT_FOUND", "Deployment not found");
  }
  if (limit !== undefined) {
    await tx.concurrencyLimits.remove(limit.id);
  }
  await tx.flowRuns.removeScheduled(id, { autoOnly: false, futureOnly: false });
}

/**
 * Pausing also removes the runs that its schedules made; what they would have made meanwhile is not made up. Throws
 * UserError NOT_FOUND.
 */
export function setDeploymentPaused(
  store: Pick<Store, "transaction">,
  id: string,
  paused: boolean,
  now: Date,
): Promise<void> {
  return store.transaction((tx) => writePaused(tx, id, paused, now));
}

/** The same inside a transaction of the caller's. */
export async function writePaused(tx: Tx, id: string, paused: boolean, now: Date): Promise<void> {
  const before = await getDeployment(tx, id);
  await tx.deployments.update(id, { paused });
  if (paused) {
    await tx.flowRuns.removeScheduled(id, { autoOnly: true, futureOnly: false });
  }
  await renewRuns(tx, before, now);
  await announceDeploymentChange(tx, before, now);
}
