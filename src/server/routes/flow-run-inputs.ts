import { z } from "zod";
import { createFlowRunInput, deleteFlowRunInput } from "../../orchestration/flow-runs/flow-run-inputs.ts";
import { CreateFlowRunInput, FilterFlowRunInputs } from "../../prefect-api/flow-run-inputs.ts";
import { Uuid } from "../../prefect-api/primitives.ts";
import { UserError } from "../../shared/errors.ts";
import type { App, AppDeps } from "../app-deps.ts";

import { checkLimit } from "../paging.ts";

const ById = z.object({ id: Uuid });
const ByKey = z.object({ id: Uuid, key: z.string() });

/** What a flow run is told, or asks to be told, while it runs. */
export function registerFlowRunInputs(api: App, { store, clock }: AppDeps): void {
  api.post("/flow_runs/:id/input", { schema: { params: ById, body: CreateFlowRunInput } }, async (request, reply) => {
    await createFlowRunInput(store, request.params.id, request.body, clock.now());
    return reply.code(201).type("application/json").send("null");
  });

  api.post("/flow_runs/:id/input/filter", { schema: { params: ById, body: FilterFlowRunInputs } }, (request) => {
    const { prefix, exclude_keys: excludeKeys, limit } = request.body;
    return store.flowRunInputs.list(request.params.id, { prefix, excludeKeys, limit: checkLimit(limit) });
  });

  api.get("/flow_runs/:id/input/:key", { schema: { params: ByKey } }, async (request, reply) => {
    const input = await store.flowRunInputs.find(request.params.id, request.params.key);
    if (input === undefined) {
      throw new UserError("NOT_FOUND", "Flow run input not found");
    }
    return reply.type("text/plain; charset=utf-8").send(input.value);
  });

  api.delete("/flow_runs/:id/input/:key", { schema: { params: ByKey } }, async (request, reply) => {
    await deleteFlowRunInput(store, request.params.id, request.params.key);
    return reply.code(204).send();
  });
}
