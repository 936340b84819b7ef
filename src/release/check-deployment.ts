import path from "node:path";
import { ObjectName } from "../prefect-api/primitives.ts";
import { isMapping } from "../prefect-api/templating.ts";
import type { WorkPool } from "../prefect-api/work-pools.ts";
import { suggestNearest } from "../project/did-you-mean.ts";
import { describeLocation, type Problem } from "../project/problem.ts";
import { inspectFlow } from "../project/python/inspect-flow.ts";
import { parseTrigger } from "../project/triggers.ts";
import { UserError } from "../shared/errors.ts";
import { checkJobVariables, checkParameters } from "./check-values.ts";
import type { FlowFacts, Preparation, Report } from "./prepared-deployment.ts";

export async function readFlow(
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

export function checkName(name: string | null | undefined, report: Report, problems: Problem[]): string | undefined {
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

export async function checkWorkPool(
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

/**
 * What can be said before the steps run about values that wait for none of their outputs: an image is not built for a
 * deployment that cannot be registered.
 */
export function checkEarly(
  values: Record<string, unknown>,
  flow: FlowFacts | undefined,
  pool: WorkPool | undefined,
  report: Report,
): Problem[] {
  const problems: Problem[] = [];
  const { parameters, work_pool: workPool, triggers, enforce_parameter_schema: enforced } = values;
  if (flow !== undefined && isMapping(parameters)) {
    problems.push(...checkParameters(flow.parameter_openapi_schema, parameters, enforced !== false, report));
  }
  const variables = isMapping(workPool) ? workPool["job_variables"] : undefined;
  if (pool !== undefined && isMapping(variables)) {
    problems.push(...checkJobVariables(pool, variables, report));
  }
  for (const [index, spec] of Array.isArray(triggers) ? triggers.entries() : []) {
    // The parameters of a trigger are templates for the event that fires it, and stay templates.
    const { parameters: _, ...rest } = isMapping(spec) ? spec : {};
    const trigger = JSON.stringify(rest).includes("{{") ? [] : parseTrigger(spec, "", index + 1);
    for (const { path: at, message } of Array.isArray(trigger) ? trigger : []) {
      problems.push(report(["triggers", index, ...at], `trigger ${index + 1} ${message}.`));
    }
  }
  return problems;
}
