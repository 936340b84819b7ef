import { z } from "zod";
import { createVariable, deleteVariable, getVariable, updateVariable } from "../../orchestration/variables.ts";
import { FilterVariables, VariableFilter } from "../../prefect-api/filters.ts";
import { Uuid } from "../../prefect-api/primitives.ts";
import { CreateVariable, UpdateVariable } from "../../prefect-api/variables.ts";
import type { App, AppDeps } from "../app-deps.ts";

import { checkLimit } from "../paging.ts";

const ById = z.object({ id: Uuid });
const ByName = z.object({ name: z.string() });
const CountVariables = z.object({ variables: VariableFilter });

export function registerVariables(api: App, { store, clock }: AppDeps): void {
  api.post("/variables", { schema: { body: CreateVariable } }, async ({ body }, reply) =>
    reply.code(201).send(await createVariable(store, body, clock.now())),
  );

  api.post("/variables/filter", { schema: { body: FilterVariables } }, ({ body }) =>
    store.variables.list(body.variables, { sort: body.sort, limit: checkLimit(body.limit), offset: body.offset }),
  );

  api.post("/variables/count", { schema: { body: CountVariables } }, ({ body }) =>
    store.variables.count(body.variables),
  );

  api.get("/variables/:id", { schema: { params: ById } }, ({ params }) => getVariable(store, params));
  api.get("/variables/name/:name", { schema: { params: ByName } }, ({ params }) => getVariable(store, params));
  api.patch("/variables/:id", { schema: { params: ById, body: UpdateVariable } }, async ({ params, body }, reply) => {
    await updateVariable(store, params, body, clock.now());
    return reply.code(204).send();
  });
  api.patch(
    "/variables/name/:name",
    { schema: { params: ByName, body: UpdateVariable } },
    async ({ params, body }, reply) => {
      await updateVariable(store, params, body, clock.now());
      return reply.code(204).send();
    },
  );
  api.delete("/variables/:id", { schema: { params: ById } }, async ({ params }, reply) => {
    await deleteVariable(store, params, clock.now());
    return reply.code(204).send();
  });
  api.delete("/variables/name/:name", { schema: { params: ByName } }, async ({ params }, reply) => {
    await deleteVariable(store, params, clock.now());
    return reply.code(204).send();
  });
}
