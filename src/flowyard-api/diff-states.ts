import { isJsonObject } from "../prefect-api/exact-json.ts";
import type { Timestamp } from "../prefect-api/timestamp.ts";
import { canonicalJson, isSameJson } from "./canonical-json.ts";
import { type DeploymentState, EMPTY_STATE } from "./deployment-state.ts";
import { hideSecrets } from "./hide-secrets.ts";
import type { FieldChange, ReleaseImage } from "./releases.ts";
import { type ScheduleState, spellSpec } from "./schedule-state.ts";
import type { TriggerState } from "./trigger-state.ts";

/** One difference with its real values: for the hash, never to be shown. */
export interface Difference {
  path: string[];
  before: unknown;
  after: unknown;
}

/** Compared key by key; everything else as a whole. */
const NESTED: ReadonlySet<string> = new Set([
  "job_variables",
  "parameters",
  "parameter_openapi_schema",
  "concurrency_options",
  "labels",
]);

export function diffStates(before: DeploymentState, after: DeploymentState): Difference[] {
  const { schedules: _s, triggers: _t, tags: _tags, ...plain } = after;
  const differences = Object.entries(plain).flatMap(([key, value]) => {
    const previous: unknown = Reflect.get(before, key);
    return NESTED.has(key) ? diffNested([key], previous, value) : diffWhole([key], previous, value);
  });
  return [
    ...differences,
    ...(isSameJson(before.tags.toSorted(), after.tags.toSorted()) ? [] : diffWhole(["tags"], before.tags, after.tags)),
    ...diffWhole(["schedules"], spellSchedules(before.schedules), spellSchedules(after.schedules)),
    ...diffTriggers(before.triggers, after.triggers),
  ];
}

function diffWhole(path: string[], before: unknown, after: unknown): Difference[] {
  return isSameJson(before, after) ? [] : [{ path, before, after }];
}

/** Null where a side lacks the key: JSON has nothing else to say it with. A new map is told key by key, a schema whole. */
function diffNested(path: string[], previous: unknown, next: unknown): Difference[] {
  const isSchema = path[0] === "parameter_openapi_schema";
  const before = previous === undefined && isFilled(next) && !isSchema ? {} : previous;
  const after = next === undefined && isFilled(previous) && !isSchema ? {} : next;
  if (!isJsonObject(before) || !isJsonObject(after)) {
    return diffWhole(path, before ?? null, after ?? null);
  }
  const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...keys].flatMap((key) => {
    const isNew = key in before !== key in after && (before[key] ?? after[key] ?? null) === null;
    return isNew
      ? [{ path: [...path, key], before: null, after: null }]
      : diffNested([...path, key], before[key], after[key]);
  });
}

function isFilled(value: unknown): boolean {
  return isJsonObject(value) && Object.keys(value).length > 0;
}

/** In an order of their own: servers list them by their last change. */
function spellSchedules(schedules: readonly ScheduleState[]) {
  return sortByText(
    schedules.map(({ schedule, active, max_scheduled_runs, parameters, slug }) => ({
      ...spellSpec(schedule),
      active,
      ...(max_scheduled_runs !== null && { max_scheduled_runs }),
      ...(Object.keys(parameters).length > 0 && { parameters }),
      ...(slug !== null && { slug }),
    })),
  );
}

function sortByText<T>(values: readonly T[]): T[] {
  return values
    .map((value) => ({ value, text: canonicalJson(value) }))
    .sort((a, b) => (a.text < b.text ? -1 : 1))
    .map(({ value }) => value);
}

function diffTriggers(before: TriggerState[] | null, after: TriggerState[] | null): Difference[] {
  if (before === null || after === null) {
    return [];
  }
  const names = new Set([...before, ...after].map(({ name }) => name));
  const pick = (triggers: TriggerState[], wanted: string) => {
    const found = triggers.filter(({ name }) => name === wanted).map(({ id: _id, ...trigger }) => trigger);
    // In an order of their own, as schedules.
    return found.length > 1 ? sortByText(found) : (found[0] ?? null);
  };
  return [...names].flatMap((name) => diffWhole(["triggers", name], pick(before, name), pick(after, name)));
}

export interface Showing {
  before: DeploymentState | null;
  after: DeploymentState;
  imagesBefore: readonly ReleaseImage[];
  imagesAfter: readonly ReleaseImage[];
  /** The next fire times of one schedule; left out where nobody can compute them. */
  listFireTimes?: ((schedule: ScheduleState["schedule"]) => Timestamp[]) | undefined;
}

const MAX_FIRES = 5;

/** A difference as a plan shows it. */
export function showDifference({ path, before, after }: Difference, showing: Showing): FieldChange {
  const field = path.join(".");
  const { listFireTimes } = showing;
  return {
    field,
    before: hideSecrets(before, path) ?? null,
    after: hideSecrets(after, path) ?? null,
    ...(listFireTimes !== undefined &&
      (field === "schedules" || (field === "paused" && showing.after.schedules.length > 0)) && {
        next_fires: {
          before: listNextFires(showing.before ?? EMPTY_STATE, listFireTimes),
          after: listNextFires(showing.after, listFireTimes),
        },
      }),
    ...(field === "job_variables.image" && {
      images: { before: findImage(before, showing.imagesBefore), after: findImage(after, showing.imagesAfter) },
    }),
  };
}

function listNextFires(
  state: DeploymentState,
  listFireTimes: (schedule: ScheduleState["schedule"]) => Timestamp[],
): Timestamp[] {
  const active = state.paused ? [] : state.schedules.filter((schedule) => schedule.active);
  const fires = active.flatMap(({ schedule }) => listFireTimes(schedule));
  return [...new Set(fires)].sort().slice(0, MAX_FIRES);
}

const REFERENCE = /^(?<name>[^@]+?)(?::(?<tag>[\w][\w.-]{0,127}))?(?:@(?<digest>sha256:[0-9a-f]{64}))?$/;

/** What a release knows about the image that a job variable names, or else what the reference itself says. */
function findImage(reference: unknown, images: readonly ReleaseImage[]): ReleaseImage | null {
  const parts = typeof reference === "string" ? REFERENCE.exec(reference)?.groups : undefined;
  if (parts === undefined) {
    return null;
  }
  const { name = "", tag = null, digest = null } = parts;
  const known = images.find(
    (image) => image.name === name && (digest === null ? image.tag === tag : image.digest === digest),
  );
  return known ?? { name, tag, digest, content_hash: null };
}
