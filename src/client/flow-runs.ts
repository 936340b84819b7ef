import type { z } from "zod";
import { FENCING_TOKEN_HEADER } from "../flowyard-api/claims.ts";
import type { FilterFlowRuns, FilterTaskRuns } from "../prefect-api/filters.ts";
import { type CreateFlowRun, ReceivedFlowRun, type UpdateFlowRun } from "../prefect-api/flow-runs.ts";
import type { Labels } from "../prefect-api/primitives.ts";
import { ReceivedSetStateResult, type StateCreate } from "../prefect-api/states.ts";
import { ReceivedTaskRun } from "../prefect-api/task-runs.ts";
import { buildPath, type Connection, command, find, request, requestCreation } from "./http.ts";
import { type ListOptions, list } from "./list.ts";

export interface StateProposal {
  state: z.input<typeof StateCreate>;
  /** Skips the rules that protect a run from a stale proposal. */
  force?: boolean;
  /** Of the claim in whose name this is said; undefined without one. */
  fencingToken?: number | undefined;
}

export function createFlowRunRoutes(connection: Connection) {
  return {
    find: (id: string): Promise<ReceivedFlowRun | undefined> =>
      find(connection, ReceivedFlowRun, { method: "GET", path: buildPath`/flow_runs/${id}` }),
    get: (id: string): Promise<ReceivedFlowRun> =>
      request(connection, ReceivedFlowRun, { method: "GET", path: buildPath`/flow_runs/${id}` }),
    list: (body: z.input<typeof FilterFlowRuns> = {}, options?: ListOptions): Promise<ReceivedFlowRun[]> =>
      list(connection, ReceivedFlowRun, { path: "/flow_runs/filter", body }, options),
    listTaskRuns: (body: z.input<typeof FilterTaskRuns> = {}, options?: ListOptions): Promise<ReceivedTaskRun[]> =>
      list(connection, ReceivedTaskRun, { path: "/task_runs/filter", body }, options),
    create: (body: z.input<typeof CreateFlowRun>): Promise<{ value: ReceivedFlowRun; created: boolean }> =>
      requestCreation(connection, ReceivedFlowRun, { method: "POST", path: "/flow_runs/", body }),
    update: (id: string, body: z.input<typeof UpdateFlowRun>): Promise<void> =>
      command(connection, { method: "PATCH", path: buildPath`/flow_runs/${id}`, body }),
    /** Merges the labels into those that the run has. */
    updateLabels: (id: string, labels: Labels): Promise<void> =>
      command(connection, { method: "PATCH", path: buildPath`/flow_runs/${id}/labels`, body: labels }),
    /** Proposes a state. A refusal is an answer, not an error: look at `status`. */
    setState: (id: string, proposal: StateProposal, signal?: AbortSignal): Promise<ReceivedSetStateResult> => {
      const path = buildPath`/flow_runs/${id}/set_state`;
      const body = { state: proposal.state, force: proposal.force ?? false };
      const { fencingToken } = proposal;
      const headers = fencingToken === undefined ? {} : { [FENCING_TOKEN_HEADER]: String(fencingToken) };
      return request(connection, ReceivedSetStateResult, { method: "POST", path, body, headers, signal });
    },
    delete: (id: string): Promise<void> => command(connection, { method: "DELETE", path: buildPath`/flow_runs/${id}` }),
  };
}
