import path from "node:path";
import { z } from "zod";
import { ObjectName } from "../prefect-api/primitives.ts";
import { isMapping, pythonText } from "../prefect-api/templating.ts";
import type { WorkPool } from "../prefect-api/work-pools.ts";
import { buildDefaultPull, findActions, findPullSteps } from "../project/actions.ts";
import { suggestNearest } from "../project/did-you-mean.ts";
import type { Project, ProjectEntry } from "../project/load.ts";
import { overlayFlags } from "../project/overlay.ts";
import { describeLocation, type Problem } from "../project/problem.ts";
import { inspectFlow } from "../project/python/inspect-flow.ts";
import type { DeploymentToSave } from "../project/save.ts";
import type { DeploymentEntry, ProjectHead, Step } from "../project/schema.ts";
import { fillEnvironment, fillServerValues, type ValueSource } from "../project/template.ts";
import type { Path } from "../project/yaml-file.ts";
import type { ErrorCode } from "../shared/error-codes.ts";
import { UserError } from "../shared/errors.ts";
import type { DeployRequest } from "./request.ts";
import { type PlannedStep, planSteps } from "./run-steps.ts";
import { STEPS } from "./steps/step-table.ts";

export interface FlowFacts {
  name: string;
  description: string | null;
  version: string | null;
  parameter_openapi_schema: Record<string, unknown>;
}

/** A problem with one deployment, at a place of its entry. */
export type Report = (path: Path, message: string, hint?: string, code?: ErrorCode) => Problem;

/** A deployment of which all is known that can be known before its steps run. */
export interface PreparedDeployment {
  /** What the user calls it, for messages. */
  label: string;
  report: Report;
  /** Everything but steps, with blocks, variables and the environment filled in. */
  values: Record<string, unknown>;
  /** Job variables of flags, which templates may name. */
  variables: Record<string, unknown>;
  name: string;
  entrypoint: string;
  flow: FlowFacts;
  workPool: WorkPool;
  build: PlannedStep[];
  push: PlannedStep[];
  pull: Step[];
  /** How it stands or could stand in the file, templates unfilled. */
  save: Omit<DeploymentToSave, "triggers">;
}

/** What all deployments of one deploy share. */
export interface Preparation {
  request: DeployRequest;
  project: Project;
  values: ValueSource;
  /** One question a pool, whatever the number of deployments. */
  findWorkPool(name: string): Promise<WorkPool | undefined>;
}

const Identity = z.object({
  name: z.string().nullish(),
  entrypoint: z.string().nullish(),
  work_pool: z.object({ name: z.string().nullish(), job_variables: z.unknown().optional() }),
});

const SECTIONS: readonly string[] = ["build", "push", "pull"];

/**
 * Looks at one entry (or at flags alone, when `entry` is undefined) and asks the server for its pool, blocks and
 * variables. Changes nothing anywhere. Answers what is wrong instead, all of it.
 */
