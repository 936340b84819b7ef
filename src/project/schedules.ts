import { z } from "zod";
import { parseCron } from "../prefect-api/schedule-text/cron.ts";
import { parseRuleSetText } from "../prefect-api/schedule-text/rrule-text.ts";
import { isTimezone } from "../prefect-api/schedules.ts";
import { isMapping } from "../prefect-api/templating.ts";
import { parseTimestamp } from "../prefect-api/timestamp.ts";

const MAX_RRULE_LENGTH = 6500;
const SHOWN_LENGTH = 80;
const SECONDS_PER_UNIT = { D: 86_400, H: 3600, M: 60, S: 1 } as const;
/** Where Prefect's clients anchor a rule that has no DTSTART of its own. */
const DEFAULT_RRULE_ANCHOR = "DTSTART:20200101T000000";

/** A schedule as the file says it, after templating; only the keys that were given are sent on an update. */
export interface ScheduleConfig {
  cron?: string | null | undefined;
  interval?: number | string | null | undefined;
  rrule?: string | null | undefined;
  timezone?: string | null | undefined;
  anchor_date?: string | null | undefined;
  day_or?: unknown;
  active?: unknown;
  parameters?: Record<string, unknown> | undefined;
  slug?: string | null | undefined;
  replaces?: string | null | undefined;
}

type CronSpec = { cron: string; timezone?: string; day_or?: boolean };
type IntervalSpec = { interval: number; anchor_date?: string; timezone?: string };
type RRuleSpec = { rrule: string; timezone: string };
type ScheduleSpecBody = CronSpec | IntervalSpec | RRuleSpec;

/** What of a schedule was said, ready for the wire: a creation adds the defaults, an update leaves them out. */
export interface Schedule {
  schedule: ScheduleSpecBody;
  active?: boolean;
  parameters?: Record<string, unknown>;
  slug?: string;
  replaces?: string;
}

/** Why a schedule cannot be sent: the key to point at and the sentence. */
export interface ScheduleProblem {
  key: string;
  message: string;
}

/**
 * Seconds of an interval: a number, an ISO-8601 duration (`PT1H30M`, `P1DT12H`) or `HH:MM:SS`. Undefined for anything
 * else, a number in quotes included: that is what Prefect says of it.
 */
export function parseInterval(value: unknown): number | undefined {
  if (typeof value === "number") {
    return Number.isFinite(value) ? value : undefined;
  }
  if (typeof value !== "string") {
    return undefined;
  }
  const clock = /^([-+]?)(?:(\d+)(?: days?,?| ?d,?) ?)?(\d\d?):(\d\d)(?::(\d\d(?:\.\d+)?))?$/.exec(value.trim());
  if (clock !== null) {
    const [, sign, days = "0", hours = "0", minutes = "0", seconds = "0"] = clock;
    const total = Number(days) * 86_400 + Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
    return sign === "-" ? -total : total;
  }
  return parseIsoDuration(value.trim());
}

function parseIsoDuration(text: string): number | undefined {
  const match = /^([-+]?)P(?=.)(?:(\d+(?:\.\d+)?)W)?(?:(\d+(?:\.\d+)?)D)?(?:T(?=.)(.*))?$/.exec(text);
  if (match === null) {
    return undefined;
  }
  const [, sign, weeks = "0", days = "0", time = ""] = match;
  if (!/^(?:\d+(?:\.\d+)?H)?(?:\d+(?:\.\d+)?M)?(?:\d+(?:\.\d+)?S)?$/.test(time)) {
    return undefined;
  }
  let seconds = (Number(weeks) * 7 + Number(days)) * SECONDS_PER_UNIT.D;
  for (const [, amount = "0", unit] of time.matchAll(/([\d.]+)([HMS])/g)) {
    seconds += Number(amount) * (unit === "H" ? SECONDS_PER_UNIT.H : unit === "M" ? SECONDS_PER_UNIT.M : 1);
  }
  return sign === "-" ? -seconds : seconds;
}

const TRUE_TEXT = /^(?:true|t|yes|y|on|1)$/i;
const FALSE_TEXT = /^(?:false|f|no|n|off|0)$/i;

/** A boolean in any of the spellings that pydantic takes; undefined for anything else. */
export function parseBoolean(value: unknown): boolean | undefined {
  if (typeof value === "boolean") {
    return value;
  }
  const text = String(value);
  if (TRUE_TEXT.test(text)) {
    return true;
  }
  return FALSE_TEXT.test(text) ? false : undefined;
}

/** `2024-01-01T00:00:00Z`: the fraction is shown only when there is one. */
function parseAnchorDate(text: string): string | undefined {
  return parseTimestamp(text)?.replace(/\.000000Z$/, "Z");
}

