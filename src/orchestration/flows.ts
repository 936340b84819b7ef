import { randomUUID } from "node:crypto";
import type { CreateFlow, Flow } from "../prefect-api/flows.ts";
import { timestampFromDate } from "../prefect-api/timestamp.ts";
import { UserError } from "../shared/errors.ts";
import type { Store, Tx } from "../storage/store.ts";

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
  return { flow, created: true };
}

/** Throws UserError NOT_FOUND. */
export async function updateFlow(
  store: Pick<Store, "transaction">,
  id: string,
  changes: { tags?: string[] | undefined },
): Promise<void> {
  const { tags } = changes;
  if (!(await store.transaction((tx) => tx.flows.update(id, tags === undefined ? {} : { tags })))) {
    throw new UserError("NOT_FOUND", "Flow not found");
  }
}

/** Removes the flow with its deployments and runs. Throws UserError NOT_FOUND. */
export async function deleteFlow(store: Pick<Store, "transaction">, id: string): Promise<void> {
  if (!(await store.transaction((tx) => tx.flows.remove(id)))) {
    throw new UserError("NOT_FOUND", "Flow not found");
  }
}
