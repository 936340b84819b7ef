import { z } from "zod";
import { recordLogs } from "../../orchestration/events/record-logs.ts";
import { FilterLogs } from "../../prefect-api/filters.ts";
import { CreateLog } from "../../prefect-api/logs.ts";
import type { App, AppDeps } from "../app-deps.ts";

import { checkLimit } from "../paging.ts";

export function registerLogs(api: App, deps: AppDeps): void {
  const { store, clock } = deps;
  api.post("/logs", { schema: { body: z.array(CreateLog) } }, async (request, reply) => {
    await recordLogs(deps, request.body, clock.now());
    return reply.code(201).type("application/json").send("null");
  });

  api.post("/logs/filter", { schema: { body: FilterLogs } }, (request) => {
    const { logs: filter, sort, limit, offset } = request.body;
    return store.logs.list(filter, { sort, limit: checkLimit(limit), offset });
  });
}