export async function prepareDeployment(
  shared: Preparation,
  entry: ProjectEntry | undefined,
  names: readonly string[],
  many: boolean,
): Promise<{ prepared?: PreparedDeployment; problems: Problem[]; notices: string[] }> {
  const { request, project } = shared;
  const label = entry?.label ?? JSON.stringify(names[0] ?? "new deployment");
  const report = buildReport(project, entry, label);
  const overlaid = overlayFlags(entry?.entry ?? {}, many ? {} : request.flags, many ? [] : names);
  const written = chooseDefaultPool(overlaid.entry, request, many);
  const head = addSteps(project.head, request.additions);
  const problems: Problem[] = [];
  const notices = [...overlaid.notices];

  const values = await resolveEntry(shared, written, report, problems);
  const identity = Identity.safeParse(values);
  if (!identity.success) {
    problems.push(...identity.error.issues.map((issue) => describeIssue(issue, report)));
    return { problems, notices };
  }
  const at: Path = entry === undefined ? [] : ["deployments", entry.index];
  const table = request.steps ?? STEPS;
  const reportStep = (place: Path, message: string, hint?: string) => {
    const whose = place[0] === "deployments" ? `deployment ${label}: ` : "";
    return withCode(project.problemAt(place, "error", `${whose}${message}`, hint), "STEP_FAILED");
  };
  const buildActions = findActions(head, written, "build", at);
  const pushActions = findActions(head, written, "push", at);
  const build = planSteps(buildActions.steps, buildActions.at, table, reportStep);
  const push = planSteps(pushActions.steps, pushActions.at, table, reportStep);
  problems.push(...build.problems, ...push.problems);

  const { entrypoint, name, work_pool } = identity.data;
  const flow = await readFlow(request.root, entrypoint, report, problems, notices);
  const deploymentName = checkName(name, report, problems);
  const workPool = await checkWorkPool(shared, work_pool, report, problems, notices);
  if (written.sla || (request.flags.sla ?? []).length > 0) {
    const message = "SLA configuration is currently only supported on Prefect Cloud.";
    problems.push(report(["sla"], message, "Remove it to deploy to a server of your own."));
  }
  if (flow === undefined || deploymentName === undefined || workPool === undefined || problems.length > 0) {
    return { problems, notices };
  }
  const pull = findPullSteps(head, written);
  const defaultPull =
    pull === undefined ? buildDefaultPull(request.root, buildActions.steps, work_pool.job_variables) : undefined;
  if (defaultPull?.notice !== undefined) {
    notices.push(defaultPull.notice);
  }
  const prepared = {
    label,
    report,
    values,
    variables: overlaid.variables,
    name: deploymentName,
    entrypoint: entrypoint ?? "",
    flow,
    workPool,
    build: build.planned,
    push: push.planned,
    pull: [...(pull ?? defaultPull?.steps ?? [])],
    save: { entry: written, build: buildActions.steps, push: pushActions.steps, pull },
  };
  return { prepared, problems, notices };
}

function buildReport(project: Project, entry: ProjectEntry | undefined, label: string): Report {
  return (place, message, hint, code = "DEPLOYMENT_INVALID") => {
    const text = `deployment ${label}: ${message}`;
    if (entry === undefined) {
      return { severity: "error", code, message: text, frame: "", ...(hint === undefined ? {} : { hint }) };
    }
    return withCode(project.problemAt(["deployments", entry.index, ...place], "error", text, hint), code);
  };
}

function withCode(problem: Problem, code: ErrorCode): Problem {
  return { ...problem, code };
}

function describeIssue(issue: z.core.$ZodIssue, report: Report): Problem {
  const path = issue.path.filter((step) => typeof step !== "symbol");
  return report(path, `${path.join(".")}: ${issue.message} once its templates are filled.`);
}

/** A pool that the environment names overrides the file for a single deployment and fills in for several. */
function chooseDefaultPool(entry: DeploymentEntry, request: DeployRequest, many: boolean): DeploymentEntry {
  const fallback =
    request.env["PREFECT_DEFAULT_WORK_POOL_NAME"] || request.env["PREFECT_DEPLOYMENTS_DEFAULT_WORK_POOL_NAME"];
  const pool = entry.work_pool ?? {};
  const keepsOwn = many ? Boolean(pool.name) : request.flags.workPool !== undefined;
  return fallback && !keepsOwn ? { ...entry, work_pool: { ...pool, name: fallback } } : { ...entry, work_pool: pool };
}

function addSteps(head: ProjectHead, additions: DeployRequest["additions"] = {}): ProjectHead {
  const added = { ...head };
  for (const section of ["build", "push", "pull"] as const) {
    const steps = additions[section] ?? [];
    if (steps.length > 0) {
      const own = head[section];
      added[section] = [...(Array.isArray(own) ? own : []), ...steps];
    }
  }
  return added;
}

/** Fills blocks, variables and the environment, key by key so that a problem is shown at its key. */
async function resolveEntry(
  shared: Preparation,
  entry: DeploymentEntry,
  report: Report,
  problems: Problem[],
): Promise<Record<string, unknown>> {
  const resolved: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(entry)) {
    if (SECTIONS.includes(key) || value === undefined) {
      continue;
    }
    try {
      const filled = await fillServerValues(value, shared.values);
      resolved[key] = fillEnvironment(filled, shared.request.env);
    } catch (error) {
      if (!(error instanceof UserError) || error.code !== "TEMPLATE_UNRESOLVED") {
        throw error;
      }
      problems.push(report([key], error.message, error.hint, error.code));
      resolved[key] = value;
    }
  }
  return resolved;
}

