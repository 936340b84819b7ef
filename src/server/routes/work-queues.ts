import { z } from "zod";
import { getDeploymentRuns, getWorkQueueRuns } from "../../orchestration/flow-runs/get-scheduled-flow-runs.ts";
import { createWorkQueue, deleteWorkQueue, updateWorkQueue } from "../../orchestration/work-queues.ts";
import { FilterWorkQueues } from "../../prefect-api/filters.ts";
import { Uuid } from "../../prefect-api/primitives.ts";
import { Timestamp, timestampFromDate } from "../../prefect-api/timestamp.ts";
import {
  CreateWorkQueue,
  UpdateWorkQueue,
  type WorkQueue,
  type WorkQueueStatusDetail,
} from "../../prefect-api/work-queues.ts";
import { UserError } from "../../shared/errors.ts";
import type { Store } from "../../storage/store.ts";
import { isRecentlyPolled, POLLED_WITHIN_SECONDS } from "../../storage/work-queues.ts";
import type { App, AppDeps } from "../app-deps.ts";

import { checkLimit } from "../paging.ts";

const ById = z.object({ id: Uuid });
const ByName = z.object({ name: z.string() });
const GetRuns = z.strictObject({
  limit: z.number().int().nullish(),
  scheduled_before: Timestamp.nullish(),
});
/** Prefect's runners serve a handful of deployments each. */
const MAX_DEPLOYMENTS = 200;
const GetDeploymentRuns = z.object({
  deployment_ids: z.array(Uuid).max(MAX_DEPLOYMENTS),
  scheduled_before: Timestamp.nullish(),
  limit: z.number().int().nullish(),
});
const END_OF_TIME = "9999-12-31T23:59:59.999999Z";
const MAXIMUM_LATE_RUNS = 0;

/** Queues by their own id, whatever their pool. */
export function registerWorkQueues(api: App, { store, clock }: AppDeps): void {
  api.post("/work_queues", { schema: { body: CreateWorkQueue } }, async (request, reply) => {
    const queue = await createWorkQueue(store, null, request.body, clock.now());
    return reply.code(201).send(queue);
  });

  api.get("/work_queues/:id", { schema: { params: ById } }, (request) => getQueue(store, request.params.id));

  api.get("/work_queues/name/:name", { schema: { params: ByName } }, async (request) => {
    const [queue] = await store.workQueues.list({ names: [request.params.name] }, { limit: 1, offset: 0 });
    if (queue === undefined) {
      throw new UserError("NOT_FOUND", "work queue not found");
    }
    return queue;
  });

  api.patch("/work_queues/:id", { schema: { params: ById, body: UpdateWorkQueue } }, async (request, reply) => {
    await updateWorkQueue(store, request.params.id, request.body, clock.now());
    return reply.code(204).send();
  });

  api.delete("/work_queues/:id", { schema: { params: ById } }, async (request, reply) => {
    await deleteWorkQueue(store, request.params.id, clock.now());
    return reply.code(204).send();
  });

  api.post("/work_queues/filter", { schema: { body: FilterWorkQueues } }, (request) => {
    const { work_queues: filter, limit, offset } = request.body;
    return store.workQueues.list({ filter }, { limit: checkLimit(limit), offset });
  });

  api.get(
    "/work_queues/:id/status",
    { schema: { params: ById }, config: { modelErrors: true } },
    (request): Promise<WorkQueueStatusDetail> => findStatus(store, request.params.id, clock.now()),
  );

  api.post(
    "/work_queues/:id/get_runs",
    { schema: { params: ById, body: GetRuns }, config: { modelErrors: true } },
    (request) => {
      const { limit, scheduled_before: before } = request.body;
      const due = { limit: checkLimit(limit), before: before ?? timestampFromDate(clock.now()) };
      // The UI looks at a queue without being a worker that polls it.
      const isPoll = request.headers["x-prefect-ui"] === undefined;
      return getWorkQueueRuns(store, request.params.id, { ...due, isPoll });
    },
  );
}

/** Runs of deployments that a runner serves, without a pool. */
export function registerServedRuns(api: App, { store, clock }: AppDeps): void {
  api.post("/deployments/get_scheduled_flow_runs", { schema: { body: GetDeploymentRuns } }, ({ body }) => {
    // Without a time Prefect looks at all that is scheduled, however far ahead.
    const due = { before: body.scheduled_before ?? END_OF_TIME, limit: checkLimit(body.limit) };
    return getDeploymentRuns(store, body.deployment_ids, due, clock.now());
  });
}

async function getQueue(store: Store, id: string): Promise<WorkQueue> {
  const queue = await store.workQueues.find(id);
  if (queue === undefined) {
    throw new UserError("NOT_FOUND", "work queue not found");
  }
  return queue;
}

async function findStatus(store: Store, id: string, now: Date): Promise<WorkQueueStatusDetail> {
  const queue = await store.workQueues.find(id);
  if (queue === undefined) {
    throw new UserError("NOT_FOUND", `Work queue with id ${id} not found`);
  }
  const lateRuns = await store.flowRuns.countLate(id);
  const lastPolled = queue.last_polled ?? null;
  return {
    healthy: lateRuns <= MAXIMUM_LATE_RUNS && isRecentlyPolled(lastPolled, timestampFromDate(now)),
    late_runs_count: lateRuns,
    last_polled: lastPolled,
    health_check_policy: {
      maximum_late_runs: MAXIMUM_LATE_RUNS,
      maximum_seconds_since_last_polled: POLLED_WITHIN_SECONDS,
    },
  };
}