/** Reads one schedule; its defaults are Prefect's. */
export function parseSchedule(config: ScheduleConfig): Schedule | ScheduleProblem {
  const spec = parseSpec(config);
  if ("message" in spec) {
    return spec;
  }
  const schedule: Schedule = { schedule: spec };
  for (const key of ["active", "day_or"] as const) {
    const given = config[key];
    const value = parseBoolean(given);
    if (given !== undefined && given !== null && value === undefined) {
      return { key, message: `${key} is ${JSON.stringify(given)}; allowed are true and false.` };
    }
    if (value !== undefined && key === "active") {
      schedule.active = value;
    } else if (value !== undefined && "cron" in spec) {
      spec.day_or = value;
    }
  }
  if (config.parameters !== undefined && Object.keys(config.parameters).length > 0) {
    schedule.parameters = config.parameters;
  }
  if (config.slug) {
    schedule.slug = config.slug;
  }
  if (config.replaces) {
    schedule.replaces = config.replaces;
  }
  return schedule;
}

function parseSpec(config: ScheduleConfig): ScheduleSpecBody | ScheduleProblem {
  if (config.timezone && !isTimezone(config.timezone)) {
    return {
      key: "timezone",
      message: `invalid timezone ${JSON.stringify(config.timezone)}; write an IANA name such as America/New_York.`,
    };
  }
  const timezone = config.timezone ? { timezone: config.timezone } : {};
  if (config.cron) {
    const cron = parseCron(config.cron, parseBoolean(config.day_or) ?? true);
    return typeof cron === "string" ? { key: "cron", message: cron } : { cron: config.cron, ...timezone };
  }
  if (config.interval !== undefined && config.interval !== null) {
    return parseIntervalSpec(config, timezone);
  }
  return config.rrule
    ? parseRRuleSpec(config.rrule, timezone)
    : { key: "", message: "a schedule needs one of cron, interval and rrule." };
}

function parseIntervalSpec(
  config: ScheduleConfig,
  timezone: { timezone?: string },
): ScheduleSpecBody | ScheduleProblem {
  const interval = parseInterval(config.interval);
  if (interval === undefined || interval <= 0) {
    return {
      key: "interval",
      message: `interval is ${JSON.stringify(config.interval)}; it must be more than 0 seconds, as a number without quotes, as PT1H30M or as 01:30:00.`,
    };
  }
  if (!config.anchor_date) {
    return { interval, ...timezone };
  }
  const anchor = parseAnchorDate(config.anchor_date);
  return anchor === undefined
    ? {
        key: "anchor_date",
        message: `anchor_date is ${JSON.stringify(config.anchor_date)}; write it as 2024-01-01T00:00:00Z.`,
      }
    : { interval, anchor_date: anchor, ...timezone };
}

const RRuleJson = z.object({ rrule: z.string(), timezone: z.string().nullish() });

function parseRRuleSpec(text: string, given: { timezone?: string }): ScheduleSpecBody | ScheduleProblem {
  let rrule = text;
  let timezone: string | null | undefined = given.timezone;
  if (text.trim().startsWith("{")) {
    const parsed = RRuleJson.safeParse(parseJson(text));
    if (!parsed.success) {
      return { key: "rrule", message: `rrule is JSON without a text "rrule": ${JSON.stringify(text)}.` };
    }
    rrule = parsed.data.rrule;
    timezone ??= parsed.data.timezone;
  }
  if (rrule.length > MAX_RRULE_LENGTH) {
    return {
      key: "rrule",
      message: `the rrule has ${rrule.length} characters; at most ${MAX_RRULE_LENGTH} are allowed.`,
    };
  }
  const rules = parseRuleSetText(rrule);
  if (typeof rules === "string") {
    return { key: "rrule", message: `Invalid RRule string ${JSON.stringify(rrule.slice(0, SHOWN_LENGTH))}: ${rules}` };
  }
  return { rrule: anchorRRule(rrule), timezone: timezone ?? "UTC" };
}

/**
 * Names the anchor that a rule without DTSTART has anyway. Rules by the minute or second are left as they are: from
 * 2020 on they have millions of dates, and the server chooses a recent anchor of the same phase for them.
 */
function anchorRRule(rrule: string): string {
  const frequent = /\bFREQ=(?:SECONDLY|MINUTELY)\b/i.test(rrule) && !/\bCOUNT=/i.test(rrule);
  return frequent || /DTSTART/i.test(rrule) ? rrule : `${DEFAULT_RRULE_ANCHOR}\n${rrule}`;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The schedule of a creation: every key is said. `now` anchors an interval that has no anchor. */
export function buildCreateSchedule(given: Schedule, now: Date) {
  return {
    schedule: addDefaults(given.schedule, now),
    active: given.active ?? true,
    max_scheduled_runs: null,
    parameters: given.parameters ?? {},
    slug: given.slug ?? null,
    replaces: given.replaces ?? null,
  };
}

function addDefaults(spec: ScheduleSpecBody, now: Date) {
  if ("cron" in spec) {
    return { cron: spec.cron, timezone: spec.timezone ?? null, day_or: spec.day_or ?? true };
  }
  if ("interval" in spec) {
    const { interval, anchor_date = now.toISOString(), timezone = "UTC" } = spec;
    return { interval, anchor_date, timezone };
  }
  return spec;
}

/** Reads what templating left of a schedule in the file; anything but a mapping is no schedule. */
export function readScheduleConfig(value: unknown): ScheduleConfig | undefined {
  return isMapping(value) ? value : undefined;
}
