import type { RenewClaims, RenewedClaim } from "../../flowyard-api/claims.ts";
import { addSeconds, type Timestamp, timestampFromDate } from "../../prefect-api/timestamp.ts";
import type { HeldClaim } from "../../storage/flow-run-claims.ts";
import type { Store } from "../../storage/store.ts";
import { getWorkPool } from "../work-pools.ts";
import { CLAIM_SECONDS, STARTED_CLAIM_SECONDS } from "./claim-rules.ts";
import { type ReturnDeps, returnClaims } from "./return-claims.ts";

/**
 * Prolongs a worker's claims, all in one transaction, and tells it which runs to stop and which it has lost. A claim
 * whose time is over is held all the same while nobody ended it. What was claimed for a worker that stops, and that it
 * does not name, it never heard of: that waits again. Throws UserError NOT_FOUND for an unknown pool.
 */
export function renewClaims(
  deps: ReturnDeps & { store: Pick<Store, "transaction"> },
  poolName: string,
  body: RenewClaims,
  now: Date,
): Promise<RenewedClaim[]> {
  return deps.store.transaction(async (tx) => {
    const pool = await getWorkPool(tx, poolName);
    await tx.workers.noteRenewal(pool.id, body.worker_name, body.stopping);
    const known = await tx.flowRunClaims.listByIds(body.claims.map(({ id }) => id));
    const byId = new Map(known.map((claim) => [claim.id, claim]));
    const renewed: RenewedClaim[] = [];
    for (const { id, fencing_token, started } of body.claims) {
      const claim = byId.get(id);
      if (claim?.fencing_token !== fencing_token || claim.work_pool_id !== pool.id) {
        renewed.push({ id, status: "lost", expires_at: null });
        continue;
      }
      if (claim.ended) {
        renewed.push({ id, status: "ended", expires_at: null });
        continue;
      }
      const lease = prolong(claim, started, timestampFromDate(now));
      await tx.flowRunClaims.renew(claim.flow_run_id, { worker_name: body.worker_name, ...lease });
      renewed.push({
        id,
        status: claim.state_type === "CANCELLING" ? "cancelling" : "held",
        expires_at: lease.expires_at,
      });
    }
    if (body.stopping && body.worker_instance !== undefined) {
      const worker = { name: body.worker_name, instance: body.worker_instance, poolId: pool.id };
      const unheard = await tx.flowRunClaims.listUnknownTo({ ...worker, knows: body.claims.map(({ id }) => id) });
      await returnClaims(tx, deps, unheard, now);
    }
    return renewed;
  });
}

/** What was started stays started, whatever a renewal that was overtaken on its way says. */
function prolong(claim: HeldClaim, started: boolean, now: Timestamp): { expires_at: Timestamp; started: boolean } {
  const isStarted = started || claim.started;
  return { expires_at: addSeconds(now, isStarted ? STARTED_CLAIM_SECONDS : CLAIM_SECONDS), started: isStarted };
}

/** Images changed longer ago have been pulled, or will be with their first run. */
const CHANGED_WITHIN_SECONDS = 3600;
const MAX_HINTED_IMAGES = 20;

/** What a worker of the pool may pull before it is needed. Throws UserError NOT_FOUND. */
export async function listChangedImages(
  store: Pick<Store, "workPools" | "deployments">,
  poolName: string,
  now: Date,
): Promise<string[]> {
  const pool = await getWorkPool(store, poolName);
  const since = addSeconds(timestampFromDate(now), -CHANGED_WITHIN_SECONDS);
  return await store.deployments.listChangedImages(pool.id, since, MAX_HINTED_IMAGES);
}
