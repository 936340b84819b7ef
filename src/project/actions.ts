import path from "node:path";
import { isMapping } from "../prefect-api/templating.ts";
import type { DeploymentEntry, ProjectHead, Step } from "./schema.ts";
import type { Path } from "./yaml-file.ts";

export const BUILD_IMAGE_STEP = "prefect_docker.deployments.steps.build_docker_image";
const SET_DIRECTORY_STEP = "prefect.deployments.steps.set_working_directory";
/** Where the official image keeps its code. */
const IMAGE_HOME = "/opt/prefect";

/** The steps of a section and where the file says them. */
export interface Actions {
  steps: Step[];
  at: Path;
}

/**
 * Which steps an entry uses (surface §6.4.1): its own `build` replaces the top level's whatever it is; its own `push`
 * does so only when it is not empty. Pure.
 */
export function findActions(head: ProjectHead, entry: DeploymentEntry, section: "build" | "push", at: Path): Actions {
  const own = listSteps(entry[section]);
  const overrides = own.length > 0 || (section === "build" && "build" in entry && entry.build !== undefined);
  return overrides ? { steps: own, at: [...at, section] } : { steps: listSteps(head[section]), at: [section] };
}

/** The entry's pull steps, or undefined when the file leaves them to us; `pull: []` means none. */
export function findPullSteps(head: ProjectHead, entry: DeploymentEntry): Step[] | undefined {
  const own = listSteps(entry.pull);
  if (own.length > 0) {
    return own;
  }
  if (isEmptyList(entry.pull) || (entry.pull === undefined && isEmptyList(head.pull))) {
    return [];
  }
  const top = listSteps(head.pull);
  return top.length > 0 ? top : undefined;
}

function listSteps(actions: ProjectHead["build"]): Step[] {
  return Array.isArray(actions) ? actions.filter((step) => Object.keys(step).length > 0) : [];
}

function isEmptyList(actions: ProjectHead["build"]): boolean {
  return Array.isArray(actions) && actions.length === 0;
}

export interface DefaultPull {
  steps: Step[];
  /** What the user should know about a place that was chosen for want of a better one. */
  warning?: string;
}

/**
 * Where a worker finds the code when the file has no `pull`: in the image that `dockerfile: auto` makes, nowhere we could
 * know in an image of the user's own Dockerfile, in the official place of a ready image, else in this very folder.
 */
export function buildDefaultPull(root: string, buildSteps: readonly Step[], jobVariables: unknown): DefaultPull {
  const imageStep = buildSteps.map((step) => step[BUILD_IMAGE_STEP]).find(isMapping);
  if (imageStep !== undefined) {
    return imageStep["dockerfile"] === "auto"
      ? { steps: [setDirectory(`${IMAGE_HOME}/${path.basename(root)}`)] }
      : { steps: [] };
  }
  if (isMapping(jobVariables) && jobVariables["image"]) {
    return {
      steps: [setDirectory(IMAGE_HOME)],
      warning: `Using default working directory '${IMAGE_HOME}' for your Docker image. If your flow code is in a different location, add an explicit set_working_directory pull step to your prefect.yaml.`,
    };
  }
  return { steps: [setDirectory(root)] };
}

function setDirectory(directory: string): Step {
  return { [SET_DIRECTORY_STEP]: { directory } };
}
