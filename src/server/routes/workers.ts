import { z } from "zod";
import { getWorkPool } from "../../orchestration/work-pools.ts";
import { deleteWorker, recordHeartbeat } from "../../orchestration/workers.ts";
import { FilterWorkers } from "../../prefect-api/filters.ts";
import { WorkerHeartbeat } from "../../prefect-api/workers.ts";
import type { App, AppDeps } from "../app-deps.ts";

import { checkLimit } from "../paging.ts";

const ByPool = z.object({ name: z.string() });
const ByWorker = z.object({ name: z.string(), worker: z.string() });

/** Workers of a pool. Their channel (`…/workers/connect`) is not offered: workers fall back to these. */
export function registerWorkers(api: App, { store }: AppDeps): void {
  api.post(
    "/work_pools/:name/workers/heartbeat",
    { schema: { params: ByPool, body: WorkerHeartbeat } },
    async (request, reply) => {
      await recordHeartbeat(store, request.params.name, request.body);
      return reply.code(204).send();
    },
  );

  api.post("/work_pools/:name/workers/filter", { schema: { params: ByPool, body: FilterWorkers } }, async (request) => {
    const { workers: filter, limit, offset } = request.body;
    const pool = await getWorkPool(store, request.params.name);
    return store.workers.list(pool.id, filter, { limit: checkLimit(limit), offset });
  });

  api.delete("/work_pools/:name/workers/:worker", { schema: { params: ByWorker } }, async (request, reply) => {
    await deleteWorker(store, request.params.name, request.params.worker);
    return reply.code(204).send();
  });
}
