import { z } from "zod";
import { ConcurrencyOptions, type CreateDeployment, type UpdateDeployment } from "../prefect-api/deployments.ts";
import { isMapping, type Placeholder, pythonText } from "../prefect-api/templating.ts";
import type { Problem } from "../project/problem.ts";
import { buildCreateSchedule, parseSchedule, readScheduleConfig, type Schedule } from "../project/schedules.ts";
import { VERSION_TYPES, type VersionType } from "../project/schema.ts";
import { type Environment, fillOutputs, fillPullSteps } from "../project/template.ts";
import { type DeploymentTrigger, parseTrigger } from "../project/triggers.ts";
import type { VersionInfo } from "../project/version-info.ts";
import { normalizeName } from "./check-deployment.ts";
import { checkJobVariables, checkParameters } from "./check-values.ts";
import type { PreparedDeployment, Report } from "./prepared-deployment.ts";

/** A deployment that is ready to be registered: nothing about it can be found wrong on this side any more. */
export interface ReadyDeployment {
  prepared: PreparedDeployment;
  name: string;
  create: Omit<z.input<typeof CreateDeployment>, "flow_id">;
  update: z.input<typeof UpdateDeployment>;
  /** True when the file says `schedules: []`: on an update that keeps what is there, and is told. */
  hasEmptySchedules: boolean;
  /** As the file says them; undefined when it says nothing. */
  schedules: Schedule[] | undefined;
  paused: boolean | undefined;
  triggers: DeploymentTrigger[];
  triggerSpecs: unknown[];
}

interface BuildOptions {
  env: Environment;
  now: Date;
  findVersion(type: VersionType | undefined): Promise<VersionInfo | undefined>;
  outputs: Record<string, unknown>;
  /** Images as steps name them → as the deployment is to run them. */
  pins: ReadonlyMap<string, string>;
  /** What `--trigger` says; wins over the file's when there is any. */
  triggerFlags: readonly unknown[];
  warn(message: string): void;
}

/** Any scalar as the text that Python would make of it. */
const OptionalText = z
  .unknown()
  .transform((value) => (value === null || value === undefined ? value : pythonText(value)))
  .optional();

const Final = z.object({
  name: OptionalText,
  version: OptionalText,
  version_type: z.enum(VERSION_TYPES).nullish(),
  description: OptionalText,
  tags: z.unknown().optional(),
  parameters: z.record(z.string(), z.unknown()).default({}),
  paused: z.boolean().nullish(),
  concurrency_limit: z.union([z.number(), ConcurrencyOptions.extend({ limit: z.number().optional() })]).nullish(),
  enforce_parameter_schema: z.boolean().nullish(),
  entrypoint: z.string(),
  work_pool: z.object({
    name: z.string(),
    work_queue_name: OptionalText,
    job_variables: z.record(z.string(), z.unknown()).default({}),
  }),
});

/** Fills the steps' outputs into a deployment and makes the bodies of both requests. */
export async function buildBodies(
  prepared: PreparedDeployment,
  options: BuildOptions,
): Promise<{ ready?: ReadyDeployment; problems: Problem[] }> {
  const { report, flow } = prepared;
  const outputs = { ...options.outputs, ...prepared.variables };
  const { schedules: scheduleSpecs, schedule: _, triggers: triggerSpecs, ...rest } = prepared.values;
  const warnMissing = ({ text }: Placeholder) =>
    options.warn(`deployment ${prepared.label}: nothing has a value for ${text}; it is left out.`);
  const final = Final.safeParse(fillOutputs(rest, outputs, options.env, warnMissing));
  if (!final.success) {
    const problems = final.error.issues.map((issue) => {
      const path = issue.path.filter((step) => typeof step !== "symbol");
      return report(path, `${path.join(".")}: ${issue.message}.`);
    });
    return { problems };
  }
  const problems: Problem[] = [];
  const schedules = readSchedules(
    fillOutputs(scheduleSpecs, outputs, options.env, () => undefined),
    report,
    problems,
  );
  const name = normalizeName(final.data.name ?? prepared.name);
  const specs = options.triggerFlags.length > 0 ? options.triggerFlags : listOf(triggerSpecs);
  const triggers = readTriggers(specs, outputs, options.env, prepared, problems);
  const common = await buildCommonBody(prepared, final.data, options);
  const pullSteps = fillPullSteps(prepared.pull, outputs, options.env);
  problems.push(
    ...checkParameters(flow.parameter_openapi_schema, common.parameters, common.enforced !== false, report),
    ...checkJobVariables(prepared.workPool, common.job_variables, report),
  );
  if (problems.length > 0) {
    return { problems };
  }
  const pull_steps = Array.isArray(pullSteps) ? pullSteps.filter(isMapping) : [];
  const { enforced, ...body } = common;
  const ready: ReadyDeployment = {
    prepared,
    name,
    create: {
      name,
      ...body,
      description: body.description ?? NO_DESCRIPTION,
      schedules: (schedules ?? []).map((schedule) => buildCreateSchedule(schedule, options.now)),
      enforce_parameter_schema: enforced ?? true,
      pull_steps,
      labels: {},
      path: null,
      storage_document_id: null,
      infrastructure_document_id: null,
    },
    update: {
      ...body,
      pull_steps,
      ...(enforced === undefined ? {} : { enforce_parameter_schema: enforced }),
      ...(schedules && schedules.length > 0 ? { schedules } : {}),
    },
    hasEmptySchedules: schedules?.length === 0,
    schedules,
    paused: final.data.paused ?? undefined,
    triggers,
    triggerSpecs: [...specs],
  };
  return { ready, problems };
}

