import type { BulkCreateResult, BulkStateResult } from "../../prefect-api/bulk-changes.ts";
import type { CreateFlowRunFromDeployment } from "../../prefect-api/deployments.ts";
import type { DeploymentFilter, FlowFilter, FlowRunFilter } from "../../prefect-api/filters.ts";
import { UserError } from "../../shared/errors.ts";
import type { Store } from "../../storage/store.ts";
import { removeDeployment } from "../deployments.ts";
import { removeFlow } from "../flows.ts";
import { type StateProposal, setFlowRunState } from "../states/set-flow-run-state.ts";
import { type CreateRunDeps, createFlowRunFromDeployment } from "./create-flow-run.ts";

/** What is looked for takes its time outside of the transaction; inside it is asked again of what was found. */
interface Bulk<Filter> {
  filter: Filter;
  limit: number;
}

/** Removes flow runs with all that belongs to them. Answers their ids. */
export async function deleteFlowRuns(store: Store, { filter, limit }: Bulk<FlowRunFilter>): Promise<string[]> {
  const found = await store.flowRuns.listIds({ flow_runs: filter }, { sort: "ID_DESC", limit, offset: 0 });
  return store.transaction(async (tx) => {
    const ids = await tx.flowRuns.keepMatching(found, { flow_runs: filter });
    return keep(ids, (id) => tx.flowRuns.remove(id));
  });
}

/** Removes deployments; their runs stay, but for those that wait. Answers their ids. */
export function deleteDeployments(
  store: Store,
  { filter, limit }: Bulk<DeploymentFilter>,
  now: Date,
): Promise<string[]> {
  return store.transaction(async (tx) => {
    const page = { sort: "NAME_ASC" as const, limit, offset: 0 };
    const ids = (await tx.deployments.list({ deployments: filter }, page)).map(({ id }) => id);
    for (const id of ids) {
      await removeDeployment(tx, id, now);
    }
    return ids;
  });
}

/** Removes flows with their deployments and runs. Answers their ids. */
export function deleteFlows(store: Store, { filter, limit }: Bulk<FlowFilter>, now: Date): Promise<string[]> {
  return store.transaction(async (tx) => {
    const flows = await tx.flows.list({ flows: filter }, { sort: "NAME_ASC", limit, offset: 0 });
    for (const { id } of flows) {
      await removeFlow(tx, id, now);
    }
    return flows.map(({ id }) => id);
  });
}

async function keep(ids: readonly string[], change: (id: string) => Promise<boolean>): Promise<string[]> {
  const changed: string[] = [];
  for (const id of ids) {
    if (await change(id)) {
      changed.push(id);
    }
  }
  return changed;
}

/** Proposes a state to each run, one after the other: the rules decide about each. */
export async function setFlowRunStates(
  deps: Parameters<typeof setFlowRunState>[0] & { store: Store },
  { filter, limit }: Bulk<FlowRunFilter>,
  proposal: Omit<StateProposal, "flowRunId">,
  now: Date,
): Promise<BulkStateResult[]> {
  const ids = await deps.store.flowRuns.listIds({ flow_runs: filter }, { sort: "ID_DESC", limit, offset: 0 });
  const results: BulkStateResult[] = [];
  for (const id of ids) {
    results.push(await proposeOne(deps, { ...proposal, flowRunId: id }, now));
  }
  return results;
}

async function proposeOne(
  deps: Parameters<typeof setFlowRunState>[0],
  proposal: StateProposal,
  now: Date,
): Promise<BulkStateResult> {
  const { flowRunId } = proposal;
  try {
    const { result } = await setFlowRunState(deps, proposal, now);
    return { flow_run_id: flowRunId, ...result };
  } catch (error) {
    // It was removed since it was found.
    const details = { type: "abort_details" as const, reason: reasonOf(error) };
    return { flow_run_id: flowRunId, status: "ABORT", state: null, details };
  }
}

/** What a user can mend is told with its item; anything else ends the request. */
function reasonOf(error: unknown): string {
  if (error instanceof UserError) {
    return error.message;
  }
  throw error;
}

/** Makes each run, or says why not. Throws UserError NOT_FOUND for an unknown deployment. */
export async function createFlowRuns(
  deps: CreateRunDeps & { store: Store },
  deploymentId: string,
  bodies: readonly CreateFlowRunFromDeployment[],
  request: Parameters<typeof createFlowRunFromDeployment>[3],
): Promise<BulkCreateResult[]> {
  if ((await deps.store.deployments.findRunSource(deploymentId)) === undefined) {
    throw new UserError("NOT_FOUND", "Deployment not found");
  }
  const results: BulkCreateResult[] = [];
  for (const body of bodies) {
    try {
      const { flowRun } = await createFlowRunFromDeployment(deps, deploymentId, body, request);
      results.push({ flow_run_id: flowRun.id, status: "CREATED", error: null });
    } catch (error) {
      results.push({ flow_run_id: null, status: "FAILED", error: reasonOf(error) });
    }
  }
  return results;
}
