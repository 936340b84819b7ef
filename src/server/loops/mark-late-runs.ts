import { markLateRuns } from "../../orchestration/states/mark-late-runs.ts";
import type { LoopSettings } from "../config.ts";
import type { Loop, LoopDeps } from "./loop.ts";

const EVERY_MS = 5000;
/** Of one tick. After an outage thousands may be late at once; requests have their turn between the batches. */
const MOST = 50;

/** Marks runs Late that nobody took in time. */
export function buildMarkLateRuns(deps: LoopDeps, { lateAfterSeconds }: LoopSettings): Loop {
  return {
    name: "mark-late-runs",
    everyMs: EVERY_MS,
    essential: false,
    tick: ({ now }) => markLateRuns(deps, now, { afterSeconds: lateAfterSeconds, most: MOST }),
  };
}
