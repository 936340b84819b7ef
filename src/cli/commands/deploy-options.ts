import { type Command, Option } from "commander";
import { z } from "zod";
import type { DeployFlags } from "../../project/overlay.ts";
import { collect, parseWholeNumber } from "../options.ts";

const Texts = z.array(z.string()).optional();

export const DeployOptions = z.object({
  name: z.array(z.string()).default([]),
  all: z.boolean().default(false),
  prefectFile: z.string(),
  description: z.string().optional(),
  version: z.string().optional(),
  versionType: z.string().optional(),
  tag: Texts,
  concurrencyLimit: z.number().optional(),
  collisionStrategy: z.string().optional(),
  pool: z.string().optional(),
  workQueue: z.string().optional(),
  jobVariable: Texts,
  cron: Texts,
  interval: z.array(z.number()).optional(),
  rrule: Texts,
  anchorDate: z.string().optional(),
  timezone: z.string().optional(),
  trigger: Texts,
  param: Texts,
  params: z.string().optional(),
  enforceParameterSchema: z.boolean().optional(),
  sla: Texts,
});
export type DeployOptions = z.infer<typeof DeployOptions>;

function collectWholeNumbers(text: string, previous: number[] | undefined): number[] {
  return [...(previous ?? []), parseWholeNumber(1)(text)];
}

/** Prefect's flags, with their names and short forms. */
export function addDeployOptions(command: Command): Command {
  return command
    .argument("[entrypoint]", "path/to/file.py:function, or module.path.function")
    .option("-n, --name <name>", 'deployment to make, "flow/name" or with * as a pattern (repeatable)', collect)
    .option("--all", "every deployment of the file")
    .option("--prefect-file <file>", "project file", "prefect.yaml")
    .option("-p, --pool <name>", "work pool")
    .option("-q, --work-queue <name>", "work queue of that pool")
    .option("--job-variable <key=value>", "job variable, or a JSON object of them (repeatable)", collect)
    .option("--param <key=value>", "parameter; the value is JSON (repeatable)", collect)
    .option("--params <json>", "parameters as a JSON object")
    .option("--enforce-parameter-schema", "refuse runs whose parameters do not fit the flow (the default)")
    .option("--no-enforce-parameter-schema", "accept any parameters")
    .option("-d, --description <text>", "default: the flow's docstring")
    .option("--version <text>", "default: the flow's version")
    .option("--version-type <type>", "such as prefect:simple or vcs:github")
    .option("-t, --tag <tag>", "a tag (repeatable)", collect)
    .option("--concurrency-limit <n>", "runs at the same time", parseWholeNumber(1))
    .addOption(
      new Option("--collision-strategy <strategy>", "what a run does when the limit is reached").choices([
        "ENQUEUE",
        "CANCEL_NEW",
      ]),
    )
    .option("--cron <text>", "cron schedule (repeatable)", collect)
    .option("--interval <seconds>", "interval schedule (repeatable)", collectWholeNumbers)
    .option("--anchor-date <date>", "where intervals start counting")
    .option("--rrule <text>", "rrule schedule (repeatable)", collect)
    .option("--timezone <name>", "time zone of the schedules, such as Europe/Berlin")
    .option("--trigger <json|file>", "event that starts a run (repeatable)", collect)
    .option("--sla <json>", "accepted for Prefect's sake; only its Cloud knows SLAs", collect);
}

/** Only the flags that were given: an absent one must not change an entry. */
export function buildDeployFlags(entrypoint: string | undefined, options: DeployOptions): DeployFlags {
  const flags = {
    entrypoint,
    description: options.description,
    version: options.version,
    versionType: options.versionType,
    tags: options.tag,
    concurrencyLimit: options.concurrencyLimit,
    collisionStrategy: options.collisionStrategy,
    workPool: options.pool,
    workQueue: options.workQueue,
    jobVariables: options.jobVariable,
    cron: options.cron,
    interval: options.interval,
    rrule: options.rrule,
    anchorDate: options.anchorDate,
    timezone: options.timezone,
    triggers: options.trigger,
    param: options.param,
    params: options.params,
    enforceParameterSchema: options.enforceParameterSchema,
    sla: options.sla,
  };
  return dropUndefined(flags);
}

function dropUndefined<T extends Record<string, unknown>>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
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
