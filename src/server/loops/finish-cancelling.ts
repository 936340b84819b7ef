import { finishCancelling } from "../../orchestration/states/finish-cancelling.ts";
import type { LoopSettings } from "../config.ts";
import type { Loop, LoopDeps } from "./loop.ts";

const EVERY_MS = 20_000;
const MOST = 50;

/** Ends cancellations that nobody else ends, and cancels what a cancelled run has called. */
export function buildFinishCancelling(deps: LoopDeps, { cancellingTimeoutSeconds }: LoopSettings): Loop {
  return {
    name: "finish-cancelling",
    everyMs: EVERY_MS,
    wakeOn: "flow_run_cancelled",
    essential: false,
    tick: ({ now }) => finishCancelling(deps, now, { timeoutSeconds: cancellingTimeoutSeconds, most: MOST }),
  };
}
