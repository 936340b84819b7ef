import { z } from "zod";
import { createSchedules, deleteSchedule, updateSchedule } from "../../orchestration/schedules/deployment-schedules.ts";
import { Uuid } from "../../prefect-api/primitives.ts";
import { CreateDeploymentSchedule, MAX_SCHEDULES, UpdateDeploymentSchedule } from "../../prefect-api/schedules.ts";
import { UserError } from "../../shared/errors.ts";
import type { App, AppDeps } from "../app-deps.ts";

const ById = z.object({ id: Uuid });
const BySchedule = z.object({ id: Uuid, schedule_id: Uuid });

export function registerDeploymentSchedules(api: App, { store, clock }: AppDeps): void {
  api.get("/deployments/:id/schedules", { schema: { params: ById } }, async (request) => {
    const deployment = await store.deployments.find(request.params.id);
    if (deployment === undefined) {
      throw new UserError("NOT_FOUND", "Deployment not found.");
    }
    return deployment.schedules;
  });

  api.post(
    "/deployments/:id/schedules",
    { schema: { params: ById, body: z.array(CreateDeploymentSchedule).max(MAX_SCHEDULES) } },
    async (request, reply) => {
      const created = await createSchedules(store, request.params.id, request.body, clock.now());
      return reply.code(201).send(created);
    },
  );

  api.patch(
    "/deployments/:id/schedules/:schedule_id",
    { schema: { params: BySchedule, body: UpdateDeploymentSchedule } },
    async (request, reply) => {
      await updateSchedule(store, placeOf(request.params), request.body, clock.now());
      return reply.code(204).send();
    },
  );

  api.delete("/deployments/:id/schedules/:schedule_id", { schema: { params: BySchedule } }, async (request, reply) => {
    await deleteSchedule(store, placeOf(request.params));
    return reply.code(204).send();
  });
}

function placeOf(params: z.infer<typeof BySchedule>): { deploymentId: string; scheduleId: string } {
  return { deploymentId: params.id, scheduleId: params.schedule_id };
}
