import { endExpiredClaims } from "../../orchestration/end-expired-claims.ts";
import type { Loop, LoopDeps } from "./loop.ts";

/** A third of the shortest lease is what a worker has for its renewals; a lost run waits no longer than this besides. */
const EVERY_MS = 2000;

/** Returns or ends the runs of workers that vanished. */
export function buildEndExpiredClaims(deps: LoopDeps): Loop {
  return {
    name: "end-expired-claims",
    everyMs: EVERY_MS,
    essential: false,
    tick: ({ now }) => endExpiredClaims(deps, now),
  };
}