/** Prefect sends the text of Python's `None` when it creates a deployment of a flow without docstring. */
const NO_DESCRIPTION = "None";

async function buildCommonBody(prepared: PreparedDeployment, final: z.infer<typeof Final>, options: BuildOptions) {
  const limit = final.concurrency_limit ?? null;
  const version = await chooseVersion(prepared, final, options);
  return {
    version: version.version,
    version_info: version.info,
    description: final.description || prepared.flow.description || null,
    parameters: final.parameters,
    paused: final.paused ?? false,
    concurrency_limit: typeof limit === "number" ? limit : (limit?.limit ?? null),
    concurrency_options: typeof limit === "number" || limit === null ? null : dropEmpty(limit),
    tags: readTags(final.tags, prepared, options.warn),
    work_queue_name: final.work_pool.work_queue_name || null,
    work_pool_name: final.work_pool.name,
    job_variables: pinImages(final.work_pool.job_variables, options.pins),
    entrypoint: final.entrypoint,
    parameter_openapi_schema: prepared.flow.parameter_openapi_schema,
    enforced: final.enforce_parameter_schema ?? undefined,
  };
}

/** Whatever variable of the pool holds the image, at whatever depth: a text that is exactly an image of ours. */
function pinImages(variables: Record<string, unknown>, pins: ReadonlyMap<string, string>): Record<string, unknown> {
  const pin = (value: unknown): unknown => {
    if (typeof value === "string") {
      return pins.get(value) ?? value;
    }
    if (Array.isArray(value)) {
      return value.map(pin);
    }
    return isMapping(value) ? pinImages(value, pins) : value;
  };
  return Object.fromEntries(Object.entries(variables).map(([key, value]) => [key, pin(value)]));
}

function dropEmpty({ collision_strategy, grace_period_seconds }: ConcurrencyOptions): ConcurrencyOptions {
  return grace_period_seconds === undefined || grace_period_seconds === null
    ? { collision_strategy }
    : { collision_strategy, grace_period_seconds };
}

/** An explicit version wins; where the code comes from version control, its commit wins over the flow's own. */
async function chooseVersion(
  prepared: PreparedDeployment,
  final: z.infer<typeof Final>,
  options: BuildOptions,
): Promise<{ version: string | null; info: VersionInfo }> {
  const explicit = final.version || undefined;
  const info = await options.findVersion(final.version_type ?? undefined);
  const version = explicit ?? info?.version ?? prepared.flow.version;
  return {
    version,
    info: { ...(info ?? { type: "prefect:simple" }), version: version ?? "" },
  };
}

function readTags(value: unknown, prepared: PreparedDeployment, warn: (message: string) => void): string[] {
  if (typeof value === "string") {
    if (value.trim() !== "") {
      warn(`deployment ${prepared.label}: tags is the text ${JSON.stringify(value)}, taken as one tag; write a list.`);
    }
    return value.trim() === "" ? [] : [value];
  }
  return listOf(value)
    .map((tag) => pythonText(tag))
    .filter((tag) => tag.trim() !== "");
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

/** Undefined when the file says nothing about schedules: an update then keeps those that are there. */
function readSchedules(value: unknown, report: Report, problems: Problem[]): Schedule[] | undefined {
  if (value === undefined || value === null) {
    return undefined;
  }
  const schedules: Schedule[] = [];
  for (const [index, item] of listOf(value).entries()) {
    const schedule = parseSchedule(readScheduleConfig(item) ?? {});
    if ("message" in schedule) {
      problems.push(report(["schedules", index, schedule.key], schedule.message));
    } else {
      schedules.push(schedule);
    }
  }
  return schedules;
}

/** Parameters of a trigger are for the event that fires it: the outputs of steps are not filled into them. */
function readTriggers(
  specs: readonly unknown[],
  outputs: Record<string, unknown>,
  env: Environment,
  prepared: PreparedDeployment,
  problems: Problem[],
): DeploymentTrigger[] {
  const triggers: DeploymentTrigger[] = [];
  for (const [index, spec] of specs.entries()) {
    const { parameters, ...rest } = isMapping(spec) ? spec : { parameters: undefined };
    const filled = fillOutputs(rest, outputs, env, () => undefined);
    const whole = isMapping(filled) && parameters !== undefined ? { ...filled, parameters } : filled;
    const trigger = parseTrigger(whole, prepared.name, index + 1);
    if (Array.isArray(trigger)) {
      const at = (path: readonly (string | number)[]) => ["triggers", index, ...path];
      problems.push(...trigger.map((each) => prepared.report(at(each.path), `trigger ${index + 1} ${each.message}.`)));
    } else {
      triggers.push(trigger);
    }
  }
  return triggers;
}
