import type { CatchUp } from "../../flowyard-api/catch-up.ts";
import type { Store } from "../../storage/store.ts";
import { getDeployment } from "../deployments.ts";

/** Throws UserError NOT_FOUND. */
export async function getCatchUp(store: Pick<Store, "deployments">, id: string): Promise<CatchUp | null> {
  const { id: found } = await getDeployment(store, id);
  return (await store.deployments.findCatchUp([found])).get(found) ?? null;
}

/** Counts from the next look at the deployment's schedules on. Throws UserError NOT_FOUND. */
export function setCatchUp(store: Pick<Store, "transaction">, id: string, catchUp: CatchUp | null): Promise<void> {
  return store.transaction(async (tx) => {
    await getDeployment(tx, id);
    await tx.deployments.setCatchUp(id, catchUp);
  });
}
