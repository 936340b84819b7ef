import { z } from "zod";
import { JsonObject, ObjectName, Uuid } from "./primitives.ts";
import { Timestamp } from "./timestamp.ts";

/** An IANA name; an offset such as +02:00, which Intl takes as well, is none to Prefect. */
export function isTimezone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return !/^[+-]/.test(name);
  } catch {
    return false;
  }
}

const Timezone = z
  .string()
  .refine(isTimezone, { error: (issue) => `Invalid timezone: "${String(issue.input)}"` })
  .nullish();

/**
 * Cron text as croniter reads it: five fields, a sixth for seconds, a seventh for years, or an @alias. The scheduler
 * parses it in full.
 */
const MAX_CRON_CHARACTERS = 1000;
const CronText = z
  .string()
  .max(MAX_CRON_CHARACTERS)
  .refine((text) => /^@\w+$/.test(text.trim()) || [5, 6, 7].includes(text.trim().split(/\s+/).length), {
    error: (issue) => `Invalid cron string: "${String(issue.input)}"`,
  });

export const CronSchedule = z.strictObject({
  cron: CronText,
  timezone: Timezone.default(null),
  day_or: z.boolean().default(true),
});

const ISO_DURATION = /^P(?:(\d+)W|(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?)$/;
const DURATION_UNITS = [604_800, 86_400, 3600, 60, 1];

/** Seconds, as a number or as ISO 8601 text (`PT1H`), which Prefect's server takes as well. */
const Interval = z
  .union([z.number(), z.string().regex(ISO_DURATION, "Input should be a valid timedelta")])
  .transform((value) => (typeof value === "number" ? value : parseIsoDuration(value)))
  .refine((seconds) => seconds > 0, { error: "interval must be positive" });

function parseIsoDuration(text: string): number {
  const parts = ISO_DURATION.exec(text)?.slice(1) ?? [];
  return parts.reduce((seconds, part, index) => seconds + Number(part ?? 0) * (DURATION_UNITS[index] ?? 0), 0);
}

export const IntervalSchedule = z.strictObject({
  interval: Interval,
  anchor_date: Timestamp.optional(),
  timezone: Timezone.default(null),
});

export const RRuleSchedule = z.strictObject({
  rrule: z.string().min(1).max(6500),
  timezone: Timezone.default("UTC"),
});

export const ScheduleSpec = z.union([CronSchedule, IntervalSchedule, RRuleSchedule]);
export type ScheduleSpec = z.infer<typeof ScheduleSpec>;

export const MAX_SCHEDULED_RUNS = 100;
/** Of one deployment in one request. */
export const MAX_SCHEDULES = 500;

export const CreateDeploymentSchedule = z.strictObject({
  schedule: ScheduleSpec,
  /** Left out: true for a new schedule, and one that is there already stays as it is. */
  active: z.boolean().optional(),
  max_scheduled_runs: z.number().int().positive().max(MAX_SCHEDULED_RUNS).nullish(),
  parameters: JsonObject.default({}),
  slug: ObjectName.nullish(),
  replaces: z.string().nullish(),
});
export type CreateDeploymentSchedule = z.infer<typeof CreateDeploymentSchedule>;

export const UpdateDeploymentSchedule = z.strictObject({
  schedule: ScheduleSpec.optional(),
  active: z.boolean().optional(),
  max_scheduled_runs: z.number().int().positive().max(MAX_SCHEDULED_RUNS).nullish(),
  parameters: JsonObject.optional(),
  slug: ObjectName.nullish(),
});
export type UpdateDeploymentSchedule = z.infer<typeof UpdateDeploymentSchedule>;

export const DeploymentSchedule = z.object({
  id: Uuid,
  created: Timestamp,
  updated: Timestamp,
  deployment_id: Uuid.nullish(),
  schedule: z.union([
    z.object({ cron: z.string(), timezone: z.string().nullish(), day_or: z.boolean().default(true) }),
    z.object({ interval: z.number(), anchor_date: Timestamp.optional(), timezone: z.string().nullish() }),
    z.object({ rrule: z.string(), timezone: z.string().nullish() }),
  ]),
  active: z.boolean(),
  max_scheduled_runs: z.number().nullish(),
  parameters: JsonObject.default({}),
  slug: z.string().nullish(),
});
export type DeploymentSchedule = z.infer<typeof DeploymentSchedule>;
