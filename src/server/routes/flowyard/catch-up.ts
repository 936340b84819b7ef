import { z } from "zod";
import { CatchUp } from "../../../flowyard-api/catch-up.ts";
import { getCatchUp, setCatchUp } from "../../../orchestration/schedules/catch-up.ts";
import { Uuid } from "../../../prefect-api/primitives.ts";
import type { App, AppDeps } from "../../app-deps.ts";

const ById = z.object({ id: Uuid });

/** Without one (null), or deleted: what Prefect does. */
export function registerCatchUp(api: App, { store }: AppDeps): void {
  const path = "/flowyard/deployments/:id/catch_up";

  api.get(path, { schema: { params: ById } }, async ({ params }, reply) =>
    reply.type("application/json").send(JSON.stringify(await getCatchUp(store, params.id))),
  );

  api.put(path, { schema: { params: ById, body: CatchUp } }, async ({ params, body }, reply) => {
    await setCatchUp(store, params.id, body);
    return reply.code(204).send();
  });

  api.delete(path, { schema: { params: ById } }, async ({ params }, reply) => {
    await setCatchUp(store, params.id, null);
    return reply.code(204).send();
  });
}
