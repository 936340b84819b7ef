import { z } from "zod";
import type { FilterWorkers, WorkPoolFilter } from "../prefect-api/filters.ts";
import { ScheduledFlowRun } from "../prefect-api/flow-runs.ts";
import {
  type CreateWorkPool,
  type GetScheduledFlowRuns,
  type UpdateWorkPool,
  WorkPool,
} from "../prefect-api/work-pools.ts";
import { Worker, type WorkerHeartbeat } from "../prefect-api/workers.ts";
import { buildPath, type Connection, command, find, request } from "./http.ts";
import { type ListOptions, list } from "./list.ts";

export function createWorkPoolRoutes(connection: Connection) {
  return {
    list: (filter?: z.input<typeof WorkPoolFilter>, options?: ListOptions): Promise<WorkPool[]> =>
      list(connection, WorkPool, { path: "/work_pools/filter", body: { work_pools: filter ?? null } }, options),
    find: (name: string): Promise<WorkPool | undefined> =>
      find(connection, WorkPool, { method: "GET", path: buildPath`/work_pools/${name}` }),
    get: (name: string): Promise<WorkPool> =>
      request(connection, WorkPool, { method: "GET", path: buildPath`/work_pools/${name}` }),
    create: (body: z.input<typeof CreateWorkPool>): Promise<WorkPool> =>
      request(connection, WorkPool, { method: "POST", path: "/work_pools/", body }),
    update: (name: string, body: z.input<typeof UpdateWorkPool>): Promise<void> =>
      command(connection, { method: "PATCH", path: buildPath`/work_pools/${name}`, body }),
    delete: (name: string): Promise<void> =>
      command(connection, { method: "DELETE", path: buildPath`/work_pools/${name}` }),
    getScheduledFlowRuns: (
      name: string,
      body: z.input<typeof GetScheduledFlowRuns>,
      signal?: AbortSignal,
    ): Promise<ScheduledFlowRun[]> => {
      const path = buildPath`/work_pools/${name}/get_scheduled_flow_runs`;
      return request(connection, z.array(ScheduledFlowRun), { method: "POST", path, body, signal });
    },
    sendHeartbeat: (name: string, body: z.input<typeof WorkerHeartbeat>, signal?: AbortSignal): Promise<void> =>
      command(connection, { method: "POST", path: buildPath`/work_pools/${name}/workers/heartbeat`, body, signal }),
    listWorkers: (
      name: string,
      filter?: z.input<typeof FilterWorkers>["workers"],
      options?: ListOptions,
    ): Promise<Worker[]> => {
      const path = buildPath`/work_pools/${name}/workers/filter`;
      return list(connection, Worker, { path, body: { workers: filter ?? null } }, options);
    },
  };
}
