import { z } from "zod";
import { fillServerValues } from "../prefect-api/server-values.ts";
import { isMapping } from "../prefect-api/templating.ts";
import type { WorkPool } from "../prefect-api/work-pools.ts";
import { buildDefaultPull, type DefaultPull, findActions, findPullSteps } from "../project/actions.ts";
import type { Project, ProjectEntry } from "../project/load.ts";
import { overlayFlags } from "../project/overlay.ts";
import type { Problem } from "../project/problem.ts";
import type { DeploymentEntry, ProjectHead, Step } from "../project/schema.ts";
import { fillEnvironment } from "../project/template.ts";
import type { Path } from "../project/yaml-file.ts";
import type { ErrorCode } from "../shared/error-codes.ts";
import { UserError } from "../shared/errors.ts";
import { checkEarly, checkName, checkWorkPool, readFlow } from "./check-deployment.ts";
import type { Preparation, PreparedDeployment, Report } from "./prepared-deployment.ts";
import type { DeployRequest } from "./request.ts";
import { planSteps } from "./run-steps.ts";
import { STEPS } from "./steps/step-table.ts";

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
  problems.push(...checkEarly(values, flow, workPool, report));
  if (flow === undefined || deploymentName === undefined || workPool === undefined || problems.length > 0) {
    return { problems, notices };
  }
  const pull = findPullSteps(head, written);
  const chosen = pull === undefined ? choosePull(request.root, buildActions.steps, values, workPool) : { steps: pull };
  notices.push(...(chosen.warning === undefined ? [] : [chosen.warning]));
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
    pull: chosen.steps,
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

/** A folder of this machine is no place to load code from for a pool whose runs are not processes of this machine. */
function choosePull(
  root: string,
  build: readonly Step[],
  values: Record<string, unknown>,
  pool: WorkPool,
): DefaultPull {
  const workPool = values["work_pool"];
  const chosen = buildDefaultPull(root, build, isMapping(workPool) ? workPool["job_variables"] : undefined);
  const isLocal = build.length === 0 && chosen.warning === undefined;
  return isLocal && pool.type !== "process"
    ? {
        ...chosen,
        warning: `Workers of ${JSON.stringify(pool.name)} (type ${pool.type}) will look for the code in ${root}, which is a folder of this machine. Add a build step, an image or pull steps.`,
      }
    : chosen;
}
