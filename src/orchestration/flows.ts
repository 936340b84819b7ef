import { randomUUID } from "node:crypto";
import type { CreateFlow, Flow } from "../prefect-api/flows.ts";
import { timestampFromDate } from "../prefect-api/timestamp.ts";
import { UserError } from "../shared/errors.ts";
import type { Store, Tx } from "../storage/store.ts";
import { announceChanges } from "./events/announce-changes.ts";
import { tellFlow } from "./events/lifecycle-event.ts";

/** Makes the flow, or answers the one of that name. */
export function createFlow(
  store: Pick<Store, "transaction">,
  body: CreateFlow,
  now: Date,
): Promise<{ flow: Flow; created: boolean }> {
  return store.transaction((tx) => ensureFlow(tx, body, now));
}

/** The same inside a transaction of the caller's. */
export async function ensureFlow(tx: Tx, body: CreateFlow, now: Date): Promise<{ flow: Flow; created: boolean }> {
  const existing = await tx.flows.findByName(body.name);
  if (existing !== undefined) {
    return { flow: existing, created: false };
  }
  const timestamp = timestampFromDate(now);
  const flow = {
    id: randomUUID(),
    created: timestamp,
    updated: timestamp,
    name: body.name,
    tags: body.tags,
    labels: body.labels ?? {},
  };
  await tx.flows.insert(flow);
  await announceChanges(tx, [tellFlow("created", flow)], now);
  return { flow, created: true };
}

/** Throws UserError NOT_FOUND. */
export function updateFlow(
  store: Pick<Store, "transaction">,
  id: string,
  { tags }: { tags?: string[] | undefined },
  now: Date,
): Promise<void> {
  return store.transaction(async (tx) => {
    await tx.flows.update(id, tags === undefined ? {} : { tags });
    await announceChanges(tx, [tellFlow("updated", await getFlow(tx, id))], now);
  });
}

/** Removes the flow with its deployments and runs. Throws UserError NOT_FOUND. */
export function deleteFlow(store: Pick<Store, "transaction">, id: string, now: Date): Promise<void> {
  return store.transaction((tx) => removeFlow(tx, id, now));
}

/** The same inside a transaction of the caller's. */
export async function removeFlow(tx: Tx, id: string, now: Date): Promise<void> {
  await announceChanges(tx, [tellFlow("deleted", await getFlow(tx, id))], now);
  await tx.flows.remove(id);
}

async function getFlow(tx: Tx, id: string): Promise<Flow> {
  const flow = await tx.flows.find(id);
  if (flow === undefined) {
    throw new UserError("NOT_FOUND", "Flow not found");
  }
  return flow;
}