async function readFlow(
  root: string,
  entrypoint: string | null | undefined,
  report: Report,
  problems: Problem[],
  notices: string[],
): Promise<FlowFacts | undefined> {
  if (!entrypoint) {
    problems.push(
      report(
        ["entrypoint"],
        "An entrypoint must be provided.",
        "Write entrypoint: path/to/file.py:function in the project file, or pass it as the first argument.",
        "ENTRYPOINT_INVALID",
      ),
    );
    return undefined;
  }
  try {
    const {
      name,
      description,
      version,
      parameter_openapi_schema,
      notices: told,
    } = await inspectFlow({
      root,
      entrypoint,
    });
    notices.push(...told.map((notice) => `${describeLocation(notice.location)}: ${notice.message}.`));
    return { name, description, version, parameter_openapi_schema: { ...parameter_openapi_schema } };
  } catch (error) {
    if (!(error instanceof UserError)) {
      throw error;
    }
    const where = error.location === undefined ? "" : `${describeLocation(error.location)}: `;
    problems.push(report(["entrypoint"], `${where}${error.message}`, error.hint, error.code));
    return undefined;
  }
}

function checkName(name: string | null | undefined, report: Report, problems: Problem[]): string | undefined {
  if (!name) {
    problems.push(
      report(["name"], "A deployment name must be provided.", "Write name: my-deployment, or pass -n my-deployment."),
    );
    return undefined;
  }
  const used = normalizeName(name);
  if (!ObjectName.safeParse(used).success) {
    problems.push(
      report(["name"], `the name ${JSON.stringify(name)} holds one of the characters / % & > <, which a name cannot.`),
    );
    return undefined;
  }
  return used;
}

/** A name that looks like a script loses its ending, as with Prefect. */
export function normalizeName(name: string): string {
  return name.endsWith(".py") ? path.basename(name, ".py") : name;
}

async function checkWorkPool(
  shared: Preparation,
  given: { name?: string | null | undefined; job_variables?: unknown },
  report: Report,
  problems: Problem[],
  notices: string[],
): Promise<WorkPool | undefined> {
  if (!given.name) {
    const message = "A work pool is required to deploy this flow.";
    problems.push(report(["work_pool"], message, "Write work_pool: {name: my-pool}, or pass --pool my-pool."));
    return undefined;
  }
  const pool = await shared.findWorkPool(given.name);
  if (pool === undefined) {
    const pools = await shared.request.client.workPools.list();
    const names = pools.map((each) => each.name);
    const nearest = suggestNearest(given.name, names);
    const known = names.length === 0 ? "The server has none yet." : `The server has ${names.slice(0, 10).join(", ")}.`;
    problems.push(
      report(
        ["work_pool", "name"],
        `the work pool ${JSON.stringify(given.name)} does not exist.`,
        `${nearest === "" ? known : nearest.trim()} Create it with \`flowyard work-pool create --type docker ${given.name}\`.`,
      ),
    );
    return undefined;
  }
  if (pool.type === "prefect-agent") {
    const message = `the work pool ${JSON.stringify(pool.name)} is of the type prefect-agent, which cannot run deployments of a project.`;
    problems.push(report(["work_pool", "name"], message, "Use a pool of another type, such as docker or process."));
    return undefined;
  }
  notices.push(...listUnknownVariables(pool, given.job_variables));
  return pool;
}

/** Job variables that the pool's template never reads: the sign of a pool of another type. */
function listUnknownVariables(pool: WorkPool, given: unknown): string[] {
  const variables = pool.base_job_template["variables"];
  const properties = isMapping(variables) ? variables["properties"] : undefined;
  if (!isMapping(given) || !isMapping(properties)) {
    return [];
  }
  const known = Object.keys(properties);
  return Object.keys(given)
    .filter((key) => !known.includes(key.split(".")[0] ?? key))
    .map(
      (key) =>
        `The work pool ${JSON.stringify(pool.name)} is of type ${pool.type} and does not use the job variable ${JSON.stringify(key)}.${suggestNearest(key, known)}`,
    );
}

/** Any scalar as the text that Python would make of it. */
export function textOf(value: unknown): string | null | undefined {
  return value === null || value === undefined ? value : pythonText(value);
}
