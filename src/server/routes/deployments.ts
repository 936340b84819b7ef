import { z } from "zod";
import {
  deleteDeployment,
  findParameterProblem,
  getDeployment,
  saveDeployment,
  setDeploymentPaused,
  updateDeployment,
} from "../../orchestration/deployments.ts";
import { createFlowRunFromDeployment } from "../../orchestration/flow-runs/create-flow-run.ts";
import { scheduleDeployment } from "../../orchestration/schedules/schedule-deployment.ts";
import {
  CreateDeployment,
  CreateFlowRunFromDeployment,
  ScheduleDeployment,
  UpdateDeployment,
} from "../../prefect-api/deployments.ts";
import { FilterDeployments } from "../../prefect-api/filters.ts";
import { Uuid } from "../../prefect-api/primitives.ts";
import { UserError } from "../../shared/errors.ts";
import type { App, RouteDeps } from "../app-deps.ts";

import { answerPage, checkLimit, pageKeys } from "../paging.ts";

const ById = z.object({ id: Uuid });
const ByName = z.object({ flow_name: z.string(), deployment_name: z.string() });
const CountDeployments = FilterDeployments.omit({ sort: true, limit: true, offset: true });
const PaginateDeployments = FilterDeployments.omit({ limit: true, offset: true }).extend(pageKeys);

/** What Prefect's own models refuse about a body as a whole. */
function checkBody(body: UpdateDeployment, context: z.RefinementCtx): void {
  if (typeof body.concurrency_limit === "number" && body.global_concurrency_limit_id) {
    context.addIssue({
      code: "custom",
      message: "Value error, A deployment cannot have both a concurrency limit and a global concurrency limit.",
    });
  }
}

const NewDeployment = CreateDeployment.superRefine((body, context) => {
  checkBody(body, context);
  const { parameters, parameter_openapi_schema: schema } = body;
  // As Prefect: only when it is asked for in so many words, which its client does.
  if (body.enforce_parameter_schema === true && schema && parameters) {
    const problem = findParameterProblem(schema, parameters);
    if (problem !== undefined) {
      context.addIssue({ code: "custom", path: ["parameters"], message: `Value error, ${problem}` });
    }
  }
});
const ChangedDeployment = UpdateDeployment.superRefine(checkBody);

export function registerDeployments(api: App, deps: RouteDeps): void {
  const { store, clock } = deps;
  registerDeploymentReads(api, deps);

  api.post("/deployments", { schema: { body: NewDeployment } }, async (request, reply) => {
    const saved = await saveDeployment(deps, request.body, { now: clock.now(), createdBy: null });
    return reply.code(saved.created ? 201 : 200).send(saved.deployment);
  });

  api.patch("/deployments/:id", { schema: { params: ById, body: ChangedDeployment } }, async (request, reply) => {
    await updateDeployment(deps, request.params.id, request.body, { now: clock.now(), createdBy: null });
    return reply.code(204).send();
  });

  api.delete("/deployments/:id", { schema: { params: ById } }, async (request, reply) => {
    await deleteDeployment(store, request.params.id, clock.now());
    return reply.code(204).send();
  });

  for (const [verb, paused] of [
    ["pause", true],
    ["resume", false],
  ] as const) {
    api.post(`/deployments/:id/${verb}_deployment`, { schema: { params: ById } }, async (request, reply) => {
      await setDeploymentPaused(store, request.params.id, paused, clock.now());
      return reply.type("application/json").send("null");
    });
  }

  api.post(
    "/deployments/:id/schedule",
    { schema: { params: ById, body: ScheduleDeployment } },
    async (request, reply) => {
      await scheduleDeployment(store, request.params.id, request.body, clock.now());
      return reply.type("application/json").send("null");
    },
  );

  api.post(
    "/deployments/:id/create_flow_run",
    { schema: { params: ById, body: CreateFlowRunFromDeployment } },
    async (request, reply) => {
      const created = await createFlowRunFromDeployment(
        { ...deps, logger: request.log },
        request.params.id,
        request.body,
        {
          now: clock.now(),
          createdBy: null,
        },
      );
      return reply.code(created.created ? 201 : 200).send(created.flowRun);
    },
  );
}

function registerDeploymentReads(api: App, { store }: RouteDeps): void {
  api.get("/deployments/:id", { schema: { params: ById } }, (request) => getDeployment(store, request.params.id));

  api.get("/deployments/name/:flow_name/:deployment_name", { schema: { params: ByName } }, async (request) => {
    const { flow_name: flowName, deployment_name: name } = request.params;
    const deployment = await store.deployments.findByName(flowName, name);
    if (deployment === undefined) {
      throw new UserError("NOT_FOUND", "Deployment not found");
    }
    return deployment;
  });

  api.post("/deployments/filter", { schema: { body: FilterDeployments } }, (request) => {
    const { sort, limit, offset, ...filters } = request.body;
    return store.deployments.list(filters, { sort, limit: checkLimit(limit), offset });
  });

  api.post("/deployments/count", { schema: { body: CountDeployments } }, (request) =>
    store.deployments.count(request.body),
  );

  api.post("/deployments/paginate", { schema: { body: PaginateDeployments } }, (request) => {
    const { sort, limit, page, ...filters } = request.body;
    return answerPage(
      { limit, page },
      (at) => store.deployments.list(filters, { sort, ...at }),
      () => store.deployments.count(filters),
    );
  });
}
