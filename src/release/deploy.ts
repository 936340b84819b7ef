import { type Engine, findEngine } from "../docker/engine.ts";
import { readEngineSettings } from "../docker/engine-address.ts";
import type { ValueSource } from "../prefect-api/server-values.ts";
import { buildProjectError, describeInvalidEntries, hasErrors, loadProject, type Project } from "../project/load.ts";
import { hasFlags } from "../project/overlay.ts";
import { compareProblems, describeLocation, describeProblem, type Problem } from "../project/problem.ts";
import { type Selected, selectEntries } from "../project/select.ts";
import { loadTriggerFlags } from "../project/triggers.ts";
import { UserError } from "../shared/errors.ts";
import { buildBodies, type ReadyDeployment } from "./build-bodies.ts";
import { prepareDeployment } from "./prepare.ts";
import type { Preparation, PreparedDeployment } from "./prepared-deployment.ts";
import { registerDeployment } from "./register.ts";
import type { DeployClient, DeployedDeployment, DeployOutput, DeployRequest, DeployResult } from "./request.ts";
import { runSteps, type StepRun } from "./run-steps.ts";

/**
 * Deploys what is selected of a project: everything is checked first, then all build and push steps run, then the
 * deployments are registered. Until the last step has succeeded nothing is changed on the server.
 * Throws UserError PROJECT_FILE_MISSING, PROJECT_FILE_INVALID, DEPLOYMENT_NOT_SELECTED, DEPLOYMENT_INVALID,
 * ENTRYPOINT_INVALID, TEMPLATE_UNRESOLVED, STEP_FAILED, USAGE, and what the client and Docker throw.
 */
export async function deploy(given: DeployRequest): Promise<DeployResult> {
  const request = { ...given, output: tellOnce(given.output) };
  const project = await loadProject(request.root, request.projectFile);
  const selected = selectDeployments(project, request);
  const triggerFlags = await loadTriggerFlags(request.root, selected.many ? [] : (request.flags.triggers ?? []));
  const prepared = await prepareAll(project, selected, request);
  const outputs = await runAllSteps(project, prepared, request);

  const ready: ReadyDeployment[] = [];
  const problems: Problem[] = [];
  for (const [index, each] of prepared.entries()) {
    const built = await buildBodies(each, {
      root: request.root,
      env: request.env,
      now: (request.now ?? (() => new Date()))(),
      outputs: outputs[index] ?? {},
      triggerFlags,
      warn: request.output.warn,
    });
    problems.push(...built.problems);
    ready.push(...(built.ready === undefined ? [] : [built.ready]));
  }
  refuseProblems(problems);
  return { deployments: await registerAll(ready, request) };
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
    output.warn(`Unable to read the specified config file ${project.file}: there is no such file. Skipping.`);
  }
  const canCreate = flags.entrypoint !== undefined;
  const selected = selectEntries(project, { ...selection, canCreate }, request.env);
  for (const notice of selected.notices) {
    output.warn(notice);
  }
  const headline = describeInvalidEntries(selected.entries);
  const entryProblems = project.entries.flatMap((entry) => entry.problems);
  if (headline !== undefined) {
    throw buildProjectError(entryProblems, headline);
  }
  // Errors of entries that are not selected are told, and stop nothing.
  for (const problem of [...project.problems, ...entryProblems].sort(compareProblems)) {
    output.warn(describeProblem({ ...problem, severity: "warning" }));
  }
  if (selected.many && hasFlags(flags)) {
    output.warn(
      "You have passed options to the deploy command, but you are creating or updating multiple deployments. These options will be ignored.",
    );
  }
  return selected;
}

async function prepareAll(project: Project, selected: Selected, request: DeployRequest): Promise<PreparedDeployment[]> {
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
  refuseProblems(problems);
  return prepared;
}

function refuseProblems(problems: readonly Problem[]): void {
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

function buildValueSource(client: DeployClient): ValueSource {
  return {
    findVariable: (name) => client.variables.findByName(name),
    findBlockData: async (typeSlug, name) => (await client.blockDocuments.findByName(typeSlug, name))?.data,
  };
}

/** The outputs of each deployment's steps, in the order of the deployments. */
async function runAllSteps(
  project: Project,
  prepared: readonly PreparedDeployment[],
  request: DeployRequest,
): Promise<Record<string, unknown>[]> {
  const { output, signal, env } = request;
  let engine: Promise<Engine> | undefined;
  const cache: StepRun["cache"] = new Map();
  const outputs: Record<string, unknown>[] = [];
  for (const each of prepared) {
    const run: StepRun = {
      context: {
        directory: request.root,
        env,
        signal,
        write: output.write,
        notice: output.warn,
        findEngine: () => {
          engine ??= findEngine(readEngineSettings({ ...env }));
          return engine;
        },
      },
      env,
      values: buildValueSource(request.client),
      cache,
      progress: output.progress,
      describePlace: (at) => {
        const { location } = project.problemAt(at, "error", "");
        return location === undefined ? "" : `${describeLocation(location)}: `;
      },
      ...(request.onStep === undefined ? {} : { onStep: request.onStep }),
    };
    outputs.push(await runSteps(each.push, await runSteps(each.build, {}, run), run));
  }
  return outputs;
}

async function registerAll(ready: readonly ReadyDeployment[], request: DeployRequest): Promise<DeployedDeployment[]> {
  const deployed: DeployedDeployment[] = [];
  for (const each of ready) {
    request.signal.throwIfAborted();
    request.output.progress(`Deploying ${each.prepared.flow.name}/${each.name}`);
    try {
      deployed.push(await registerDeployment(each, request));
    } catch (error) {
      if (deployed.length > 0) {
        const names = deployed.map(({ flowName, name }) => `${flowName}/${name}`).join(", ");
        request.output.warn(`Already registered before the failure: ${names}.`);
      }
      throw error;
    }
  }
  return deployed;
}
