import { CatchUp } from "../flowyard-api/catch-up.ts";
import { buildAutomation, buildOwner } from "../project/triggers.ts";
import { UserError } from "../shared/errors.ts";
import type { ReadyDeployment } from "./build-bodies.ts";
import type { DeployedDeployment, DeployRequest } from "./request.ts";

/**
 * Creates the deployment, or changes the one of that flow and name, and replaces the automations that it owns.
 * The bodies are those that Prefect sends (surface §2.2): an update resets what the file does not say, schedules excepted.
 */
export async function registerDeployment(ready: ReadyDeployment, request: DeployRequest): Promise<DeployedDeployment> {
  const { client, output } = request;
  const { prepared, name } = ready;
  const flowName = prepared.flow.name;
  const existing = await client.deployments.findByName(flowName, name);
  const clears = ready.hasEmptySchedules && request.env["PREFECT_DEPLOYMENTS_CLEAR_SCHEDULES_ON_EMPTY"] === "true";
  let id: string;
  if (existing === undefined) {
    const flow = await client.flows.create({ name: flowName, tags: [], labels: {} });
    id = (await client.deployments.create({ ...ready.create, flow_id: flow.id })).value.id;
  } else {
    id = existing.id;
    await client.deployments.update(id, clears ? { ...ready.update, schedules: [] } : ready.update);
    if (clears && existing.schedules.every((schedule) => schedule.slug)) {
      await deleteSchedules(request, id, existing.schedules);
    } else if (ready.hasEmptySchedules && !clears && existing.schedules.length > 0) {
      output.warn(
        `deployment ${prepared.label}: schedules is empty, and the ${existing.schedules.length} schedule(s) on the server are kept. ` +
          "Set PREFECT_DEPLOYMENTS_CLEAR_SCHEDULES_ON_EMPTY=true to remove them, or leave schedules out to keep them without this message.",
      );
    }
  }
  await saveCatchUp(ready, request, id);
  // A server without automations answers 404; triggers are then skipped, as Prefect does.
  if (await client.automations.deleteOwnedBy(buildOwner(id))) {
    for (const trigger of ready.triggers) {
      await client.automations.create(buildAutomation(trigger, id));
    }
  }
  const workers = await client.workPools.listWorkers(prepared.workPool.name, { status: { any_: ["ONLINE"] } });
  return {
    id,
    flowName,
    name,
    created: existing === undefined,
    workPoolName: prepared.workPool.name,
    workPoolType: prepared.workPool.type,
    hasWorker: workers.length > 0,
    save: { ...prepared.save, triggers: ready.triggerSpecs },
  };
}

/** Only where the file says it: what an operator has set stays otherwise, as with schedules. */
async function saveCatchUp(
  { prepared }: ReadyDeployment,
  { client, output }: DeployRequest,
  id: string,
): Promise<void> {
  const { catch_up: catchUp } = prepared.values;
  if (catchUp === undefined || catchUp === null) {
    return;
  }
  if ((await client.releases.findCapabilities())?.features.includes("catch_up") === true) {
    await client.deployments.setCatchUp(id, CatchUp.parse(catchUp));
  } else {
    output.warn(`deployment ${prepared.label}: catch_up is left out, the server does not know it.`);
  }
}

/** Schedules with slugs survive an empty list, because the server merges by slug; one that is gone already is fine. */
async function deleteSchedules(
  request: DeployRequest,
  id: string,
  schedules: readonly { id: string }[],
): Promise<void> {
  for (const schedule of schedules) {
    try {
      await request.client.deployments.deleteSchedule(id, schedule.id);
    } catch (error) {
      if (!(error instanceof UserError) || error.code !== "NOT_FOUND") {
        throw error;
      }
    }
  }
}
