import { randomUUID } from "node:crypto";
import { v7 as uuidv7 } from "uuid";
import { EmpiricalPolicy } from "../../prefect-api/flow-runs.ts";
import { type Timestamp, timestampFromDate, timestampToMs } from "../../prefect-api/timestamp.ts";
import { errorMessage } from "../../shared/errors.ts";
import type { Logger } from "../../shared/logger.ts";
import type { RunSource } from "../../storage/deployment-rows.ts";
import type { DueSchedule } from "../../storage/deployment-schedules.ts";
import type { RenewedParts, ScheduledFlowRun } from "../../storage/scheduled-flow-runs.ts";
import type { Store, Tx } from "../../storage/store.ts";
import { buildRunName } from "../flow-runs/run-name.ts";
import { enterState, NO_STATE } from "../states/bookkeeping.ts";
import { buildState } from "../states/transition.ts";
import { formatFireTime } from "./format-fire-time.ts";
import { type FireTimePlan, findTooLate, planFireTimes } from "./plan-fire-times.ts";

/** Both bound how long one transaction keeps others waiting. */
const MAX_SCHEDULES_A_TICK = 100;
const MAX_RUNS_A_TICK = 200;

/** Workers that wait are told of runs that start within this time; they look by the clock for others. */
const SOON_MS = 60_000;

interface Deps {
  store: Pick<Store, "transaction">;
  logger: Logger;
}

/** Makes the flow runs that schedules are short of, in one bounded transaction. Safe to run on several planes at once. */
export function scheduleFlowRuns(deps: Deps, now: Date): Promise<{ changed: number; more: boolean }> {
  return deps.store.transaction(async (tx) => {
    const due = await tx.deployments.schedules.listDue(timestampFromDate(now), MAX_SCHEDULES_A_TICK);
    const sources = new Map<string, RunSource | undefined>();
    const flowRuns: ScheduledFlowRun[] = [];
    let more = due.length === MAX_SCHEDULES_A_TICK;
    for (const schedule of due) {
      if (flowRuns.length >= MAX_RUNS_A_TICK) {
        more = true;
        break;
      }
      const plan = schedule.paused ? leaveAlone(schedule) : planOrPostpone(deps.logger, schedule, now);
      more ||= plan.lookAt === null;
      if (await tx.deployments.schedules.advance(schedule, formatPlan(plan))) {
        await leaveOutLate(tx, deps.logger, schedule, now);
        const source = await findSource(tx, sources, schedule.deployment_id);
        flowRuns.push(...plan.make.map((fireTime) => buildScheduledRun(source, schedule, fireTime, now)));
      }
    }
    const changed = await tx.scheduledFlowRuns.insert(flowRuns);
    tellWorkers(tx, flowRuns, sources, now);
    return { changed, more };
  });
}

const NEVER = new Date(Date.UTC(9999, 11, 31));

/** Resuming the deployment has it looked at again. */
function leaveAlone(schedule: DueSchedule): FireTimePlan {
  return { make: [], scheduledUntil: decidedUntil(schedule), lookAt: NEVER };
}

function decidedUntil({ scheduled_until: until, created }: DueSchedule): Date {
  return new Date(timestampToMs(until ?? created));
}

/** A schedule that cannot be computed must not keep the others from theirs: it is told, and tried again after a day. */
function planOrPostpone(logger: Logger, schedule: DueSchedule, now: Date): FireTimePlan {
  const after = decidedUntil(schedule);
  try {
    return planFireTimes({ ...schedule, after, catchUp: schedule.catch_up, spread: spreadOf(schedule.id) }, now);
  } catch (error) {
    const fields = { deployment_id: schedule.deployment_id, schedule_id: schedule.id, reason: errorMessage(error) };
    logger.warn(fields, "schedule cannot be computed");
    return { make: [], scheduledUntil: after, lookAt: new Date(now.getTime() + 86_400_000) };
  }
}

/** The same for a schedule every time, and as good as random among them. */
function spreadOf(id: string): number {
  return Number.parseInt(id.slice(0, 6), 16) / 0x1_00_00_00;
}

/** A look that comes this late means that no plane was there to look: more than what spreads them, and a slow restart. */
const OUTAGE_MS = 120_000;

