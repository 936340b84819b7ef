import { z } from "zod";
import { isMapping } from "../prefect-api/templating.ts";
import { parseBoolean, parseInterval } from "./schedules.ts";

/**
 * `prefect.yaml` as Prefect 3.9 accepts it (source: prefect/cli/deploy/_models.py, read, and what the recorded cases
 * show). Unknown keys are dropped here and reported as warnings by load.ts; schedules alone refuse them.
 */

const QUOTED = "must be text; put it in quotes.";
const Text = z.string({ error: (issue) => describeExpected("text", issue.input, QUOTED) });
const OptionalText = Text.nullish();
const Mapping = z.record(z.string(), z.unknown(), { error: (issue) => describeExpected("a mapping", issue.input) });

function describeExpected(wanted: string, input: unknown, rest?: string): string {
  return `is ${describeValue(input)}, ${rest ?? `but must be ${wanted}.`}`;
}

function describeValue(value: unknown): string {
  if (Array.isArray(value)) {
    return "a list";
  }
  if (isMapping(value)) {
    return "a mapping";
  }
  return value === null ? "null (empty)" : JSON.stringify(value);
}

const OptionalBoolean = z.unknown().transform((value, context): boolean | null | undefined => {
  const parsed = value === null || value === undefined ? value : parseBoolean(value);
  if (parsed === undefined && value !== undefined) {
    context.addIssue({ code: "custom", message: describeExpected("true or false", value) });
    return z.NEVER;
  }
  return parsed;
});

function parseWhole(value: unknown): number | undefined {
  const number = typeof value === "string" && /^\s*[-+]?\d+\s*$/.test(value) ? Number(value) : value;
  return typeof number === "number" && Number.isInteger(number) ? number : undefined;
}

const Limit = z.unknown().transform((value, context): number => {
  const limit = parseWhole(value);
  if (limit === undefined || limit < 1) {
    const template = String(value).includes("{{") ? "; a template is not allowed here." : ".";
    const message = describeExpected("", value, `but must be a whole number of at least 1${template}`);
    context.addIssue({ code: "custom", message });
    return z.NEVER;
  }
  return limit;
});

const STRATEGIES = ["ENQUEUE", "CANCEL_NEW"] as const;
const Concurrency = z.object({
  limit: Limit.optional(),
  collision_strategy: z.enum(STRATEGIES, {
    error: (issue) =>
      issue.input === undefined
        ? "is missing; write ENQUEUE or CANCEL_NEW."
        : describeExpected("ENQUEUE or CANCEL_NEW", issue.input),
  }),
  grace_period_seconds: z
    .int({ error: (issue) => describeExpected("a whole number of seconds from 60 to 86400", issue.input) })
    .min(60, "must be at least 60.")
    .max(86_400, "must be at most 86400.")
    .nullish(),
});
export type Concurrency = z.infer<typeof Concurrency>;

/** Branches by hand instead of a union, so that the message is about the form that was meant. */
const ConcurrencyLimit = z.unknown().transform((value, context): number | Concurrency | null | undefined => {
  if (value === null || value === undefined) {
    return value;
  }
  const parsed = isMapping(value) ? Concurrency.safeParse(value) : Limit.safeParse(value);
  if (!parsed.success) {
    for (const issue of parsed.error.issues) {
      context.addIssue({ code: "custom", message: issue.message, path: issue.path });
    }
    return z.NEVER;
  }
  return parsed.data;
});

const MAX_LATENESS_SECONDS = 31 * 86_400;
const LATENESS = `a whole number of seconds from 1 to ${MAX_LATENESS_SECONDS}`;
const CatchUpMapping = z.strictObject({
  policy: z.enum(["none", "latest", "all"], {
    error: (issue) =>
      issue.input === undefined
        ? "is missing; write none, latest or all."
        : describeExpected("none, latest or all", issue.input),
  }),
  max_lateness_seconds: z
    .int({ error: (issue) => describeExpected(LATENESS, issue.input) })
    .min(1, `must be ${LATENESS}.`)
    .max(MAX_LATENESS_SECONDS, `must be ${LATENESS}.`)
    .optional(),
});

/** The policy alone, or with how late is too late. */
const CatchUp = z.unknown().transform((value, context): z.infer<typeof CatchUpMapping> | null | undefined => {
  if (value === null || value === undefined) {
    return value;
  }
  const parsed = CatchUpMapping.safeParse(isMapping(value) ? value : { policy: value });
  if (!parsed.success) {
    for (const { message, path } of parsed.error.issues) {
      context.addIssue({ code: "custom", message, path: isMapping(value) ? path : [] });
    }
    return z.NEVER;
  }
  return parsed.data;
});

const KINDS = ["cron", "interval", "rrule"] as const;

