import type { Logger } from "../../shared/logger.ts";
import type { HeldClaim } from "../../storage/flow-run-claims.ts";
import type { Store, Tx } from "../../storage/store.ts";
import type { LiveBus } from "../events/live-bus.ts";
import { setFlowRunStateIn } from "../states/set-flow-run-state.ts";
import type { TakenRun } from "./claim-flow-runs.ts";

export interface ReturnDeps {
  bus: LiveBus;
  logger: Logger;
}

/** Returns what was taken for a worker that had hung up before the answer: others need not wait for the claim's end. */
export function returnTakenRuns(
  deps: ReturnDeps & { store: Pick<Store, "transaction"> },
  taken: readonly TakenRun[],
  now: Date,
): Promise<void> {
  const tokens = new Map(taken.map(({ claim }) => [claim.id, claim.fencing_token]));
  return deps.store.transaction(async (tx) => {
    const claims = await tx.flowRunClaims.listByIds([...tokens.keys()]);
    // Asked again meanwhile, the worker has them under new tokens.
    const unheard = claims.filter((claim) => tokens.get(claim.id) === claim.fencing_token);
    await returnClaims(tx, deps, unheard, now);
  });
}

/** What was claimed and not begun waits as before. */
export async function returnClaims(tx: Tx, deps: ReturnDeps, claims: readonly HeldClaim[], now: Date): Promise<void> {
  for (const claim of claims) {
    if (claim.ended || claim.started || claim.state_type !== "PENDING") {
      continue;
    }
    const message = `Worker '${claim.worker_name}' stopped before it heard of this run.`;
    await setFlowRunStateIn(
      tx,
      deps,
      {
        flowRunId: claim.flow_run_id,
        state: { type: "SCHEDULED", message, state_details: {} },
        mode: "forced",
        clientApiVersion: null,
        by: `worker ${claim.worker_name}`,
      },
      now,
    );
    // Nobody vanished with it: it counts for nothing.
    await tx.flowRunClaims.revoke(claim.flow_run_id, claim.unstarted_claims);
  }
}
