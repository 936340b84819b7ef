import { scheduleFlowRuns } from "../../orchestration/schedules/schedule-flow-runs.ts";
import type { LoopSettings } from "../config.ts";
import type { Loop, LoopDeps } from "./loop.ts";

/** Turns schedules into flow runs. */
export function buildScheduleFlowRuns(deps: LoopDeps, { schedulerSeconds }: LoopSettings): Loop {
  return {
    name: "schedule-flow-runs",
    everyMs: schedulerSeconds * 1000,
    wakeOn: "schedule_changed",
    essential: true,
    tick: ({ now }) => scheduleFlowRuns(deps, now),
  };
}
