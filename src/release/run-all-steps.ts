import { type Engine, findEngine } from "../docker/engine.ts";
import { readEngineSettings } from "../docker/engine-address.ts";
import { describeLocation } from "../project/problem.ts";
import { findCheckout } from "./checkout.ts";
import { createImageSession, type ImageSession } from "./images/image-session.ts";
import type { PreparedProject } from "./prepare-project.ts";
import type { PreparedDeployment } from "./prepared-deployment.ts";
import type { DeployRequest } from "./request.ts";
import { runSteps, type StepOutputs, type StepRun, settleOutputs } from "./run-steps.ts";
import { PUSH_IMAGE_STEP } from "./steps/step-table.ts";
import { buildValueSource } from "./value-source.ts";

/** The outputs of each deployment's steps, in the order of the deployments, and the images of all of them. */
export interface RunSteps {
  outputs: StepOutputs[];
  images: ImageSession;
}

/** Two builds keep a small runner busy; more of them only share its disk. */
const DEFAULT_PARALLEL_BUILDS = 2;

/**
 * Runs the build and push steps of all deployments; images are planned first and built together, each distinct one
 * once. For a plan nothing with effects runs: images are only looked up.
 */
export async function runAllSteps(
  { request, project, prepared }: PreparedProject,
  { planOnly }: { planOnly: boolean },
): Promise<RunSteps> {
  const { output, signal, env } = request;
  const images = openSession(request);
  const ran: StepRun["ran"] = new Set();
  const outputs: StepOutputs[] = [];
  for (const each of prepared) {
    const run: StepRun = {
      context: {
        directory: request.root,
        env,
        signal,
        write: output.write,
        notice: output.warn,
        images,
        pushesImages: pushesImages(each),
      },
      env,
      values: buildValueSource(request.client),
      ran,
      planOnly,
      progress: planOnly ? () => undefined : output.progress,
      describePlace: (at) => {
        const { location } = project.problemAt(at, "error", "");
        return location === undefined ? "" : `${describeLocation(location)}: `;
      },
      ...(request.onStep === undefined ? {} : { onStep: request.onStep }),
    };
    const own: StepOutputs = { values: {}, images: [] };
    await runSteps(each.build, own, run);
    await runSteps(each.push, own, run);
    outputs.push(own);
  }
  await (planOnly ? images.lookUp() : images.carryOut(false));
  for (const own of outputs) {
    settleOutputs(own);
  }
  return { outputs, images };
}

function pushesImages({ build, push }: PreparedDeployment): boolean {
  return [...build, ...push].some(({ path }) => path === PUSH_IMAGE_STEP);
}

function openSession(request: DeployRequest): ImageSession {
  const { output, signal, env } = request;
  const settings = readEngineSettings({ ...env });
  let engine: Promise<Engine> | undefined;
  return createImageSession({
    findEngine: () => {
      engine ??= findEngine(settings);
      return engine;
    },
    registry: { configDir: settings.configDir, signal },
    env,
    findOrigin: async () => {
      const { url, commitSha, committedAt } = await findCheckout(request.root, env);
      return { source: url, revision: commitSha, created: committedAt };
    },
    pushAll: request.images?.push ?? false,
    limit: request.images?.parallelBuilds ?? DEFAULT_PARALLEL_BUILDS,
    defaults: request.images?.defaults ?? {},
    write: output.write,
    notice: output.warn,
    progress: output.progress,
  });
}
