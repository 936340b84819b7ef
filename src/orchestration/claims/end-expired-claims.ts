import type { StateCreate } from "../../prefect-api/states.ts";
import { addSeconds, timestampFromDate } from "../../prefect-api/timestamp.ts";
import type { Logger } from "../../shared/logger.ts";
import type { HeldClaim } from "../../storage/flow-run-claims.ts";
import type { Store, Tx } from "../../storage/store.ts";
import type { LiveBus } from "../events/live-bus.ts";
import { setFlowRunStateIn } from "../states/set-flow-run-state.ts";
import { CLAIM_SECONDS, type ClaimEnd, decideClaimEnd, STARTED_CLAIM_SECONDS } from "./claim-rules.ts";

/** As the history of a run names it. */
const LOOP = "loop end-expired-claims";

/** Claims of one transaction: it stays well below what a request waits for. */
const BATCH = 50;

/**
 * Returns the runs whose workers vanished before they started them, and ends those that were started. Every slot of
 * theirs is free with it. Answers how many claims ended, and whether there are more.
 */
export function endExpiredClaims(
  deps: { store: Pick<Store, "transaction">; bus: LiveBus; logger: Logger },
  now: Date,
): Promise<{ changed: number; more: boolean }> {
  return deps.store.transaction(async (tx) => {
    const expired = await tx.flowRunClaims.listExpired(timestampFromDate(now), BATCH);
    for (const claim of expired) {
      await endClaim(tx, deps, claim, now);
    }
    return { changed: expired.length, more: expired.length === BATCH };
  });
}

async function endClaim(tx: Tx, deps: { bus: LiveBus; logger: Logger }, claim: HeldClaim, now: Date): Promise<void> {
  const end = decideClaimEnd(claim, claim.state_type === null ? null : { type: claim.state_type });
  if (end.action === "prolong") {
    const expires_at = addSeconds(claim.expires_at, STARTED_CLAIM_SECONDS - CLAIM_SECONDS);
    if (expires_at <= timestampFromDate(now)) {
      await endClaim(tx, deps, { ...claim, started: true }, now); // that time is over, too
      return;
    }
    await tx.flowRunClaims.renew(claim.flow_run_id, { worker_name: claim.worker_name, expires_at, started: true });
    return;
  }
  const state = buildEndState(end);
  if (state !== null) {
    const proposal = { flowRunId: claim.flow_run_id, state, mode: "forced" as const, clientApiVersion: null, by: LOOP };
    await setFlowRunStateIn(tx, deps, proposal, now);
  }
  // After the state, which ends the claim its own way: whoever still acts in its name is refused from here on.
  await tx.flowRunClaims.revoke(claim.flow_run_id, claim.started ? 0 : claim.unstarted_claims + 1);
}

function buildEndState(end: ClaimEnd): StateCreate | null {
  switch (end.action) {
    case "none":
    case "prolong":
      return null;
    case "return":
      return { type: "SCHEDULED", message: end.message, state_details: {} };
    case "crash":
      return { type: "CRASHED", message: end.message, state_details: {} };
    case "cancel":
      return { type: "CANCELLED", message: end.message, state_details: {} };
  }
}
