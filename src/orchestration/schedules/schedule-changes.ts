import { isSameJson } from "../../flowyard-api/canonical-json.ts";
import { spellSpec } from "../../flowyard-api/schedule-state.ts";
import type { CreateDeploymentSchedule, DeploymentSchedule } from "../../prefect-api/schedules.ts";
import { UserError } from "../../shared/errors.ts";

/** What happens to a deployment's schedules. Those that are in no list stay as they are. */
export interface ScheduleChanges {
  remove: readonly string[];
  update: readonly { id: string; schedule: CreateDeploymentSchedule; before?: DeploymentSchedule | undefined }[];
  create: readonly CreateDeploymentSchedule[];
}

const NO_CHANGES: ScheduleChanges = { remove: [], update: [], create: [] };

/**
 * What a request does to the schedules that are there. `replace` means the given ones and no others. `merge` is what
 * Prefect does with a PATCH (surface §4.4): by slug when every existing and every given schedule has one, refused when
 * only the existing ones do, else all are replaced. Throws UserError INVALID_SCHEDULE.
 */
export function decideScheduleChanges(
  mode: "replace" | "merge",
  existing: readonly DeploymentSchedule[],
  given: readonly CreateDeploymentSchedule[] | undefined,
): ScheduleChanges {
  if (given === undefined) {
    return NO_CHANGES;
  }
  const idBySlug = new Map(existing.flatMap(({ slug, id }) => (slug ? [[slug, id] as const] : [])));
  if (mode === "replace" || existing.length === 0 || idBySlug.size < existing.length) {
    return replaceOthers(existing, given);
  }
  if (given.some(({ slug }) => !slug)) {
    throw new UserError(
      "INVALID_SCHEDULE",
      "Please provide a slug for each schedule in your request to ensure schedules are updated correctly.",
    );
  }
  checkReplacements(given, idBySlug);
  const targets = given.map((schedule) => ({
    before: existing.find(({ id }) => id === idBySlug.get(schedule.replaces ?? schedule.slug ?? "")),
    schedule,
  }));
  return {
    remove: [],
    update: targets.flatMap(({ before, schedule }) =>
      before === undefined || saysTheSame(schedule, before) ? [] : [{ id: before.id, schedule, before }],
    ),
    create: targets.flatMap(({ before, schedule }) => (before === undefined ? [schedule] : [])),
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

/** Prefect gives all of them new ids; here one that says the same goes on, so that a deploy touches what it changes. */
function replaceOthers(
  existing: readonly DeploymentSchedule[],
  given: readonly CreateDeploymentSchedule[],
): ScheduleChanges {
  const free = new Set(existing);
  const create: CreateDeploymentSchedule[] = [];
  const update: { id: string; schedule: CreateDeploymentSchedule; before: DeploymentSchedule }[] = [];
  for (const schedule of given) {
    const same = [...free].find((candidate) => saysTheSame({ ...schedule, active: undefined }, candidate));
    if (same === undefined) {
      create.push(schedule);
      continue;
    }
    free.delete(same);
    if (!saysTheSame(schedule, same)) {
      update.push({ id: same.id, schedule, before: same });
    }
  }
  return { remove: [...free].map(({ id }) => id), update, create };
}

/** Whether a body would change nothing: what it leaves out counts as what is there. */
function saysTheSame(
  given: Omit<CreateDeploymentSchedule, "active"> & { active?: boolean | undefined },
  existing: DeploymentSchedule,
): boolean {
  const spec = spellSpec(existing.schedule);
  const anchored =
    "interval" in given.schedule && given.schedule.anchor_date === undefined
      ? { ...spellSpec(given.schedule), anchor_date: spec["anchor_date"] }
      : spellSpec(given.schedule);
  return (
    isSameJson(anchored, spec) &&
    (given.active ?? existing.active) === existing.active &&
    isSameJson(given.parameters, existing.parameters) &&
    (given.slug ?? null) === (existing.slug ?? null) &&
    (given.max_scheduled_runs ?? existing.max_scheduled_runs ?? null) === (existing.max_scheduled_runs ?? null)
  );
}
