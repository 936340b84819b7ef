import { randomUUID } from "node:crypto";
import { isSameJson } from "../../flowyard-api/canonical-json.ts";
import type { Deployment } from "../../prefect-api/deployments.ts";
import type {
  CreateDeploymentSchedule,
  DeploymentSchedule,
  ScheduleSpec,
  UpdateDeploymentSchedule,
} from "../../prefect-api/schedules.ts";
import { type Timestamp, timestampFromDate } from "../../prefect-api/timestamp.ts";
import { hasCode, UserError } from "../../shared/errors.ts";
import type { StoredSchedule } from "../../storage/deployment-schedules.ts";
import type { Store, Tx } from "../../storage/store.ts";
import { validateSchedule } from "./next-fire-times.ts";
import { decideScheduleChanges, type ScheduleChanges } from "./schedule-changes.ts";
import { buildRunParts } from "./schedule-flow-runs.ts";

/** Writes what was decided; a schedule that stays as it is keeps its id and its runs. Throws UserError ALREADY_EXISTS. */
export async function saveScheduleChanges(
  tx: Tx,
  deploymentId: string,
  changes: ScheduleChanges,
  now: Date,
): Promise<void> {
  for (const id of changes.remove) {
    await removeSchedule(tx, deploymentId, id, { futureOnly: true });
  }
  // Slugs are unique: those that change make way first.
  for (const { id, schedule } of changes.update) {
    if (schedule.replaces) {
      await tx.deployments.schedules.update(deploymentId, id, { slug: null });
    }
  }
  for (const { id, schedule, before } of changes.update) {
    await tx.deployments.schedules.update(deploymentId, id, {
      schedule: completeSpec(schedule.schedule, before?.schedule, timestampFromDate(now)),
      ...(schedule.active !== undefined && { active: schedule.active }),
      parameters: schedule.parameters,
      slug: schedule.slug ?? null,
      ...(schedule.max_scheduled_runs !== undefined && { max_scheduled_runs: schedule.max_scheduled_runs }),
    });
  }
  const changed = changes.update.map(({ id }) => id);
  await restartSchedules(tx, deploymentId, now, changed);
  await writeSchedules(tx, deploymentId, changes.create, now);
}

/**
 * Begins anew with schedules of a deployment, with all or with some: their runs that are still to come go, and the
 * scheduler makes others. Fire times that have passed stay decided.
 */
export async function restartSchedules(
  tx: Tx,
  deploymentId: string,
  now: Date,
  ids?: readonly string[],
): Promise<void> {
  if (ids?.length === 0) {
    return;
  }
  const restarted = await tx.deployments.schedules.restart(deploymentId, timestampFromDate(now), ids);
  await tx.scheduledFlowRuns.removeWaiting(restarted, { futureOnly: true });
  tx.wakeUps.notify("schedule_changed", deploymentId);
}

/** What a schedule's runs are made of. The rest is read when they start. */
const RUN_KEYS = [
  "version",
  "parameters",
  "tags",
  "labels",
  "work_queue_id",
  "infrastructure_document_id",
] as const satisfies readonly (keyof Deployment)[];

/** After a change: what its schedules have made for the future follows it. */
export async function renewRuns(tx: Tx, before: Deployment, now: Date): Promise<void> {
  const after = await tx.deployments.find(before.id);
  if (after === undefined) {
    return;
  }
  if (before.paused !== after.paused) {
    await restartSchedules(tx, before.id, now);
  } else if (!RUN_KEYS.every((key) => isSameJson(before[key], after[key]))) {
    await renewScheduledRuns(tx, before.id);
  }
}

/** Gives the runs that are still to come what the deployment is now; they keep their ids and times. */
async function renewScheduledRuns(tx: Tx, deploymentId: string): Promise<void> {
  const schedules = await tx.deployments.schedules.outdate(deploymentId);
  const source = schedules.length === 0 ? undefined : await tx.deployments.findRunSource(deploymentId);
  if (source !== undefined) {
    for (const schedule of schedules) {
      await tx.scheduledFlowRuns.renew(schedule.id, buildRunParts(source, schedule));
    }
  }
}

async function removeSchedule(
  tx: Tx,
  deploymentId: string,
  id: string,
  which: { futureOnly: boolean },
): Promise<boolean> {
  const found = await tx.deployments.schedules.remove(deploymentId, id);
  await tx.scheduledFlowRuns.removeWaiting([id], which);
  return found;
}

