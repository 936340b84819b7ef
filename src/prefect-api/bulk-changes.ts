import { z } from "zod";
import { CreateFlowRunFromDeployment } from "./deployments.ts";
import { DeploymentFilter, FlowFilter, FlowRunFilter } from "./filters.ts";
import { type SetStateResult, StateCreate } from "./states.ts";

/** Objects that one request may change; Prefect's limit and default. */
const MAX_CHANGED = 50;
/** Runs that one request may make; Prefect's limit, and its words are those of the route. */
export const MAX_CREATED = 100;

const limit = z.number().int().min(1).max(MAX_CHANGED).default(MAX_CHANGED);

export const BulkDeleteFlows = z.object({ flows: FlowFilter, limit });
export const BulkDeleteDeployments = z.object({ deployments: DeploymentFilter, limit });
export const BulkDeleteFlowRuns = z.object({ flow_runs: FlowRunFilter, limit });
export const BulkSetState = z.object({
  flow_runs: FlowRunFilter,
  state: StateCreate,
  force: z.boolean().default(false),
  limit,
});
export const BulkCreateFlowRuns = z.array(CreateFlowRunFromDeployment);

export interface BulkDeleted {
  deleted: string[];
}

export type BulkStateResult = { flow_run_id: string } & SetStateResult;

export interface BulkCreateResult {
  flow_run_id: string | null;
  status: "CREATED" | "FAILED";
  error: string | null;
}
