import { z } from "zod";
import { DrainWorker, type PoolWorkers } from "../../../flowyard-api/workers.ts";
import { drainWorker, getPoolWorker, listPoolWorkers } from "../../../orchestration/workers.ts";
import type { App, RouteDeps } from "../../app-deps.ts";

const ByPool = z.object({ name: z.string() });
const ByWorker = z.object({ name: z.string(), worker: z.string() });

export function registerPoolWorkers(api: App, { store }: RouteDeps): void {
  api.get(
    "/flowyard/work_pools/:name/workers",
    { schema: { params: ByPool } },
    async ({ params }): Promise<PoolWorkers> => ({ workers: await listPoolWorkers(store, params.name) }),
  );

  api.get("/flowyard/work_pools/:name/workers/:worker", { schema: { params: ByWorker } }, ({ params }) =>
    getPoolWorker(store, params.name, params.worker),
  );

  api.post(
    "/flowyard/work_pools/:name/workers/:worker/drain",
    { schema: { params: ByWorker, body: DrainWorker } },
    ({ params, body }) => drainWorker(store, params.name, params.worker, body.draining),
  );
}
