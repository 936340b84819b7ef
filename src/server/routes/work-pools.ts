import { z } from "zod";
import { getScheduledFlowRuns } from "../../orchestration/flow-runs/get-scheduled-flow-runs.ts";
import { findTemplateProblem } from "../../orchestration/flow-runs/job-variables.ts";
import { createWorkPool, deleteWorkPool, getWorkPool, updateWorkPool } from "../../orchestration/work-pools.ts";
import { FilterWorkPools } from "../../prefect-api/filters.ts";
import type { JsonObject } from "../../prefect-api/primitives.ts";
import { CreateWorkPool, GetScheduledFlowRuns, UpdateWorkPool } from "../../prefect-api/work-pools.ts";
import type { App, AppDeps } from "../app-deps.ts";

import { checkLimit } from "../paging.ts";

const ByName = z.object({ name: z.string() });
const CountWorkPools = FilterWorkPools.omit({ limit: true, offset: true });

function checkTemplate(template: JsonObject | null | undefined, context: z.RefinementCtx): void {
  const problem = template ? findTemplateProblem(template) : undefined;
  if (problem !== undefined) {
    context.addIssue({ code: "custom", path: ["base_job_template"], message: `Value error, ${problem}` });
  }
}

const NewWorkPool = CreateWorkPool.superRefine((body, context) => checkTemplate(body.base_job_template, context));
const ChangedWorkPool = UpdateWorkPool.superRefine((body, context) => checkTemplate(body.base_job_template, context));

export function registerWorkPools(api: App, { store, clock }: AppDeps): void {
  api.post("/work_pools", { schema: { body: NewWorkPool } }, async (request, reply) => {
    const pool = await createWorkPool(store, request.body, clock.now());
    return reply.code(201).send(pool);
  });

  api.get("/work_pools/:name", { schema: { params: ByName } }, (request) => getWorkPool(store, request.params.name));

  api.patch("/work_pools/:name", { schema: { params: ByName, body: ChangedWorkPool } }, async (request, reply) => {
    await updateWorkPool(store, request.params.name, request.body, clock.now());
    return reply.code(204).send();
  });

  api.delete("/work_pools/:name", { schema: { params: ByName } }, async (request, reply) => {
    await deleteWorkPool(store, request.params.name, clock.now());
    return reply.code(204).send();
  });

  api.post("/work_pools/filter", { schema: { body: FilterWorkPools } }, (request) => {
    const { work_pools: filter, limit, offset } = request.body;
    return store.workPools.list(filter, { limit: checkLimit(limit), offset });
  });

  api.post("/work_pools/count", { schema: { body: CountWorkPools } }, (request) =>
    store.workPools.count(request.body.work_pools),
  );

  api.post(
    "/work_pools/:name/get_scheduled_flow_runs",
    { schema: { params: ByName, body: GetScheduledFlowRuns } },
    (request) => {
      checkLimit(request.body.limit);
      return getScheduledFlowRuns(store, request.params.name, request.body, clock.now());
    },
  );
}
