import { z } from "zod";
import type { WorkQueueFilter } from "../prefect-api/filters.ts";
import { ReceivedFlowRun } from "../prefect-api/flow-runs.ts";
import {
  type CreateWorkQueue,
  type UpdateWorkQueue,
  WorkQueue,
  WorkQueueStatusDetail,
} from "../prefect-api/work-queues.ts";
import { buildPath, type Connection, command, find, request } from "./http.ts";
import { type ListOptions, list } from "./list.ts";

/** Queues by pool and name, and by id as Prefect's older routes do. */
export function createWorkQueueRoutes(connection: Connection) {
  return {
    list: (filter?: z.input<typeof WorkQueueFilter>, options?: ListOptions): Promise<WorkQueue[]> =>
      list(connection, WorkQueue, { path: "/work_queues/filter", body: { work_queues: filter ?? null } }, options),
    listOfPool: (
      pool: string,
      filter?: z.input<typeof WorkQueueFilter>,
      options?: ListOptions,
    ): Promise<WorkQueue[]> => {
      const path = buildPath`/work_pools/${pool}/queues/filter`;
      return list(connection, WorkQueue, { path, body: { work_queues: filter ?? null } }, options);
    },
    findInPool: (pool: string, name: string): Promise<WorkQueue | undefined> =>
      find(connection, WorkQueue, { method: "GET", path: buildPath`/work_pools/${pool}/queues/${name}` }),
    /** By name in the default agent pool, as Prefect's `work-queue` commands without a pool mean it. */
    findByName: (name: string): Promise<WorkQueue | undefined> =>
      find(connection, WorkQueue, { method: "GET", path: buildPath`/work_queues/name/${name}` }),
    createInPool: (pool: string, body: z.input<typeof CreateWorkQueue>): Promise<WorkQueue> =>
      request(connection, WorkQueue, { method: "POST", path: buildPath`/work_pools/${pool}/queues`, body }),
    create: (body: z.input<typeof CreateWorkQueue>): Promise<WorkQueue> =>
      request(connection, WorkQueue, { method: "POST", path: "/work_queues/", body }),
    get: (id: string): Promise<WorkQueue> =>
      request(connection, WorkQueue, { method: "GET", path: buildPath`/work_queues/${id}` }),
    getStatus: (id: string): Promise<WorkQueueStatusDetail> =>
      request(connection, WorkQueueStatusDetail, { method: "GET", path: buildPath`/work_queues/${id}/status` }),
    update: (id: string, body: z.input<typeof UpdateWorkQueue>): Promise<void> =>
      command(connection, { method: "PATCH", path: buildPath`/work_queues/${id}`, body }),
    delete: (id: string): Promise<void> =>
      command(connection, { method: "DELETE", path: buildPath`/work_queues/${id}` }),
    getRuns: (id: string, body: { limit?: number; scheduled_before?: string }): Promise<ReceivedFlowRun[]> =>
      request(connection, z.array(ReceivedFlowRun), {
        method: "POST",
        path: buildPath`/work_queues/${id}/get_runs`,
        body,
      }),
  };
}
