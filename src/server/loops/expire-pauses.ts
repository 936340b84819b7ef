import { expirePauses } from "../../orchestration/states/expire-pauses.ts";
import type { Loop, LoopDeps } from "./loop.ts";

const EVERY_MS = 5000;
const MOST = 50;

/** Fails runs whose pause has timed out. */
export function buildExpirePauses(deps: LoopDeps): Loop {
  return {
    name: "expire-pauses",
    everyMs: EVERY_MS,
    essential: false,
    tick: ({ now }) => expirePauses(deps, now, MOST),
  };
}
