import { z } from "zod";
import { AGGREGATE_WORKER_METADATA } from "../../prefect-api/worker-metadata.ts";
import { UserError } from "../../shared/errors.ts";
import type { App } from "../app-deps.ts";

const ByView = z.object({ view: z.string() });
const WORKER_VIEW = "aggregate-worker-metadata";

/** What worker types there are, with their default base job templates: `prefect work-pool create` asks for it. */
export function registerCollections(api: App): void {
  const body = JSON.stringify(AGGREGATE_WORKER_METADATA);
  api.get("/collections/views/:view", { schema: { params: ByView } }, (request, reply) => {
    if (request.params.view !== WORKER_VIEW) {
      throw new UserError("NOT_FOUND", `View ${request.params.view} not found in registry`);
    }
    return reply.type("application/json").send(body);
  });
}
