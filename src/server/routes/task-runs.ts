import { z } from "zod";
import { createTaskRun } from "../../orchestration/flow-runs/create-task-run.ts";
import { setTaskRunState } from "../../orchestration/states/set-task-run-state.ts";
import { FilterTaskRuns } from "../../prefect-api/filters.ts";
import { Uuid } from "../../prefect-api/primitives.ts";
import { historyKeys } from "../../prefect-api/run-history.ts";
import { SetState } from "../../prefect-api/states.ts";
import { CreateTaskRun } from "../../prefect-api/task-runs.ts";
import { timestampFromDate } from "../../prefect-api/timestamp.ts";
import { UserError } from "../../shared/errors.ts";
import type { App, AppDeps } from "../app-deps.ts";

import { startHistory } from "../history.ts";
import { answerPage, checkLimit, pageKeys } from "../paging.ts";

const ById = z.object({ id: Uuid });
const ByTaskRun = z.object({ task_run_id: Uuid });
const UpdateTaskRun = z.strictObject({ name: z.string().nullish() });
const CountTaskRuns = FilterTaskRuns.omit({ sort: true, limit: true, offset: true });
const PaginateTaskRuns = FilterTaskRuns.omit({ limit: true, offset: true }).extend(pageKeys);
const HistoryOfTaskRuns = CountTaskRuns.extend(historyKeys);

export function registerTaskRuns(api: App, deps: AppDeps): void {
  const { store, clock } = deps;
  registerTaskRunStates(api, deps);

  api.post("/task_runs", { schema: { body: CreateTaskRun } }, async ({ body }, reply) => {
    const { taskRun, created } = await createTaskRun(store, body, clock.now());
    return reply.code(created ? 201 : 200).send(taskRun);
  });

  api.get("/task_runs/:id", { schema: { params: ById } }, ({ params }) => store.taskRuns.get(params.id));

  api.patch("/task_runs/:id", { schema: { params: ById, body: UpdateTaskRun } }, async ({ params, body }, reply) => {
    const updated = timestampFromDate(clock.now());
    const { name } = body;
    const known = await store.transaction(async (tx) =>
      name ? tx.taskRuns.rename(params.id, name, updated) : (await tx.taskRuns.find(params.id)) !== undefined,
    );
    if (!known) {
      throw new UserError("NOT_FOUND", "Task run not found");
    }
    return reply.code(204).send();
  });

  api.delete("/task_runs/:id", { schema: { params: ById } }, async ({ params }, reply) => {
    if (!(await store.transaction((tx) => tx.taskRuns.remove(params.id)))) {
      throw new UserError("NOT_FOUND", "Task not found");
    }
    return reply.code(204).send();
  });

  api.post("/task_runs/filter", { schema: { body: FilterTaskRuns } }, ({ body }) => {
    const { sort, limit, offset, ...filters } = body;
    return store.taskRuns.list(filters, { sort, limit: checkLimit(limit), offset });
  });

  api.post("/task_runs/paginate", { schema: { body: PaginateTaskRuns } }, ({ body }) => {
    const { sort, limit, page, ...filters } = body;
    return answerPage(
      { limit, page },
      (at) => store.taskRuns.list(filters, { sort, ...at }),
      () => store.taskRuns.count(filters),
    );
  });

  api.post("/task_runs/history", { schema: { body: HistoryOfTaskRuns } }, async ({ body }) => {
    const { history_start, history_end, history_interval_seconds, ...filters } = body;
    const history = startHistory({ history_start, history_end, history_interval_seconds });
    await store.taskRuns.addTo(history, filters);
    return history.list();
  });

  api.post("/task_runs/count", { schema: { body: CountTaskRuns } }, ({ body }) => store.taskRuns.count(body));

  api.post(
    "/task_runs/:id/set_state",
    { schema: { params: ById, body: SetState }, config: { modelErrors: true } },
    async ({ params, body }, reply) => {
      const proposal = { taskRunId: params.id, state: body.state, force: body.force };
      const { result, written } = await setTaskRunState(store, proposal, clock.now());
      return reply.code(written ? 201 : 200).send(result);
    },
  );
}

function registerTaskRunStates(api: App, { store }: AppDeps): void {
  api.get("/task_run_states", { schema: { querystring: ByTaskRun } }, ({ query }) =>
    store.taskRuns.listStates(query.task_run_id),
  );

  api.get("/task_run_states/:id", { schema: { params: ById } }, async ({ params }) => {
    const state = await store.taskRuns.findState(params.id);
    if (state === undefined) {
      throw new UserError("NOT_FOUND", "Flow run state not found");
    }
    return state;
  });
}
