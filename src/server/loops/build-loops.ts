import type { LoopSettings } from "../config.ts";
import type { Loop, LoopDeps } from "./loop.ts";
import { buildScheduleFlowRuns } from "./schedule-flow-runs.ts";

/** Every loop of the plane. */
export function buildLoops(deps: LoopDeps, settings: LoopSettings): Loop[] {
  return [buildScheduleFlowRuns(deps, settings)];
}