/** Runs that were made before an outage and did not start in it: those that the policy does not want any more go. */
async function leaveOutLate(tx: Tx, logger: Logger, schedule: DueSchedule, now: Date): Promise<void> {
  const { look_at: lookAt, catch_up: catchUp, id } = schedule;
  const wasAway = lookAt !== "" && now.getTime() - timestampToMs(lookAt) > OUTAGE_MS;
  const tooLate = wasAway ? findTooLate({ schedule: schedule.schedule, catchUp }, now) : undefined;
  const removed = tooLate === undefined ? 0 : await tx.scheduledFlowRuns.removeLate(id, timestampFromDate(tooLate));
  if (removed > 0) {
    const fields = { deployment_id: schedule.deployment_id, schedule_id: id, removed };
    tx.afterCommit(() => logger.info(fields, "late runs left out after an outage"));
  }
}

function formatPlan({ scheduledUntil, lookAt }: FireTimePlan): { scheduled_until: Timestamp; look_at: Timestamp } {
  return {
    scheduled_until: timestampFromDate(scheduledUntil),
    look_at: lookAt === null ? "" : timestampFromDate(lookAt),
  };
}

async function findSource(tx: Tx, sources: Map<string, RunSource | undefined>, id: string): Promise<RunSource> {
  const source = sources.get(id) ?? (await tx.deployments.findRunSource(id));
  sources.set(id, source);
  if (source === undefined) {
    throw new Error(`the deployment ${id} of a schedule is gone`);
  }
  return source;
}

/** A run as Prefect's scheduler makes it: nothing of the deployment is checked, and its job variables are not copied. */
export function buildScheduledRun(
  source: RunSource,
  schedule: DueSchedule,
  fireTime: Date,
  now: Date,
): ScheduledFlowRun {
  const id = randomUUID();
  const fireAt = timestampFromDate(fireTime);
  const draft = buildState("SCHEDULED", { message: "Flow run scheduled", details: { scheduled_time: fireAt } });
  const { state } = enterState({ ...NO_STATE, id, parent_task_run_id: null }, draft, EmpiricalPolicy.parse({}), {
    stateId: uuidv7(),
    now: timestampFromDate(now),
    clientApiVersion: null,
  });
  return {
    id,
    name: buildRunName(),
    flow_id: source.flow_id,
    deployment_id: source.id,
    ...buildRunParts(source, schedule),
    idempotency_key: `scheduled ${source.id} ${schedule.id} ${formatFireTime(fireTime, schedule.schedule.timezone)}`,
    empirical_policy: EmpiricalPolicy.parse({}),
    created_by: { id: schedule.id, type: "SCHEDULE", display_value: schedule.slug || nameKind(schedule.schedule) },
    auto_scheduled: true,
    schedule_id: schedule.id,
    fire_at: fireAt,
    state,
  };
}

/** What a run takes from its deployment and schedule. */
export function buildRunParts(source: RunSource, schedule: Pick<DueSchedule, "parameters">): RenewedParts {
  return {
    deployment_version: source.version,
    work_queue_id: source.work_queue_id,
    parameters: { ...source.parameters, ...schedule.parameters },
    tags: ["auto-scheduled", ...source.tags],
    labels: { ...source.labels, "prefect.flow.id": source.flow_id, "prefect.deployment.id": source.id },
    infrastructure_document_id: source.infrastructure_document_id,
  };
}

function nameKind(spec: DueSchedule["schedule"]): string {
  if ("cron" in spec) {
    return "CronSchedule";
  }
  return "rrule" in spec ? "RRuleSchedule" : "IntervalSchedule";
}

function tellWorkers(
  tx: Tx,
  flowRuns: readonly ScheduledFlowRun[],
  sources: ReadonlyMap<string, RunSource | undefined>,
  now: Date,
): void {
  const soon = timestampFromDate(new Date(now.getTime() + SOON_MS));
  for (const { fire_at: fireAt, deployment_id: id } of flowRuns) {
    const poolId = sources.get(id)?.work_pool_id ?? null;
    if (poolId !== null && fireAt <= soon) {
      tx.wakeUps.notify("flow_run_scheduled", poolId);
    }
  }
}
