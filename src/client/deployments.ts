import { z } from "zod";
import type { CatchUp } from "../flowyard-api/catch-up.ts";
import {
  type CreateDeployment,
  type CreateFlowRunFromDeployment,
  Deployment,
  type UpdateDeployment,
} from "../prefect-api/deployments.ts";
import type { FilterDeployments } from "../prefect-api/filters.ts";
import { ReceivedFlowRun } from "../prefect-api/flow-runs.ts";
import {
  type CreateDeploymentSchedule,
  DeploymentSchedule,
  type UpdateDeploymentSchedule,
} from "../prefect-api/schedules.ts";
import { buildPath, type Connection, command, find, request, requestCreation } from "./http.ts";
import { type ListOptions, list } from "./list.ts";

export function createDeploymentRoutes(connection: Connection) {
  return {
    find: (id: string): Promise<Deployment | undefined> =>
      find(connection, Deployment, { method: "GET", path: buildPath`/deployments/${id}` }),
    get: (id: string): Promise<Deployment> =>
      request(connection, Deployment, { method: "GET", path: buildPath`/deployments/${id}` }),
    findByName: (flowName: string, name: string): Promise<Deployment | undefined> =>
      find(connection, Deployment, { method: "GET", path: buildPath`/deployments/name/${flowName}/${name}` }),
    list: (body: z.input<typeof FilterDeployments> = {}, options?: ListOptions): Promise<Deployment[]> =>
      list(connection, Deployment, { path: "/deployments/filter", body }, options),
    create: (body: z.input<typeof CreateDeployment>): Promise<{ value: Deployment; created: boolean }> =>
      requestCreation(connection, Deployment, { method: "POST", path: "/deployments/", body }),
    update: (id: string, body: z.input<typeof UpdateDeployment>): Promise<void> =>
      command(connection, { method: "PATCH", path: buildPath`/deployments/${id}`, body }),
    delete: (id: string): Promise<void> =>
      command(connection, { method: "DELETE", path: buildPath`/deployments/${id}` }),
    pause: (id: string): Promise<void> =>
      command(connection, { method: "POST", path: buildPath`/deployments/${id}/pause_deployment` }),
    resume: (id: string): Promise<void> =>
      command(connection, { method: "POST", path: buildPath`/deployments/${id}/resume_deployment` }),
    /** A stock Prefect server knows nothing of it: ask for the feature `catch_up` first. */
    setCatchUp: (id: string, body: z.input<typeof CatchUp>): Promise<void> =>
      command(connection, { method: "PUT", path: buildPath`/flowyard/deployments/${id}/catch_up`, body }),
    /** `created` is false when the idempotency key was seen before. */
    createFlowRun: (
      id: string,
      body: z.input<typeof CreateFlowRunFromDeployment>,
    ): Promise<{ value: ReceivedFlowRun; created: boolean }> => {
      const path = buildPath`/deployments/${id}/create_flow_run`;
      return requestCreation(connection, ReceivedFlowRun, { method: "POST", path, body });
    },
    listSchedules: (id: string): Promise<DeploymentSchedule[]> =>
      request(connection, z.array(DeploymentSchedule), {
        method: "GET",
        path: buildPath`/deployments/${id}/schedules`,
      }),
    createSchedules: (id: string, body: z.input<typeof CreateDeploymentSchedule>[]): Promise<DeploymentSchedule[]> => {
      const path = buildPath`/deployments/${id}/schedules`;
      return request(connection, z.array(DeploymentSchedule), { method: "POST", path, body });
    },
    updateSchedule: (id: string, scheduleId: string, body: z.input<typeof UpdateDeploymentSchedule>): Promise<void> =>
      command(connection, { method: "PATCH", path: buildPath`/deployments/${id}/schedules/${scheduleId}`, body }),
    deleteSchedule: (id: string, scheduleId: string): Promise<void> =>
      command(connection, { method: "DELETE", path: buildPath`/deployments/${id}/schedules/${scheduleId}` }),
  };
}
