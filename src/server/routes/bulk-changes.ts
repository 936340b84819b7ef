import { z } from "zod";
import {
  createFlowRuns,
  deleteDeployments,
  deleteFlowRuns,
  deleteFlows,
  setFlowRunStates,
} from "../../orchestration/flow-runs/bulk-changes.ts";
import {
  BulkCreateFlowRuns,
  BulkDeleteDeployments,
  type BulkDeleted,
  BulkDeleteFlowRuns,
  BulkDeleteFlows,
  BulkSetState,
  MAX_CREATED,
} from "../../prefect-api/bulk-changes.ts";
import { Uuid } from "../../prefect-api/primitives.ts";
import { UserError } from "../../shared/errors.ts";
import { readApiVersion } from "../api-version.ts";
import type { App, RouteDeps } from "../app-deps.ts";

const ById = z.object({ id: Uuid });

/** Changes of all objects that a filter matches, up to a limit. */
export function registerBulkChanges(api: App, deps: RouteDeps): void {
  const { store, bus, clock } = deps;

  api.post("/flows/bulk_delete", { schema: { body: BulkDeleteFlows } }, async ({ body }): Promise<BulkDeleted> => {
    return { deleted: await deleteFlows(store, { filter: body.flows, limit: body.limit }, clock.now()) };
  });

  api.post("/deployments/bulk_delete", { schema: { body: BulkDeleteDeployments } }, async ({ body }) => {
    return { deleted: await deleteDeployments(store, { filter: body.deployments, limit: body.limit }, clock.now()) };
  });

  api.post("/flow_runs/bulk_delete", { schema: { body: BulkDeleteFlowRuns } }, async ({ body }) => {
    return { deleted: await deleteFlowRuns(store, { filter: body.flow_runs, limit: body.limit }) };
  });

  api.post("/flow_runs/bulk_set_state", { schema: { body: BulkSetState } }, async (request) => {
    const { flow_runs: filter, limit, state, force } = request.body;
    const mode = force ? ("forced" as const) : ("normal" as const);
    const proposal = { state, mode, clientApiVersion: readApiVersion(request) };
    const from = { store, bus, logger: request.log };
    return { results: await setFlowRunStates(from, { filter, limit }, proposal, clock.now()) };
  });

  api.post(
    "/deployments/:id/create_flow_run/bulk",
    { schema: { params: ById, body: BulkCreateFlowRuns } },
    async (request) => {
      const { body, params, log } = request;
      if (body.length > MAX_CREATED) {
        throw new UserError("TOO_MANY_FLOW_RUNS", `Cannot create more than ${MAX_CREATED} flow runs at once.`);
      }
      const by = { now: clock.now(), createdBy: null };
      return { results: await createFlowRuns({ ...deps, logger: log }, params.id, body, by) };
    },
  );
}
