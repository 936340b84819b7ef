import { z } from "zod";
import { createFlow, deleteFlow, updateFlow } from "../../orchestration/flows.ts";
import { FilterFlows } from "../../prefect-api/filters.ts";
import { CreateFlow, UpdateFlow } from "../../prefect-api/flows.ts";
import { Uuid } from "../../prefect-api/primitives.ts";
import { UserError } from "../../shared/errors.ts";
import type { App, AppDeps } from "../app-deps.ts";

import { answerPage, checkLimit, pageKeys } from "../paging.ts";

const ById = z.object({ id: Uuid });
const ByName = z.object({ name: z.string() });
const CountFlows = FilterFlows.omit({ sort: true, limit: true, offset: true });
const PaginateFlows = FilterFlows.omit({ limit: true, offset: true }).extend(pageKeys);

export function registerFlows(api: App, { store, clock }: AppDeps): void {
  api.post("/flows", { schema: { body: CreateFlow } }, async (request, reply) => {
    const { flow, created } = await createFlow(store, request.body, clock.now());
    return reply.code(created ? 201 : 200).send(flow);
  });

  api.get("/flows/:id", { schema: { params: ById } }, async (request) => {
    const flow = await store.flows.find(request.params.id);
    if (flow === undefined) {
      throw new UserError("NOT_FOUND", "Flow not found");
    }
    return flow;
  });

  api.get("/flows/name/:name", { schema: { params: ByName } }, async (request) => {
    const flow = await store.flows.findByName(request.params.name);
    if (flow === undefined) {
      throw new UserError("NOT_FOUND", "Flow not found");
    }
    return flow;
  });

  api.patch("/flows/:id", { schema: { params: ById, body: UpdateFlow } }, async (request, reply) => {
    await updateFlow(store, request.params.id, request.body, clock.now());
    return reply.code(204).send();
  });

  api.delete("/flows/:id", { schema: { params: ById } }, async (request, reply) => {
    await deleteFlow(store, request.params.id, clock.now());
    return reply.code(204).send();
  });

  api.post("/flows/filter", { schema: { body: FilterFlows } }, (request) => {
    const { sort, limit, offset, ...filters } = request.body;
    return store.flows.list(filters, { sort, limit: checkLimit(limit), offset });
  });

  api.post("/flows/count", { schema: { body: CountFlows } }, (request) => store.flows.count(request.body));

  api.post("/flows/paginate", { schema: { body: PaginateFlows } }, (request) => {
    const { sort, limit, page, ...filters } = request.body;
    return answerPage(
      { limit, page },
      (at) => store.flows.list(filters, { sort, ...at }),
      () => store.flows.count(filters),
    );
  });
}
