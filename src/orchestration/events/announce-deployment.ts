import type { Deployment } from "../../prefect-api/deployments.ts";
import type { Tx } from "../../storage/store.ts";
import { announceChanges } from "./announce-changes.ts";
import { tellDeployment, tellDeploymentChange } from "./lifecycle-event.ts";

/** Nothing is told of a deployment that is not there. */
export async function announceDeployment(tx: Tx, verb: "created" | "deleted", id: string, now: Date): Promise<void> {
  const deployment = await tx.statuses.findDeployment(id);
  await announceChanges(tx, [deployment && tellDeployment(verb, deployment)], now);
}

/** Tells what is different now, if anything is. */
export async function announceDeploymentChange(tx: Tx, before: Deployment, now: Date): Promise<void> {
  const after = await tx.deployments.find(before.id);
  const surroundings = await tx.statuses.findDeployment(before.id);
  if (after !== undefined && surroundings !== undefined) {
    await announceChanges(tx, [tellDeploymentChange(before, after, surroundings)], now);
  }
}
