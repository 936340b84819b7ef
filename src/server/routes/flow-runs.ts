import { z } from "zod";
import { createFlowRun } from "../../orchestration/flow-runs/create-flow-run.ts";
import { addFlowRunLabels, deleteFlowRun, updateFlowRun } from "../../orchestration/flow-runs/update-flow-run.ts";
import { FilterFlowRuns, WorkQueueFilter } from "../../prefect-api/filters.ts";
import { CreateFlowRun, UpdateFlowRun } from "../../prefect-api/flow-runs.ts";
import { Labels, Uuid } from "../../prefect-api/primitives.ts";
import { historyKeys } from "../../prefect-api/run-history.ts";
import type { App, RouteDeps } from "../app-deps.ts";

import { startHistory } from "../history.ts";
import { answerPage, checkLimit, pageKeys } from "../paging.ts";

const ById = z.object({ id: Uuid });
const ByFlowRun = z.object({ flow_run_id: Uuid });
const CountFlowRuns = FilterFlowRuns.omit({ sort: true, limit: true, offset: true });
const HistoryOfFlowRuns = CountFlowRuns.omit({ work_pool_queues: true }).extend({
  ...historyKeys,
  work_queues: WorkQueueFilter,
});
const PaginateFlowRuns = FilterFlowRuns.omit({ limit: true, offset: true }).extend(pageKeys);

export function registerFlowRuns(api: App, deps: RouteDeps): void {
  const { store, clock } = deps;
  registerFlowRunReads(api, deps);

  api.post("/flow_runs", { schema: { body: CreateFlowRun } }, async (request, reply) => {
    const created = await createFlowRun({ ...deps, logger: request.log }, request.body, {
      now: clock.now(),
      createdBy: null,
    });
    return reply.code(created.created ? 201 : 200).send(created.flowRun);
  });

  api.patch("/flow_runs/:id", { schema: { params: ById, body: UpdateFlowRun } }, async (request, reply) => {
    await updateFlowRun(deps, request.params.id, request.body);
    return reply.code(204).send();
  });

  api.patch(
    "/flow_runs/:id/labels",
    { schema: { params: ById, body: Labels }, config: { modelErrors: true } },
    async (request, reply) => {
      await addFlowRunLabels(store, request.params.id, request.body);
      return reply.code(204).send();
    },
  );

  api.delete("/flow_runs/:id", { schema: { params: ById } }, async (request, reply) => {
    await deleteFlowRun(store, request.params.id);
    return reply.code(204).send();
  });
}

function registerFlowRunReads(api: App, { store }: RouteDeps): void {
  api.get("/flow_runs/:id", { schema: { params: ById } }, (request) => store.flowRuns.get(request.params.id));

  api.get("/flow_run_states", { schema: { querystring: ByFlowRun } }, (request) =>
    store.flowRuns.listStates(request.query.flow_run_id),
  );

  api.post("/flow_runs/filter", { schema: { body: FilterFlowRuns } }, (request) => {
    const { sort, limit, offset, ...filters } = request.body;
    return store.flowRuns.list(filters, { sort, limit: checkLimit(limit), offset });
  });

  api.post("/flow_runs/history", { schema: { body: HistoryOfFlowRuns } }, async ({ body }) => {
    const { history_start, history_end, history_interval_seconds, work_queues, ...filters } = body;
    const history = startHistory({ history_start, history_end, history_interval_seconds });
    await store.flowRuns.addTo(history, { ...filters, work_pool_queues: work_queues });
    return history.list();
  });

  api.post("/flow_runs/lateness", { schema: { body: CountFlowRuns } }, async ({ body }, reply) =>
    reply.type("application/json").send(JSON.stringify(await store.flowRuns.averageLateness(body))),
  );

  api.post("/flow_runs/count", { schema: { body: CountFlowRuns } }, (request) => store.flowRuns.count(request.body));

  api.post("/flow_runs/paginate", { schema: { body: PaginateFlowRuns } }, (request) => {
    const { sort, limit, page, ...filters } = request.body;
    return answerPage(
      { limit, page },
      (at) => store.flowRuns.list(filters, { sort, ...at }),
      () => store.flowRuns.count(filters),
    );
  });
}
