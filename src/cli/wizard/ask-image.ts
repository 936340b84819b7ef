import { access, rename } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { WorkPool } from "../../prefect-api/work-pools.ts";
import { BUILD_IMAGE_STEP } from "../../project/actions.ts";
import type { Step } from "../../project/schema.ts";
import { UserError } from "../../shared/errors.ts";
import { askText, askYesNo } from "../ask.ts";
import type { CliContext } from "../context.ts";

const PUSH_IMAGE_STEP = "prefect_docker.deployments.steps.push_docker_image";
const REQUIREMENT = "prefect-docker>=0.3.1";
/** The build step's id: what `{{ build-image.image }}` refers to. */
const BUILD_ID = "build-image";

export interface ImageAnswers {
  build: Step[];
  push: Step[];
  /** The job variables that make the run use the image. */
  jobVariables: { image: string; image_pull_policy?: "Never" };
}

const FreeImage = z.object({
  variables: z.object({
    properties: z.object({ image: z.object({ type: z.literal("string"), enum: z.undefined().optional() }) }),
  }),
});

/** Whether runs of the pool can be given an image of their own. */
export function hasFreeImage(pool: WorkPool): boolean {
  return FreeImage.safeParse(pool.base_job_template).success;
}

const PullPolicy = z.object({
  variables: z.object({ properties: z.object({ image_pull_policy: z.looseObject({}) }) }),
});

/** Without one, workers would ask a registry for an image that was never pushed. */
function hasPullPolicy(pool: WorkPool): boolean {
  return PullPolicy.safeParse(pool.base_job_template).success;
}

/** Questions four to eight of the wizard; undefined when no image is wanted. */
export async function askImage(
  context: CliContext,
  pool: WorkPool,
  deploymentName: string,
): Promise<ImageAnswers | undefined> {
  if (!(await askYesNo("Would you like to build a custom Docker image for this deployment?", false))) {
    return undefined;
  }
  const dockerfile = await askDockerfile(context.workingDirectory);
  const repository = await askText("Repository name (e.g. your Docker Hub username)", { validate: checkRepository });
  const name = await askText("Image name", { initial: suggestImageName(deploymentName), validate: checkRepository });
  const tag = await askText("Image tag", { initial: "latest", validate: checkTag });
  const shortName = `${repository.replace(/\/+$/, "")}/${name}`;
  context.output.say(`Image ${shortName}:${tag} will be built.`);
  const registry = await askRegistry(context);
  const build = {
    requires: REQUIREMENT,
    id: BUILD_ID,
    dockerfile,
    image_name: registry === undefined ? shortName : `${registry}/${shortName}`,
    tag,
  };
  const push = {
    requires: REQUIREMENT,
    image_name: `{{ ${BUILD_ID}.image_name }}`,
    tag: `{{ ${BUILD_ID}.tag }}`,
  };
  return {
    build: [{ [BUILD_IMAGE_STEP]: build }],
    push: registry === undefined ? [] : [{ [PUSH_IMAGE_STEP]: push }],
    jobVariables: {
      image: `{{ ${BUILD_ID}.image }}`,
      ...(registry === undefined && hasPullPolicy(pool) ? { image_pull_policy: "Never" } : {}),
    },
  };
}

async function askRegistry(context: CliContext): Promise<string | undefined> {
  if (!(await askYesNo("Would you like to push this image to a remote registry?", false))) {
    return undefined;
  }
  const registry = await askText("Registry URL", { initial: "docker.io" });
  context.output.say("Credentials are those of `docker login` on this machine.");
  return registry.replace(/^https?:\/\//, "").replace(/\/+$/, "");
}

/** `auto` writes a Dockerfile of its own, and so needs the name to be free. */
async function askDockerfile(directory: string): Promise<string> {
  const path = join(directory, "Dockerfile");
  const exists = await access(path).then(
    () => true,
    () => false,
  );
  if (!exists) {
    return "auto";
  }
  if (await askYesNo("Would you like to use the Dockerfile in the current directory?", true)) {
    return "Dockerfile";
  }
  if (!(await askYesNo("An image without it needs its name. Would you like to rename your Dockerfile?", false))) {
    throw new UserError("DEPLOYMENT_INVALID", "There is a Dockerfile, and it is not to be used.", {
      hint: "Rename or remove it, and deploy again.",
    });
  }
  await rename(path, join(directory, await askText("New Dockerfile name", { initial: "Dockerfile.backup" })));
  return "auto";
}

function suggestImageName(deploymentName: string): string {
  const name = deploymentName
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, "-")
    .replace(/^[^a-z0-9]+|[^a-z0-9]+$/g, "");
  return name === "" ? "flow" : name;
}

/** Docker's rule for the parts of an image's name. */
function checkRepository(text: string): string | undefined {
  const part = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*";
  const pattern = new RegExp(`^(?:[a-zA-Z0-9.-]+:\\d+/)?${part}(?:/${part})*/?$`);
  return pattern.test(text) ? undefined : "Docker allows lower-case letters, digits, and . _ - between them.";
}

function checkTag(text: string): string | undefined {
  return /^\w[\w.-]{0,127}$/.test(text) ? undefined : "A tag has letters, digits, . _ and -, at most 128.";
}
