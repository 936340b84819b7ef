import type { ScheduleDeployment } from "../../prefect-api/deployments.ts";
import { timestampToMs } from "../../prefect-api/timestamp.ts";
import { UserError } from "../../shared/errors.ts";
import type { Store } from "../../storage/store.ts";
import { HORIZON, listAhead } from "./plan-fire-times.ts";
import { buildScheduledRun } from "./schedule-flow-runs.ts";

/** Of all schedules of the deployment together. */
const MAX_RUNS = 5000;

/**
 * Makes runs of a deployment's active schedules, the fewest that satisfy the lower bounds of the request and Prefect's
 * defaults; those that are there already are left alone. Does nothing for an unknown deployment, as Prefect. Throws
 * UserError INVALID_SCHEDULE when that would be too many.
 */
export function scheduleDeployment(
  store: Pick<Store, "transaction">,
  deploymentId: string,
  body: ScheduleDeployment,
  now: Date,
): Promise<number> {
  const start = body.start_time ? new Date(timestampToMs(body.start_time)) : now;
  const end = body.end_time ? new Date(timestampToMs(body.end_time)) : undefined;
  const horizon = {
    ...HORIZON,
    minRuns: body.min_runs ?? HORIZON.minRuns,
    maxRuns: Math.max(0, body.max_runs ?? HORIZON.maxRuns),
    minAheadMs: body.min_time === null || body.min_time === undefined ? HORIZON.minAheadMs : body.min_time * 1000,
  };
  return store.transaction(async (tx) => {
    const source = await tx.deployments.findRunSource(deploymentId);
    if (source === undefined) {
      return 0;
    }
    const schedules = await tx.deployments.schedules.listActive(deploymentId);
    const flowRuns = schedules.flatMap((schedule) =>
      listAhead(schedule.schedule, start, horizon, end).map((fireTime) =>
        buildScheduledRun(source, schedule, fireTime, now),
      ),
    );
    if (flowRuns.length > MAX_RUNS) {
      throw new UserError(
        "INVALID_SCHEDULE",
        `This would make ${flowRuns.length} flow runs; at most ${MAX_RUNS} are made at once.`,
        { hint: "Ask for fewer with max_runs, or for a shorter time with end_time." },
      );
    }
    if (source.work_pool_id !== null && flowRuns.length > 0) {
      tx.wakeUps.notify("flow_run_scheduled", source.work_pool_id);
    }
    return await tx.scheduledFlowRuns.insert(flowRuns);
  });
}
