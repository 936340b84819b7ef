import { z } from "zod";
import { getWorkPool } from "../../orchestration/work-pools.ts";
import { createWorkQueue, deleteWorkQueue, updateWorkQueue } from "../../orchestration/work-queues.ts";
import { FilterWorkQueues } from "../../prefect-api/filters.ts";
import { CreateWorkQueue, UpdateWorkQueue, type WorkQueue } from "../../prefect-api/work-queues.ts";
import { UserError } from "../../shared/errors.ts";
import type { Store } from "../../storage/store.ts";
import type { App, AppDeps } from "../app-deps.ts";

import { checkLimit } from "../paging.ts";

const ByPool = z.object({ name: z.string() });
const ByQueue = z.object({ name: z.string(), queue: z.string() });

async function getQueue(store: Store, params: z.infer<typeof ByQueue>): Promise<WorkQueue> {
  const queue = await store.workQueues.findByName(params.name, params.queue);
  if (queue === undefined) {
    throw new UserError("NOT_FOUND", `Work pool queue '${params.name}/${params.queue}' not found.`);
  }
  return queue;
}

/** Queues by the name of their pool and their own. */
export function registerPoolQueues(api: App, { store, clock }: AppDeps): void {
  api.post(
    "/work_pools/:name/queues",
    { schema: { params: ByPool, body: CreateWorkQueue } },
    async (request, reply) => {
      const queue = await createWorkQueue(store, request.params.name, request.body, clock.now());
      return reply.code(201).send(queue);
    },
  );

  api.post(
    "/work_pools/:name/queues/filter",
    { schema: { params: ByPool, body: FilterWorkQueues } },
    async (request) => {
      const { work_queues: filter, limit, offset } = request.body;
      const pool = await getWorkPool(store, request.params.name);
      return store.workQueues.list({ poolId: pool.id, filter }, { limit: checkLimit(limit), offset });
    },
  );

  api.get("/work_pools/:name/queues/:queue", { schema: { params: ByQueue } }, (request) =>
    getQueue(store, request.params),
  );

  api.patch(
    "/work_pools/:name/queues/:queue",
    { schema: { params: ByQueue, body: UpdateWorkQueue } },
    async (request, reply) => {
      const queue = await getQueue(store, request.params);
      await updateWorkQueue(store, queue.id, request.body, clock.now());
      return reply.code(204).send();
    },
  );

  api.delete("/work_pools/:name/queues/:queue", { schema: { params: ByQueue } }, async (request, reply) => {
    const queue = await getQueue(store, request.params);
    await deleteWorkQueue(store, queue.id, clock.now());
    return reply.code(204).send();
  });
}
