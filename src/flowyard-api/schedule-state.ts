import type { JsonObject } from "../prefect-api/primitives.ts";
import type { DeploymentSchedule } from "../prefect-api/schedules.ts";
import { canonicalJson } from "./canonical-json.ts";
import type { ReleaseSchedule } from "./releases.ts";

export interface ScheduleState {
  /** Of the live schedule that this one is; null for a new one. */
  id: string | null;
  schedule: DeploymentSchedule["schedule"];
  active: boolean;
  max_scheduled_runs: number | null;
  parameters: JsonObject;
  slug: string | null;
}

type Comparable = Pick<ScheduleState, "schedule" | "parameters"> & { slug?: string | null | undefined };
type Pair = readonly [ReleaseSchedule, ScheduleState | undefined];

interface Context {
  live: readonly ScheduleState[];
  base: readonly ReleaseSchedule[] | undefined;
  keepsPauses: boolean;
}

/** Undefined: the release says nothing, so what is there stays, less what the release before had said. */
export function decideSchedules(
  wanted: readonly ReleaseSchedule[] | undefined,
  { live, base, keepsPauses }: Context,
): ScheduleState[] {
  const said = new Set(pairSchedules(base ?? [], live).map(([, found]) => found));
  if (wanted === undefined) {
    return live.filter((schedule) => !said.has(schedule));
  }
  const wasInactive = new Set(
    pairSchedules(base ?? [], live).flatMap(([before, found]) => (before.active === false ? [found] : [])),
  );
  return pairSchedules(wanted, live).map(([schedule, found]) => ({
    id: found?.id ?? null,
    schedule: withAnchorOf(schedule.schedule, found),
    active: schedule.active ?? (found === undefined || !keepsPauses || found.active || wasInactive.has(found)),
    max_scheduled_runs: schedule.max_scheduled_runs ?? null,
    parameters: schedule.parameters,
    slug: schedule.slug ?? null,
  }));
}

/** An interval that names no anchor goes on from the one it has: a deploy must not shift the runs. */
function withAnchorOf(spec: ReleaseSchedule["schedule"], found: ScheduleState | undefined): ScheduleState["schedule"] {
  if (
    !("interval" in spec) ||
    spec.anchor_date !== undefined ||
    found === undefined ||
    !("interval" in found.schedule)
  ) {
    return spec;
  }
  return { ...spec, anchor_date: found.schedule.anchor_date };
}

/** How a schedule is recognized, the surest sign first. The last one: a single schedule whose times were edited. */
const SIGNS: readonly ((schedule: Comparable) => string | undefined)[] = [
  ({ slug }) => slug ?? undefined,
  ({ schedule, parameters }) => canonicalJson([spellSpec(schedule), parameters]),
  ({ schedule, parameters }) => canonicalJson([withoutAnchor(spellSpec(schedule)), parameters]),
  ({ schedule }) => canonicalJson(withoutAnchor(spellSpec(schedule))),
];

function pairSchedules(wanted: readonly ReleaseSchedule[], live: readonly ScheduleState[]): Pair[] {
  const found = new Map<ReleaseSchedule, ScheduleState>();
  const free = new Set(live);
  for (const sign of SIGNS) {
    for (const schedule of wanted) {
      const mark = found.has(schedule) ? undefined : sign(schedule);
      const match = mark === undefined ? undefined : [...free].find((each) => sign(each) === mark);
      if (match !== undefined) {
        found.set(schedule, match);
        free.delete(match);
      }
    }
  }
  const [lonely, ...others] = wanted.filter((schedule) => !found.has(schedule));
  const [last, ...rest] = free;
  if (lonely !== undefined && last !== undefined && others.length === 0 && rest.length === 0) {
    const isOther = lonely.slug && last.slug && lonely.slug !== last.slug;
    if (!isOther) {
      found.set(lonely, last);
    }
  }
  return wanted.map((schedule) => [schedule, found.get(schedule)]);
}

function withoutAnchor(spec: JsonObject): JsonObject {
  const { anchor_date: _anchor, ...rest } = spec;
  return rest;
}

/** What servers put before a rule that has no start of its own. */
const DEFAULT_RRULE_START = /^DTSTART:20200101T000000\n/;

/** A spec in one spelling: without what a server adds to it. */
export function spellSpec(spec: DeploymentSchedule["schedule"] | ReleaseSchedule["schedule"]): JsonObject {
  const timezone = spec.timezone ?? "UTC";
  if ("cron" in spec) {
    return { cron: spec.cron.trim().replace(/\s+/g, " "), timezone, day_or: spec.day_or };
  }
  if ("rrule" in spec) {
    return { rrule: spec.rrule.replace(DEFAULT_RRULE_START, ""), timezone };
  }
  return { interval: spec.interval, ...(spec.anchor_date && { anchor_date: spec.anchor_date }), timezone };
}

/** Whether two say the same, whatever their ids and spelling. */
export function isSameSchedule(a: ScheduleState, b: ScheduleState): boolean {
  const spell = ({ schedule, active, max_scheduled_runs, parameters, slug }: ScheduleState) =>
    canonicalJson([spellSpec(schedule), active, max_scheduled_runs, parameters, slug]);
  return spell(a) === spell(b);
}
