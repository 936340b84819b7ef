import type { Automation } from "../prefect-api/automations.ts";
import type { Tx } from "../storage/store.ts";
import { listRelatedResources } from "./automation-resources.ts";

/** Makes or replaces the automation, with what it is found by. */
export async function putAutomation(tx: Tx, automation: Automation, owner: string | null): Promise<void> {
  const related = listRelatedResources(automation);
  await tx.automations.put(automation, {
    owner_resource: owner,
    relatedResourceIds: owner === null ? related : [...related, owner],
  });
}
