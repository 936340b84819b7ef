import { z } from "zod";
import { MAX_PAGE_SIZE, Uuid } from "../../prefect-api/primitives.ts";
import { secondsBetween, timestampFromDate } from "../../prefect-api/timestamp.ts";
import { UserError } from "../../shared/errors.ts";
import type { SlotHolder } from "../../storage/flow-runs.ts";
import type { App, AppDeps } from "../app-deps.ts";

import { checkLimit, pageKeys } from "../paging.ts";

const ByPool = z.object({ name: z.string() });
const ById = z.object({ id: Uuid });
const PoolStatus = z.strictObject({
  ...pageKeys,
  flow_run_limit: z.number().int().min(0).max(MAX_PAGE_SIZE).default(10),
});
const QueueStatus = z.strictObject(pageKeys);
/** Queues of a pool; more than a pool can sensibly have. */
const MAX_QUEUES = 1000;

/** Who holds the slots of a pool or queue: `prefect work-pool slots`. */
export function registerConcurrencyStatus(api: App, { store, clock }: AppDeps): void {
  api.post(
    "/work_pools/:name/concurrency_status",
    { schema: { params: ByPool, body: PoolStatus } },
    async (request) => {
      const { page, flow_run_limit: runLimit } = request.body;
      const limit = checkLimit(request.body.limit);
      const pool = await store.workPools.findByName(request.params.name);
      if (pool === undefined) {
        throw new UserError("NOT_FOUND", `Work pool '${request.params.name}' not found.`);
      }
      const queues = await store.workQueues.list({ poolId: pool.id }, { limit: MAX_QUEUES, offset: 0 });
      const holders = await store.flowRuns.listSlotHolders(
        queues.map((queue) => queue.id),
        { limit: runLimit, offset: 0 },
      );
      const now = timestampFromDate(clock.now());
      return {
        active_slots: [...holders.counts.values()].reduce((sum, count) => sum + count, 0),
        concurrency_limit: pool.concurrency_limit,
        queues: queues.slice((page - 1) * limit, page * limit).map((queue) => ({
          queue_id: queue.id,
          queue_name: queue.name,
          active_slots: holders.counts.get(queue.id) ?? 0,
          concurrency_limit: queue.concurrency_limit,
          flow_runs: holders.runs.filter((run) => run.work_queue_id === queue.id).map((run) => summarize(run, now)),
          flow_run_count: holders.counts.get(queue.id) ?? 0,
        })),
        ...describePage(queues.length, limit, page),
      };
    },
  );

  api.post("/work_queues/:id/concurrency_status", { schema: { params: ById, body: QueueStatus } }, async (request) => {
    const { page } = request.body;
    const limit = checkLimit(request.body.limit);
    const queue = await store.workQueues.find(request.params.id);
    if (queue === undefined) {
      throw new UserError("NOT_FOUND", "Work queue not found.");
    }
    const holders = await store.flowRuns.listSlotHolders([queue.id], { limit, offset: (page - 1) * limit });
    const count = holders.counts.get(queue.id) ?? 0;
    const now = timestampFromDate(clock.now());
    return {
      active_slots: count,
      concurrency_limit: queue.concurrency_limit,
      flow_runs: holders.runs.map((run) => summarize(run, now)),
      ...describePage(count, limit, page),
    };
  });
}

function describePage(count: number, limit: number, page: number) {
  return { count, limit, pages: limit > 0 ? Math.ceil(count / limit) : 0, page };
}

function summarize(run: SlotHolder, now: string) {
  return {
    id: run.id,
    name: run.name,
    state_type: run.state_type,
    state_name: run.state_name,
    start_time: run.start_time,
    state_timestamp: run.state_timestamp,
    time_in_current_state: run.state_timestamp === null ? null : secondsBetween(run.state_timestamp, now),
  };
}
