import { repossessLeases } from "../../orchestration/slots/repossess-leases.ts";
import type { Loop, LoopDeps } from "./loop.ts";

const EVERY_MS = 15_000;
const MOST = 500;

/** Forgets leases that ended long ago. */
export function buildRepossessLeases(deps: LoopDeps): Loop {
  return {
    name: "repossess-leases",
    everyMs: EVERY_MS,
    essential: false,
    tick: ({ now }) => repossessLeases(deps, now, MOST),
  };
}
