import type { EmpiricalPolicy } from "../../prefect-api/flow-runs.ts";
import { isTerminal, type State } from "../../prefect-api/states.ts";
import type { Decision } from "../states/transition.ts";

/** How long a worker may be silent before its claim ends while nothing was started for the run. */
export const CLAIM_SECONDS = 30;
/** The same once there is a container: it goes on without its worker, and the worker may come back and adopt it. */
export const STARTED_CLAIM_SECONDS = 300;
/** A run that workers took this often without starting it is given up: something about it kills them. */
const MAX_UNSTARTED_CLAIMS = 5;

/** The last claim of a run. An ended one still has the token that older writers are held to. */
export interface LastClaim {
  fencing_token: number;
  ended: boolean;
}

/**
 * Refuses a state from a worker or container whose claim another one took the place of. A writer without a token (a
 * stock worker, an engine that is not behind a relay) is held to the other rules alone.
 */
export function decideFencing(claim: LastClaim | null, token: number | null): Decision | undefined {
  if (token === null || (claim !== null && token >= claim.fencing_token)) {
    return undefined;
  }
  return {
    status: "ABORT",
    reason: "This attempt of the run was given up: its claim ended, and the run was returned, crashed or claimed anew.",
    reasonCode: "STALE_CLAIM",
  };
}

/**
 * What a state change does to the claim. `end`: the attempt is over, its infrastructure goes. `revoke`: the run starts
 * anew, and nobody may write in the name of the attempt before.
 */
export function decideClaimAfter(
  before: State | null,
  after: Pick<State, "type" | "state_details">,
  policy: EmpiricalPolicy,
): "keep" | "end" | "revoke" {
  if (after.type === "SCHEDULED" && policy.retry_type !== "in_process") {
    return before !== null && isTerminal(before.type) ? "revoke" : "end";
  }
  const suspends = after.type === "PAUSED" && after.state_details.pause_reschedule;
  return isTerminal(after.type) || suspends ? "end" : "keep";
}

export type ClaimEnd =
  | { action: "return"; message: string }
  | { action: "crash"; message: string }
  | { action: "cancel"; message: string }
  /** It was started, and whoever started it has not said so: it has the time of a run that was. */
  | { action: "prolong" }
  | { action: "none" };

/** What becomes of a run whose worker did not renew its claim in time. */
export function decideClaimEnd(
  claim: { worker_name: string; started: boolean; unstarted_claims: number },
  state: Pick<State, "type"> | null,
): ClaimEnd {
  const worker = `Worker '${claim.worker_name}'`;
  switch (state?.type) {
    case "PENDING":
      if (claim.started) {
        return {
          action: "crash",
          message: `${worker} started infrastructure for this run and has not been heard of since; the flow never began.`,
        };
      }
      return claim.unstarted_claims + 1 >= MAX_UNSTARTED_CLAIMS
        ? {
            action: "crash",
            message: `${MAX_UNSTARTED_CLAIMS} workers in a row took this run and vanished before they started it, the last was '${claim.worker_name}'.`,
          }
        : { action: "return", message: `${worker} took this run and vanished before it started it.` };
    case "RUNNING":
    // A claim outlasts a retry and a pause only where the run's process does.
    case "SCHEDULED":
    case "PAUSED":
      if (!claim.started) {
        return { action: "prolong" };
      }
      return {
        action: "crash",
        message: `${worker}, which ran this flow run, has not been heard of for ${STARTED_CLAIM_SECONDS} s.`,
      };
    case "CANCELLING":
      return { action: "cancel", message: `${worker}, which was to stop this flow run, is gone.` };
    default:
      return { action: "none" };
  }
}
