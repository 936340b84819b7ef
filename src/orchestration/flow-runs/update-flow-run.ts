import { EmpiricalPolicy, type FlowRun, type UpdateFlowRun } from "../../prefect-api/flow-runs.ts";
import type { SchemaCache } from "../../prefect-api/json-schema.ts";
import type { JsonObject, Labels } from "../../prefect-api/primitives.ts";
import { UserError } from "../../shared/errors.ts";
import type { Store, Tx } from "../../storage/store.ts";
import { findJobVariableProblem } from "./job-variables.ts";

interface Deps {
  store: Pick<Store, "transaction">;
  schemas: SchemaCache;
}

/** Changes the keys that are present. Throws UserError NOT_FOUND, DATA_CONFLICT, INVALID_JOB_VARIABLES. */
export function updateFlowRun(deps: Deps, id: string, body: UpdateFlowRun): Promise<void> {
  return deps.store.transaction(async (tx) => {
    const { name, empirical_policy: policy, job_variables: jobVariables, ...others } = body;
    if (jobVariables !== undefined) {
      await checkJobVariables(tx, deps.schemas, await getFlowRun(tx, id), jobVariables ?? {});
    }
    const { flow_version, parameters, tags, infrastructure_pid } = others;
    const found = await tx.flowRuns.update(id, {
      ...(name && { name }),
      ...(policy !== undefined && { empirical_policy: EmpiricalPolicy.parse(policy) }),
      ...(jobVariables !== undefined && { job_variables: jobVariables ?? {} }),
      ...(flow_version !== undefined && { flow_version }),
      ...(parameters !== undefined && { parameters }),
      ...(tags !== undefined && { tags }),
      ...(infrastructure_pid !== undefined && { infrastructure_pid }),
    });
    if (!found) {
      throw new UserError("NOT_FOUND", "Flow run not found");
    }
  });
}

async function getFlowRun(tx: Tx, id: string): Promise<FlowRun> {
  const flowRun = await tx.flowRuns.find(id);
  if (flowRun === undefined) {
    throw new UserError("NOT_FOUND", "Flow run not found");
  }
  return flowRun;
}

async function checkJobVariables(tx: Tx, schemas: SchemaCache, flowRun: FlowRun, given: JsonObject): Promise<void> {
  if (flowRun.state_type !== "SCHEDULED") {
    throw new UserError(
      "DATA_CONFLICT",
      `Job variables for a flow run in state ${flowRun.state_type ?? "none"} cannot be updated`,
    );
  }
  const source = flowRun.deployment_id ? await tx.deployments.findRunSource(flowRun.deployment_id) : undefined;
  const { work_pool_id: poolId = null, work_pool_updated: updated = null } = source ?? {};
  if (source === undefined || poolId === null || updated === null) {
    return;
  }
  const load = async () => (await tx.workPools.find(poolId))?.base_job_template;
  const layers = [source.job_variables, given];
  const problem = await findJobVariableProblem(schemas, { id: poolId, updated, load }, layers, true);
  if (problem !== undefined) {
    throw new UserError("INVALID_JOB_VARIABLES", `Error updating flow run: ${problem}`);
  }
}

/** Given labels win over those that are there; others stay. Throws UserError NOT_FOUND. */
export function addFlowRunLabels(store: Pick<Store, "transaction">, id: string, labels: Labels): Promise<void> {
  return store.transaction(async (tx) => {
    const flowRun = await tx.flowRuns.find(id);
    if (flowRun === undefined) {
      throw new UserError("NOT_FOUND", `Flow run with id ${id} not found`);
    }
    await tx.flowRuns.update(id, { labels: { ...flowRun.labels, ...labels } });
  });
}

/** Removes the run with all that belongs to it. Throws UserError NOT_FOUND. */
export async function deleteFlowRun(store: Pick<Store, "transaction">, id: string): Promise<void> {
  if (!(await store.transaction((tx) => tx.flowRuns.remove(id)))) {
    throw new UserError("NOT_FOUND", "Flow run not found");
  }
}