/** Throws UserError ALREADY_EXISTS when a slug is taken. */
export async function writeSchedules(
  tx: Tx,
  deploymentId: string,
  schedules: readonly CreateDeploymentSchedule[],
  now: Date,
): Promise<StoredSchedule[]> {
  const timestamp = timestampFromDate(now);
  const stored = schedules.map((schedule) => ({
    id: randomUUID(),
    created: timestamp,
    updated: timestamp,
    deployment_id: deploymentId,
    schedule: completeSpec(schedule.schedule, undefined, timestamp),
    active: schedule.active ?? true,
    max_scheduled_runs: schedule.max_scheduled_runs ?? null,
    parameters: schedule.parameters,
    slug: schedule.slug ?? null,
  }));
  try {
    await tx.deployments.schedules.insert(stored);
  } catch (error) {
    throw asTaken(error);
  }
  if (stored.length > 0) {
    tx.wakeUps.notify("schedule_changed", deploymentId);
  }
  return stored;
}

function asTaken(error: unknown): unknown {
  return hasCode(error, "ALREADY_EXISTS")
    ? new UserError("ALREADY_EXISTS", "Schedule slugs must be unique within a deployment.", { cause: error })
    : error;
}

/** Where Prefect anchors a rule that has no start of its own. */
const RRULE_START = "DTSTART:20200101T000000";

/**
 * With the defaults that Prefect stores; an interval that names no anchor goes on from the one it had, so that saying
 * the same again shifts no run. Throws UserError INVALID_SCHEDULE for one that can never be computed.
 */
function completeSpec(
  spec: ScheduleSpec,
  before: DeploymentSchedule["schedule"] | undefined,
  now: Timestamp,
): DeploymentSchedule["schedule"] {
  const problem = validateSchedule(spec);
  if (problem !== undefined) {
    throw new UserError("INVALID_SCHEDULE", problem);
  }
  if ("interval" in spec) {
    const kept = before !== undefined && "interval" in before ? before.anchor_date : undefined;
    return { interval: spec.interval, anchor_date: spec.anchor_date ?? kept ?? now, timezone: spec.timezone ?? "UTC" };
  }
  if ("rrule" in spec && !/DTSTART/i.test(spec.rrule)) {
    return { ...spec, rrule: `${RRULE_START}\n${spec.rrule}` };
  }
  return spec;
}

async function getSchedules(tx: Tx, deploymentId: string): Promise<StoredSchedule[]> {
  if ((await tx.deployments.find(deploymentId)) === undefined) {
    throw new UserError("NOT_FOUND", "Deployment not found.");
  }
  return (await tx.deployments.schedules.listOf([deploymentId])).get(deploymentId) ?? [];
}

/** Throws UserError NOT_FOUND, ALREADY_EXISTS. */
export function createSchedules(
  store: Pick<Store, "transaction">,
  deploymentId: string,
  schedules: readonly CreateDeploymentSchedule[],
  now: Date,
): Promise<StoredSchedule[]> {
  return store.transaction(async (tx) => {
    await getSchedules(tx, deploymentId);
    return await writeSchedules(tx, deploymentId, schedules, now);
  });
}

/** Changes the keys that are present, and makes its runs anew. Throws UserError NOT_FOUND. */
export function updateSchedule(
  store: Pick<Store, "transaction">,
  place: { deploymentId: string; scheduleId: string },
  body: UpdateDeploymentSchedule,
  now: Date,
): Promise<void> {
  const { schedule, active, max_scheduled_runs, parameters, slug } = body;
  return store.transaction(async (tx) => {
    const before = (await getSchedules(tx, place.deploymentId)).find(({ id }) => id === place.scheduleId);
    if (before === undefined) {
      throw new UserError("NOT_FOUND", "Schedule not found.");
    }
    const changes = {
      ...(schedule !== undefined && { schedule: completeSpec(schedule, before.schedule, timestampFromDate(now)) }),
      ...(active !== undefined && { active }),
      ...(max_scheduled_runs !== undefined && { max_scheduled_runs }),
      ...(parameters !== undefined && { parameters }),
      ...(slug !== undefined && { slug }),
    };
    await tx.deployments.schedules.update(place.deploymentId, place.scheduleId, changes).catch((error) => {
      throw asTaken(error);
    });
    await restartSchedules(tx, place.deploymentId, now, [place.scheduleId]);
  });
}

/** Removes the schedule with its runs that wait. Throws UserError NOT_FOUND. */
export function deleteSchedule(
  store: Pick<Store, "transaction">,
  place: { deploymentId: string; scheduleId: string },
): Promise<void> {
  return store.transaction(async (tx) => {
    await getSchedules(tx, place.deploymentId);
    if (!(await removeSchedule(tx, place.deploymentId, place.scheduleId, { futureOnly: false }))) {
      throw new UserError("NOT_FOUND", "Schedule not found.");
    }
  });
}

/** Replaces a deployment's schedules, less those that say the same: these stay, as they are. */
export async function replaceSchedules(
  tx: Tx,
  deploymentId: string,
  given: readonly CreateDeploymentSchedule[],
  now: Date,
): Promise<void> {
  const existing = (await tx.deployments.schedules.listOf([deploymentId])).get(deploymentId) ?? [];
  await saveScheduleChanges(tx, deploymentId, decideScheduleChanges("replace", existing, given), now);
}
