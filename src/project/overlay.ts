import { isMapping } from "../prefect-api/templating.ts";
import { UserError } from "../shared/errors.ts";
import type { DeploymentEntry, ScheduleItem } from "./schema.ts";

/** The flags of `deploy` that change an entry. They apply when a single deployment is made. */
export interface DeployFlags {
  entrypoint?: string;
  description?: string;
  version?: string;
  versionType?: string;
  tags?: readonly string[];
  concurrencyLimit?: number;
  collisionStrategy?: string;
  workPool?: string;
  workQueue?: string;
  /** `key=value` or a JSON object, as typed. */
  jobVariables?: readonly string[];
  cron?: readonly string[];
  /** Seconds. */
  interval?: readonly number[];
  rrule?: readonly string[];
  anchorDate?: string;
  timezone?: string;
  /** JSON, or the path of a .yaml or .json file with the key `triggers`. */
  triggers?: readonly string[];
  /** `key=value` with a JSON value, as typed. */
  param?: readonly string[];
  /** A JSON object. */
  params?: string;
  enforceParameterSchema?: boolean;
  sla?: readonly string[];
}

export interface Overlaid {
  entry: DeploymentEntry;
  /** Job variables of the flags; templates of the entry may name them like the output of a step. */
  variables: Record<string, unknown>;
  notices: string[];
}

/**
 * Lays the flags over an entry as Prefect does: job variables and tags replace, parameters are merged, schedules are
 * added, timezone and anchor date go to every schedule. Pure. Throws UserError USAGE.
 */
export function overlayFlags(entry: DeploymentEntry, flags: DeployFlags, names: readonly string[]): Overlaid {
  const notices: string[] = [];
  const variables = parseJobVariables(flags.jobVariables ?? []);
  const [name, ...furtherNames] = names;
  const parameters = parseParameters(flags, notices);
  const overlaid: DeploymentEntry = {
    ...entry,
    ...pickGiven({
      name: furtherNames.length === 0 ? lastPart(name) : undefined,
      entrypoint: flags.entrypoint,
      description: flags.description,
      version: flags.version,
      version_type: entry.version_type ? undefined : flags.versionType,
      concurrency_limit: overlayConcurrency(flags),
      enforce_parameter_schema: flags.enforceParameterSchema === false ? false : undefined,
      parameters: parameters === undefined ? undefined : { ...entry.parameters, ...parameters },
      tags: flags.tags && flags.tags.length > 0 ? [...flags.tags] : undefined,
      schedules: overlaySchedules(entry, flags),
    }),
    ...(entry.schedule ? { schedule: null } : {}),
  };
  const workPool = {
    ...entry.work_pool,
    ...pickGiven({
      name: flags.workPool,
      work_queue_name: flags.workQueue,
      job_variables: flags.jobVariables && flags.jobVariables.length > 0 ? variables : undefined,
    }),
  };
  return { entry: { ...overlaid, work_pool: workPool }, variables, notices };
}

/** True when any flag was given that would have changed an entry. */
export function hasFlags(flags: DeployFlags): boolean {
  return Object.values(flags).some((value) => {
    if (Array.isArray(value)) {
      return value.length > 0;
    }
    return value !== undefined && value !== "" && value !== true;
  });
}

function pickGiven<T extends Record<string, unknown>>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const given: { [K in keyof T]?: Exclude<T[K], undefined> } = {};
  for (const key in values) {
    const value = values[key];
    if (isGiven(value)) {
      given[key] = value;
    }
  }
  return given;
}

function isGiven<T>(value: T): value is Exclude<T, undefined> {
  return value !== undefined;
}

function lastPart(name: string | undefined): string | undefined {
  return name?.slice(name.indexOf("/") + 1);
}

function overlayConcurrency(flags: DeployFlags): DeploymentEntry["concurrency_limit"] {
  const { concurrencyLimit: limit, collisionStrategy: strategy } = flags;
  if (limit === undefined || strategy === undefined) {
    return limit;
  }
  if (strategy !== "ENQUEUE" && strategy !== "CANCEL_NEW") {
    throw new UserError(
      "USAGE",
      `--collision-strategy is ${JSON.stringify(strategy)}; allowed are ENQUEUE and CANCEL_NEW.`,
    );
  }
  return { limit, collision_strategy: strategy };
}

/** The entry's schedules, the legacy one included, then those of the flags; undefined when there is nothing to say. */
function overlaySchedules(entry: DeploymentEntry, flags: DeployFlags): ScheduleItem[] | undefined {
  const own = entry.schedule ? [entry.schedule] : entry.schedules;
  const added: ScheduleItem[] = [
    ...(flags.cron ?? []).map((cron) => ({ cron })),
    ...(flags.interval ?? []).map((interval) => ({ interval })),
    ...(flags.rrule ?? []).map((rrule) => ({ rrule })),
  ];
  if (!own && added.length === 0) {
    return undefined;
  }
  return [...(own ?? []), ...added].map((schedule) => ({
    ...schedule,
    ...(flags.anchorDate !== undefined && schedule.interval ? { anchor_date: flags.anchorDate } : {}),
    ...(flags.timezone === undefined ? {} : { timezone: flags.timezone }),
  }));
}

function parseJobVariables(texts: readonly string[]): Record<string, unknown> {
  const variables: Record<string, unknown> = {};
  for (const text of texts) {
    // A JSON object may hold "=", but no key of a variable starts with "{".
    const equals = text.trimStart().startsWith("{") ? -1 : text.indexOf("=");
    if (equals !== -1) {
      variables[text.slice(0, equals)] = text.slice(equals + 1);
      continue;
    }
    const parsed = parseJson(text);
    if (parsed === undefined || !isMapping(parsed.value)) {
      throw new UserError("USAGE", `Could not parse variable: ${JSON.stringify(text)}.`, {
        hint: 'Write --job-variable key=value, or a JSON object such as \'{"env": {"A": "1"}}\'.',
      });
    }
    Object.assign(variables, parsed.value);
  }
  return variables;
}

function parseParameters(flags: DeployFlags, notices: string[]): Record<string, unknown> | undefined {
  const param = flags.param ?? [];
  if (param.length > 0 && flags.params !== undefined) {
    throw new UserError("USAGE", "Can only pass one of `--param` or `--params`.");
  }
  if (flags.params !== undefined) {
    const parsed = parseJson(flags.params);
    if (parsed === undefined || !isMapping(parsed.value)) {
      throw new UserError("USAGE", `--params is not a JSON object: ${flags.params}`);
    }
    return parsed.value;
  }
  const parameters: Record<string, unknown> = {};
  for (const text of param) {
    const equals = text.indexOf("=");
    if (equals === -1) {
      throw new UserError("USAGE", `--param is ${JSON.stringify(text)}; write key=value.`);
    }
    const written = text.slice(equals + 1);
    const parsed = parseJson(written);
    if (parsed !== undefined) {
      notices.push(`The parameter value ${written} is parsed as a JSON string`);
    }
    parameters[text.slice(0, equals)] = parsed === undefined ? written : parsed.value;
  }
  return param.length === 0 ? undefined : parameters;
}

function parseJson(text: string): { value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
}
