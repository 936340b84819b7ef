import { randomUUID } from "node:crypto";
import type {
  CreateDeploymentSchedule,
  DeploymentSchedule,
  ScheduleSpec,
  UpdateDeploymentSchedule,
} from "../prefect-api/schedules.ts";
import { type Timestamp, timestampFromDate } from "../prefect-api/timestamp.ts";
import { hasCode, UserError } from "../shared/errors.ts";
import type { StoredSchedule } from "../storage/deployment-schedules.ts";
import type { Store, Tx } from "../storage/store.ts";
import { validateSchedule } from "./schedules/next-fire-times.ts";

/** What an update does to a deployment's schedules. */
export type ScheduleChanges =
  | { kind: "keep" }
  | { kind: "replace"; schedules: readonly CreateDeploymentSchedule[] }
  | {
      kind: "merge";
      update: readonly { id: string; schedule: CreateDeploymentSchedule }[];
      create: readonly CreateDeploymentSchedule[];
    };

/**
 * Prefect's merge rules (surface §4.4): by slug when every existing and every given schedule has one, refused when only
 * the existing ones do, else all are replaced. Throws UserError INVALID_SCHEDULE.
 */
export function decideScheduleChanges(
  existing: readonly DeploymentSchedule[],
  given: readonly CreateDeploymentSchedule[] | undefined,
): ScheduleChanges {
  if (given === undefined) {
    return { kind: "keep" };
  }
  const idBySlug = new Map(existing.flatMap(({ slug, id }) => (slug ? [[slug, id] as const] : [])));
  if (existing.length === 0 || idBySlug.size < existing.length) {
    return { kind: "replace", schedules: given };
  }
  if (given.some(({ slug }) => !slug)) {
    throw new UserError(
      "INVALID_SCHEDULE",
      "Please provide a slug for each schedule in your request to ensure schedules are updated correctly.",
    );
  }
  checkReplacements(given, idBySlug);
  const targets = given.map((schedule) => ({
    id: idBySlug.get(schedule.replaces ?? schedule.slug ?? ""),
    schedule,
  }));
  return {
    kind: "merge",
    update: targets.flatMap(({ id, schedule }) => (id === undefined ? [] : [{ id, schedule }])),
    create: targets.flatMap(({ id, schedule }) => (id === undefined ? [schedule] : [])),
  };
}

function checkReplacements(given: readonly CreateDeploymentSchedule[], idBySlug: ReadonlyMap<string, string>): void {
  const replaced = given.flatMap(({ replaces }) => replaces ?? []);
  const twice = replaced.find((slug, index) => replaced.indexOf(slug) !== index);
  if (twice !== undefined) {
    throw new UserError("INVALID_SCHEDULE", `Multiple schedules have 'replaces' targeting the same slug: ${twice}`);
  }
  const clash = given.find(({ slug, replaces }) => replaces && slug && idBySlug.has(slug) && !replaced.includes(slug));
  if (clash !== undefined) {
    throw new UserError(
      "INVALID_SCHEDULE",
      `Cannot rename schedule from '${clash.replaces}' to '${clash.slug}': a schedule with slug '${clash.slug}' already exists.`,
    );
  }
}

