import { handOnSlots } from "../../orchestration/slots/hand-on-slots.ts";
import type { Loop, LoopDeps } from "./loop.ts";

/** A slot that became free is taken within a second. */
const EVERY_MS = 800;
/** Of one tick. */
const MOST = 50;

/** Hands slots on that became free by themselves, and ends who does not wait for one. */
export function buildHandOnSlots(deps: LoopDeps): Loop {
  let since = deps.clock.now();
  return {
    name: "hand-on-slots",
    everyMs: EVERY_MS,
    essential: false,
    tick: async ({ now }) => {
      const result = await handOnSlots(deps, now, { since, most: MOST });
      since = now;
      return result;
    },
  };
}