export const ScheduleItem = z
  .strictObject({
    cron: OptionalText,
    interval: z
      .union([z.number(), z.string()])
      .nullish()
      .refine((value) => value === null || value === undefined || parseInterval(value) !== undefined, {
        error: (issue) =>
          describeExpected("", issue.input, "but must be a number of seconds without quotes, PT1H30M or 01:30:00."),
      }),
    rrule: OptionalText,
    timezone: OptionalText,
    anchor_date: OptionalText,
    day_or: z.union([z.boolean(), z.string(), z.null()]).optional(),
    active: z.union([z.boolean(), z.string(), z.null()]).optional(),
    parameters: Mapping.optional(),
    slug: OptionalText,
    replaces: OptionalText,
  })
  .superRefine((item, context) => {
    const given = KINDS.filter((kind) => item[kind] !== undefined && item[kind] !== null);
    if (given.length !== 1 && !("schedule" in item)) {
      const found = given.length === 0 ? "none of them is given" : `${given.join(" and ")} are given`;
      context.addIssue({ code: "custom", message: `needs exactly one of cron, interval and rrule; ${found}.` });
    }
  });
export type ScheduleItem = z.infer<typeof ScheduleItem>;

const Schedules = z.array(ScheduleItem, { error: (issue) => describeExpected("a list of schedules", issue.input) });

/** The form of Prefect 2: one schedule, or `{}` or null for none. */
const LegacySchedule = z.unknown().transform((value, context): ScheduleItem | null | undefined => {
  if (value === undefined || value === null) {
    return value;
  }
  if (isMapping(value) && Object.keys(value).length === 0) {
    return null;
  }
  const parsed = ScheduleItem.safeParse(value);
  if (!parsed.success) {
    for (const { code, ...issue } of parsed.error.issues) {
      const keys = code === "unrecognized_keys" && "keys" in issue ? { params: { keys: issue.keys } } : {};
      context.addIssue({ code: "custom", message: issue.message, path: issue.path, ...keys });
    }
    return z.NEVER;
  }
  return parsed.data;
});

const Step = z.record(z.string(), z.unknown(), {
  error: (issue) => describeExpected("a step (a mapping)", issue.input),
});
export type Step = z.infer<typeof Step>;

/** A list of steps, one step that stands alone, or nothing: null, `{}` and `[]` mean different things per section. */
const Actions = z.unknown().transform((value, context): Step[] | Record<string, never> | null | undefined => {
  if (value === null || value === undefined) {
    return value;
  }
  if (isMapping(value)) {
    return Object.keys(value).length === 0 ? {} : [value];
  }
  const parsed = z.array(Step, { error: (issue) => describeExpected("a list of steps", issue.input) }).safeParse(value);
  if (!parsed.success) {
    for (const issue of parsed.error.issues) {
      context.addIssue({ code: "custom", message: issue.message, path: issue.path });
    }
    return z.NEVER;
  }
  return parsed.data;
});

export const VERSION_TYPES = [
  "prefect:simple",
  "vcs:github",
  "vcs:gitlab",
  "vcs:bitbucket",
  "vcs:azuredevops",
  "vcs:git",
] as const;
export type VersionType = (typeof VERSION_TYPES)[number];

export const WorkPoolEntry = z.object(
  { name: OptionalText, work_queue_name: OptionalText, job_variables: Mapping.optional() },
  {
    error: (issue) =>
      issue.input === null
        ? "is null (empty); write the pool's name as work_pool.name, or leave the key out and pass the pool as a flag."
        : describeExpected("", issue.input, "but must be a mapping with a name: `work_pool: {name: my-pool}`."),
  },
);

export const DeploymentEntry = z.object(
  {
    name: OptionalText,
    version: OptionalText,
    version_type: OptionalText,
    tags: z
      .union([z.string(), z.array(z.unknown())], {
        error: (issue) => describeExpected("a list of tags", issue.input),
      })
      .optional(),
    description: OptionalText,
    schedule: LegacySchedule.optional(),
    schedules: Schedules.nullish(),
    paused: OptionalBoolean.optional(),
    concurrency_limit: ConcurrencyLimit.optional(),
    flow_name: OptionalText,
    entrypoint: OptionalText,
    parameters: Mapping.optional(),
    enforce_parameter_schema: OptionalBoolean.optional(),
    build: Actions.optional(),
    push: Actions.optional(),
    pull: Actions.optional(),
    work_pool: WorkPoolEntry.optional(),
    triggers: z.array(Mapping, { error: (issue) => describeExpected("a list of triggers", issue.input) }).nullish(),
    sla: z.unknown().optional(),
    /** Ours: whether fire times that passed while no plane ran are made up. */
    catch_up: CatchUp.optional(),
    /** Ours: the name that it had before, so that a release renames it instead of making another. */
    replaces: OptionalText,
  },
  { error: (issue) => describeExpected("a deployment (a mapping)", issue.input) },
);
export type DeploymentEntry = z.infer<typeof DeploymentEntry>;

export const ProjectHead = z.object({
  "prefect-version": OptionalText,
  name: OptionalText,
  build: Actions.optional(),
  push: Actions.optional(),
  pull: Actions.optional(),
});
export type ProjectHead = z.infer<typeof ProjectHead>;

/** `definitions` is where the documentation puts anchors. */
export const TOP_LEVEL_KEYS = [...Object.keys(ProjectHead.shape), "deployments", "definitions"];
export const ENTRY_KEYS = Object.keys(DeploymentEntry.shape);
export const WORK_POOL_KEYS = Object.keys(WorkPoolEntry.shape);
export const SCHEDULE_KEYS = Object.keys(ScheduleItem.shape);
