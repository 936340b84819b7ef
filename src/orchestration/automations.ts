import type { Automation } from "../prefect-api/automations.ts";
import { timestampFromDate } from "../prefect-api/timestamp.ts";
import { UserError } from "../shared/errors.ts";
import type { Store, Tx } from "../storage/store.ts";
import { listRelatedResources } from "./automation-resources.ts";
import { announceChanges } from "./events/announce-changes.ts";
import { tellAutomation } from "./events/lifecycle-event.ts";

/** Makes or replaces the automation, with what it is found by. */
export async function putAutomation(tx: Tx, automation: Automation, owner: string | null, now: Date): Promise<void> {
  const related = listRelatedResources(automation);
  const known = await tx.automations.find(automation.id);
  await tx.automations.put(automation, {
    owner_resource: owner,
    relatedResourceIds: owner === null ? related : [...related, owner],
  });
  await announceChanges(tx, [tellAutomation(known === undefined ? "created" : "updated", automation)], now);
}

/** Throws UserError NOT_FOUND. */
export function setAutomationEnabled(
  store: Pick<Store, "transaction">,
  id: string,
  enabled: boolean,
  now: Date,
): Promise<void> {
  return store.transaction(async (tx) => {
    await tx.automations.setEnabled(id, enabled, timestampFromDate(now));
    await announceChanges(tx, [tellAutomation("updated", await getAutomation(tx, id))], now);
  });
}

/** Throws UserError NOT_FOUND. */
export function deleteAutomation(store: Pick<Store, "transaction">, id: string, now: Date): Promise<void> {
  return store.transaction((tx) => removeAutomation(tx, id, now));
}

/** The same inside a transaction of the caller's. */
export async function removeAutomation(tx: Tx, id: string, now: Date): Promise<void> {
  await announceChanges(tx, [tellAutomation("deleted", await getAutomation(tx, id))], now);
  await tx.automations.remove(id);
}

/** Throws UserError NOT_FOUND. */
export async function getAutomation({ automations }: Pick<Tx, "automations">, id: string): Promise<Automation> {
  const automation = await automations.find(id);
  if (automation === undefined) {
    throw new UserError("NOT_FOUND", "Automation not found");
  }
  return automation;
}
