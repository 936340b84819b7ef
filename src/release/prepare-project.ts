import { buildProjectError, describeInvalidEntries, hasErrors, loadProject, type Project } from "../project/load.ts";
import { hasFlags } from "../project/overlay.ts";
import { compareProblems, describeProblem, type Problem } from "../project/problem.ts";
import type { VersionType } from "../project/schema.ts";
import { type Selected, selectEntries } from "../project/select.ts";
import { loadTriggerFlags } from "../project/triggers.ts";
import { findVersionInfo, type VersionInfo } from "../project/version-info.ts";
import { TransientError, UserError } from "../shared/errors.ts";
import { prepareDeployment } from "./prepare.ts";
import type { Preparation, PreparedDeployment } from "./prepared-deployment.ts";
import type { DeployClient, DeployOutput, DeployRequest } from "./request.ts";
import { buildValueSource } from "./value-source.ts";

/** The name that is looked for when nobody names a file: not to have it is no mistake. */
const DEFAULT_PROJECT_FILE = "prefect.yaml";

/** A project of which all is checked that can be checked before a step runs. */
export interface PreparedProject {
  /** As given, with an output that says nothing twice. */
  request: DeployRequest;
  project: Project;
  prepared: PreparedDeployment[];
  /** What `--trigger` says. */
  triggerFlags: unknown[];
  /** Asks git once for each type, whatever the number of deployments. */
  findVersion(type: VersionType | undefined): Promise<VersionInfo | undefined>;
  /** The file has deployments that were not selected. */
  isPart: boolean;
}

/** Loads, selects and checks. Changes nothing anywhere. Throws what is wrong with the project, all of it in one go. */
export async function prepareProject(given: DeployRequest): Promise<PreparedProject> {
  const request = { ...given, output: tellOnce(given.output) };
  const project = await loadProject(request.root, request.projectFile);
  const selected = selectDeployments(project, request);
  await refuseInvalidEntries(project, selected, request);
  const triggerFlags = await loadTriggerFlags(request.root, selected.many ? [] : (request.flags.triggers ?? []));
  const prepared = await prepareAll(project, selected, request);
  const isPart = selected.entries.length < project.entries.length;
  return { request, project, prepared, triggerFlags, findVersion: createVersionFinder(request), isPart };
}

function createVersionFinder({ root, env }: DeployRequest): PreparedProject["findVersion"] {
  const versions = new Map<VersionType | undefined, Promise<VersionInfo | undefined>>();
  return (type) => {
    const known = versions.get(type) ?? findVersionInfo(root, env, type);
    versions.set(type, known);
    return known;
  };
}

/** Many deployments share what is to be said about them. */
function tellOnce(output: DeployOutput): DeployOutput {
  const told = new Set<string>();
  return {
    ...output,
    warn: (message) => {
      if (!told.has(message)) {
        told.add(message);
        output.warn(message);
      }
    },
  };
}

function selectDeployments(project: Project, request: DeployRequest): Selected {
  const { output, selection, flags } = request;
  const fileErrors = project.problems.filter((problem) => problem.severity === "error");
  if (fileErrors.length > 0) {
    // The entries' own errors are told in the same go.
    const entryProblems = project.entries.flatMap((entry) => entry.problems);
    const headlines = [project.headline, describeInvalidEntries(project.entries)].filter((text) => text !== undefined);
    throw buildProjectError([...fileErrors, ...entryProblems], headlines.join("\n"));
  }
  if (!project.exists) {
    if (flags.entrypoint === undefined) {
      throw new UserError(
        "PROJECT_FILE_MISSING",
        `Unable to read the specified config file ${project.file}: there is no such file in ${request.root}. An entrypoint must be provided.`,
        { hint: "Go to the project's folder, pass --prefect-file, or name a flow: path/to/file.py:function." },
      );
    }
    if (project.file === DEFAULT_PROJECT_FILE) {
      output.progress(`There is no ${project.file} here: the deployment is made of what the command says.`);
    } else {
      output.warn(`Unable to read the specified config file ${project.file}: there is no such file. Skipping.`);
    }
  }
  const canCreate = flags.entrypoint !== undefined;
  const selected = selectEntries(project, { ...selection, canCreate }, request.env);
  for (const notice of selected.notices) {
    output.warn(notice);
  }
  if (selected.many && hasFlags(flags)) {
    output.warn(
      "You have passed options to the deploy command, but you are creating or updating multiple deployments. These options will be ignored.",
    );
  }
  return selected;
}

/** What the file alone shows, with what else is wrong with the entries beside. Errors of others stop nothing. */
async function refuseInvalidEntries(project: Project, selected: Selected, request: DeployRequest): Promise<void> {
  const entryProblems = project.entries.flatMap((entry) => entry.problems);
  const headline = describeInvalidEntries(selected.entries);
  if (headline !== undefined) {
    const entries = selected.entries.filter(({ problems }) => !hasErrors(problems));
    const others = entries.length === 0 ? [] : await findProblems(project, { ...selected, entries }, request);
    throw buildProjectError([...entryProblems, ...others], headline);
  }
  for (const problem of [...project.problems, ...entryProblems].sort(compareProblems)) {
    request.output.warn(describeProblem({ ...problem, severity: "warning" }));
  }
}

/** A plane that is away hides no error of the file: the checks that need it are left for the next time. */
async function findProblems(project: Project, selected: Selected, request: DeployRequest): Promise<Problem[]> {
  try {
    return (await checkAll(project, selected, { ...request, output: { ...request.output, warn: () => undefined } }))
      .problems;
  } catch (error) {
    if (error instanceof UserError || error instanceof TransientError) {
      return [];
    }
    throw error;
  }
}

async function prepareAll(project: Project, selected: Selected, request: DeployRequest): Promise<PreparedDeployment[]> {
  const { prepared, problems } = await checkAll(project, selected, request);
  refuseProblems(problems);
  return prepared;
}

async function checkAll(
  project: Project,
  selected: Selected,
  request: DeployRequest,
): Promise<{ prepared: PreparedDeployment[]; problems: Problem[] }> {
  const shared = buildPreparation(project, request);
  const prepared: PreparedDeployment[] = [];
  const problems: Problem[] = [];
  const entries = selected.entries.length === 0 ? [undefined] : selected.entries;
  for (const entry of entries) {
    if (selected.many && entry !== undefined && entry.name === undefined) {
      request.output.warn(`Discovered unnamed deployment. Skipping deployment ${entry.label}.`);
      continue;
    }
    const result = await prepareDeployment(shared, entry, selected.names, selected.many);
    for (const notice of result.notices) {
      request.output.warn(notice);
    }
    problems.push(...result.problems);
    prepared.push(...(result.prepared === undefined ? [] : [result.prepared]));
  }
  return { prepared, problems };
}

export function refuseProblems(problems: readonly Problem[]): void {
  if (hasErrors(problems)) {
    const count = problems.length === 1 ? "a problem" : `${problems.length} problems`;
    throw buildProjectError(problems, `Nothing was deployed, because of ${count}:`);
  }
}

function buildPreparation(project: Project, request: DeployRequest): Preparation {
  const pools = new Map<string, ReturnType<DeployClient["workPools"]["find"]>>();
  return {
    request,
    project,
    values: buildValueSource(request.client),
    findWorkPool(name) {
      const known = pools.get(name) ?? request.client.workPools.find(name);
      pools.set(name, known);
      return known;
    },
  };
}