export async function saveScheduleChanges(
  tx: Tx,
  deploymentId: string,
  changes: ScheduleChanges,
  now: Date,
): Promise<void> {
  switch (changes.kind) {
    case "keep":
      return;
    case "replace":
      await tx.deployments.schedules.removeAll(deploymentId);
      await writeSchedules(tx, deploymentId, changes.schedules, now);
      return;
    case "merge":
      // Slugs are unique: those that change make way first.
      for (const { id, schedule } of changes.update) {
        if (schedule.replaces) {
          await tx.deployments.schedules.update(deploymentId, id, { slug: null });
        }
      }
      for (const { id, schedule } of changes.update) {
        await tx.deployments.schedules.update(deploymentId, id, {
          schedule: completeSpec(schedule.schedule, timestampFromDate(now)),
          active: schedule.active,
          parameters: schedule.parameters,
          slug: schedule.slug ?? null,
          ...(schedule.max_scheduled_runs !== undefined && { max_scheduled_runs: schedule.max_scheduled_runs }),
        });
      }
      await writeSchedules(tx, deploymentId, changes.create, now);
      return;
  }
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
    schedule: completeSpec(schedule.schedule, timestamp),
    active: schedule.active,
    max_scheduled_runs: schedule.max_scheduled_runs ?? null,
    parameters: schedule.parameters,
    slug: schedule.slug ?? null,
  }));
  try {
    await tx.deployments.schedules.insert(stored);
  } catch (error) {
    throw asTaken(error);
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

/** With the defaults that Prefect stores. Throws UserError INVALID_SCHEDULE for one that can never be computed. */
function completeSpec(spec: ScheduleSpec, now: Timestamp): DeploymentSchedule["schedule"] {
  const problem = validateSchedule(spec);
  if (problem !== undefined) {
    throw new UserError("INVALID_SCHEDULE", problem);
  }
  if ("interval" in spec) {
    return { interval: spec.interval, anchor_date: spec.anchor_date ?? now, timezone: spec.timezone ?? "UTC" };
  }
  if ("rrule" in spec && !/DTSTART/i.test(spec.rrule)) {
    return { ...spec, rrule: `${RRULE_START}\n${spec.rrule}` };
  }
  return spec;
}

async function checkDeployment(tx: Tx, id: string): Promise<void> {
  if ((await tx.deployments.find(id)) === undefined) {
    throw new UserError("NOT_FOUND", "Deployment not found.");
  }
}

/** Throws UserError NOT_FOUND, ALREADY_EXISTS. */
export function createSchedules(
  store: Pick<Store, "transaction">,
  deploymentId: string,
  schedules: readonly CreateDeploymentSchedule[],
  now: Date,
): Promise<StoredSchedule[]> {
  return store.transaction(async (tx) => {
    await checkDeployment(tx, deploymentId);
    return await writeSchedules(tx, deploymentId, schedules, now);
  });
}

/** Changes the keys that are present, and removes the runs that it had made. Throws UserError NOT_FOUND. */
export function updateSchedule(
  store: Pick<Store, "transaction">,
  place: { deploymentId: string; scheduleId: string },
  body: UpdateDeploymentSchedule,
  now: Date,
): Promise<void> {
  const { schedule, active, max_scheduled_runs, parameters, slug } = body;
  return store.transaction(async (tx) => {
    await checkDeployment(tx, place.deploymentId);
    const changes = {
      ...(schedule !== undefined && { schedule: completeSpec(schedule, timestampFromDate(now)) }),
      ...(active !== undefined && { active }),
      ...(max_scheduled_runs !== undefined && { max_scheduled_runs }),
      ...(parameters !== undefined && { parameters }),
      ...(slug !== undefined && { slug }),
    };
    const found = await tx.deployments.schedules
      .update(place.deploymentId, place.scheduleId, changes)
      .catch((error) => {
        throw asTaken(error);
      });
    if (!found) {
      throw new UserError("NOT_FOUND", "Schedule not found.");
    }
    await tx.flowRuns.removeScheduled(place.deploymentId, { autoOnly: true, futureOnly: true });
  });
}

/** Throws UserError NOT_FOUND. */
export function deleteSchedule(
  store: Pick<Store, "transaction">,
  place: { deploymentId: string; scheduleId: string },
): Promise<void> {
  return store.transaction(async (tx) => {
    await checkDeployment(tx, place.deploymentId);
    if (!(await tx.deployments.schedules.remove(place.deploymentId, place.scheduleId))) {
      throw new UserError("NOT_FOUND", "Schedule not found.");
    }
    await tx.flowRuns.removeScheduled(place.deploymentId, { autoOnly: true, futureOnly: false });
  });
}
