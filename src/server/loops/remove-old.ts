import { removeOld } from "../../orchestration/flow-runs/remove-old.ts";
import { sleep } from "../../shared/abort.ts";
import type { LoopSettings } from "../config.ts";
import type { Loop, LoopDeps } from "./loop.ts";

const EVERY_MS = 600_000;
/** Requests are given this many times as long as a batch took before the next one, */
const PAUSE_FACTOR = 4;
/** and no longer than this: on a busy machine a batch takes long because of the others. */
const MAX_PAUSE_MS = 100;

/** Removes runs, logs and events that were kept long enough. */
export function buildRemoveOld(deps: LoopDeps, { retention }: LoopSettings): Loop {
  return {
    name: "remove-old",
    everyMs: EVERY_MS,
    essential: false,
    tick: async ({ now, signal }) => {
      const startedMs = performance.now();
      const result = await removeOld(deps, now, retention);
      if (result.more) {
        await sleep(Math.min((performance.now() - startedMs) * PAUSE_FACTOR, MAX_PAUSE_MS), signal);
      }
      return result;
    },
  };
}
