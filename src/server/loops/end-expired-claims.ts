import {
  CLAIM_GRACE_SECONDS,
  type ClaimWatch,
  mayEndClaims,
  watchClaims,
} from "../../orchestration/claims/claim-grace.ts";
import { endExpiredClaims } from "../../orchestration/claims/end-expired-claims.ts";
import type { Loop, LoopDeps } from "./loop.ts";

/** A third of the shortest lease is what a worker has for its renewals; a lost run waits no longer than this besides. */
const EVERY_MS = 2000;

/**
 * Returns or ends the runs of workers that vanished. Not while it was the plane that could not be reached, or its clock
 * that was moved. `steadyMs` is a clock that goes on evenly.
 */
export function buildEndExpiredClaims(deps: LoopDeps, steadyMs = () => performance.now()): Loop {
  let watch: ClaimWatch | undefined;
  return {
    name: "end-expired-claims",
    everyMs: EVERY_MS,
    essential: false,
    tick: async ({ now }) => {
      watch = watchClaims(watch, { clockSeconds: now.getTime() / 1000, steadySeconds: steadyMs() / 1000 });
      if (watch.disturbance === "paused" || watch.disturbance === "clock moved") {
        deps.logger.warn(
          { disturbance: watch.disturbance, seconds: CLAIM_GRACE_SECONDS },
          "The plane stood still or its clock was moved: no claims are ended for now",
        );
      }
      return mayEndClaims(watch) ? await endExpiredClaims(deps, now) : { changed: 0, more: false };
    },
  };
}
