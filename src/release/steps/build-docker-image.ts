import { stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { z } from "zod";
import type { Dockerfile } from "../../docker/build-context.ts";
import { PREFECT_VERSION } from "../../prefect-api/primitives.ts";
import { UserError } from "../../shared/errors.ts";
import type { BuildSpec } from "../images/planned-image.ts";
import { buildImageName } from "./image-name.ts";
import { defineStep, type StepContext } from "./step.ts";

const IMAGE_HOME = "/opt/prefect";
/** What `dockerfile: auto` starts from: the official image of the version that we stand for. */
export const AUTO_BASE_IMAGE = `prefecthq/prefect:${PREFECT_VERSION}-python3.11`;

const Scalars = z
  .record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]))
  .transform((values) => Object.fromEntries(Object.entries(values).map(([key, value]) => [key, String(value ?? "")])));

/** Where python-on-whales takes one text, several, or mappings such as `{type: registry, ref: …}`. */
const BuildxValues = z
  .union([
    z.string(),
    z.record(z.string(), z.string()),
    z.array(z.union([z.string(), z.record(z.string(), z.string())])),
  ])
  .transform((given) =>
    [given].flat().map((value) =>
      typeof value === "string"
        ? value
        : Object.entries(value)
            .map(([key, text]) => `${key}=${text}`)
            .join(","),
    ),
  );

const Inputs = z.looseObject({
  image_name: z.string().min(1),
  dockerfile: z.string().default("Dockerfile"),
  tag: z.union([z.string(), z.number()]).nullish(),
  additional_tags: z.array(z.union([z.string(), z.number()])).nullish(),
  ignore_cache: z.boolean().default(false),
  persist_dockerfile: z.boolean().default(false),
  dockerfile_output_path: z.string().default("Dockerfile.generated"),
  build_backend: z.enum(["docker-py", "buildx"]).default("docker-py"),
  path: z.string().nullish(),
  pull: z.boolean().nullish(),
  platform: z.string().nullish(),
  platforms: z.array(z.string()).nullish(),
  buildargs: Scalars.nullish(),
  build_args: Scalars.nullish(),
  labels: Scalars.nullish(),
  target: z.string().nullish(),
  nocache: z.boolean().default(false),
  network_mode: z.string().nullish(),
  shmsize: z.int().nullish(),
  extra_hosts: z.record(z.string(), z.string()).nullish(),
  cache_from: BuildxValues.nullish(),
  cache_to: BuildxValues.nullish(),
  provenance: z.union([z.boolean(), z.string()]).nullish(),
  secrets: BuildxValues.nullish(),
  ssh: BuildxValues.nullish(),
});
type Inputs = z.infer<typeof Inputs>;

/** Arguments of docker-py that change nothing here. */
const HARMLESS = new Set(["rm", "forcerm", "quiet", "timeout", "decode", "gzip", "use_config_proxy"]);

/**
 * Has an image built: with the engine's BuildKit, whichever backend is named, or with Docker's buildx when it asks for
 * what only that can do. The session throws IMAGE_BUILD_FAILED, BUILDX_MISSING, DOCKER_UNREACHABLE.
 */
export const buildDockerImage = defineStep(
  Inputs,
  async (inputs, context) => {
    const name = buildImageName(inputs.image_name, context.env);
    const additionalTags = (inputs.additional_tags ?? []).map(String);
    const given = inputs.tag === undefined || inputs.tag === null ? [] : [String(inputs.tag)];
    tellUnused(inputs, context);
    const { image, tags } = await context.images.planBuild({
      name,
      tags: given,
      spec: await buildSpec(inputs, context),
      mayBeReused: !inputs.ignore_cache && !inputs.nocache,
      willBePushed: context.pushesImages,
    });
    const [tag = ""] = tags;
    context.images.addTags(image, name, additionalTags);
    return {
      outputs: { image_name: name, tag, image: `${name}:${tag}`, image_id: "", additional_tags: additionalTags },
      image: { planned: image, name, tags: [tag, ...additionalTags] },
    };
  },
  "images",
);

async function buildSpec(inputs: Inputs, context: StepContext): Promise<BuildSpec> {
  const platforms = inputs.platforms ?? [];
  const { cache_from: cacheFrom, cache_to: cacheTo, provenance, secrets, ssh } = inputs;
  return {
    contextDir: path.resolve(context.directory, inputs.path ?? "."),
    dockerfile: await chooseDockerfile(inputs, context),
    buildArgs: inputs.buildargs ?? inputs.build_args ?? {},
    labels: inputs.labels ?? {},
    target: inputs.target || undefined,
    platforms: platforms.length === 0 && inputs.platform ? [inputs.platform] : platforms,
    noCache: inputs.nocache,
    // Prefect asks the registry each time. The tag that `auto` starts from never changes: having it is enough.
    pull: inputs.pull ?? inputs.dockerfile !== "auto",
    networkMode: inputs.network_mode || undefined,
    extraHosts: Object.entries(inputs.extra_hosts ?? {}).map(([host, address]) => `${host}:${address}`),
    shmSizeBytes: inputs.shmsize ?? undefined,
    buildx: {
      ...(cacheFrom ? { cacheFrom } : {}),
      ...(cacheTo ? { cacheTo } : {}),
      ...(provenance === undefined || provenance === null ? {} : { provenance: String(provenance) }),
      ...(secrets ? { secrets } : {}),
      ...(ssh ? { ssh } : {}),
    },
  };
}

function tellUnused(inputs: Inputs, context: StepContext): void {
  const unused = Object.keys(inputs).filter((key) => !(key in Inputs.shape) && !HARMLESS.has(key));
  if (unused.length > 0) {
    context.notice(`build_docker_image does not use ${unused.join(", ")}.`);
  }
}

/** docker-py reads a Dockerfile from the context's folder, or as given when the path is absolute. */
async function chooseDockerfile(inputs: Inputs, context: StepContext): Promise<Dockerfile> {
  if (inputs.dockerfile !== "auto") {
    return inputs.dockerfile;
  }
  if (await isFile(path.join(context.directory, "Dockerfile"))) {
    throw new UserError("STEP_FAILED", "Dockerfile already exists, so none is generated.", {
      hint: "Write dockerfile: Dockerfile to use it, or remove it.",
    });
  }
  const text = await generateDockerfile(context.directory);
  if (inputs.persist_dockerfile) {
    await writeFile(path.resolve(context.directory, inputs.dockerfile_output_path), text);
    context.notice(`The generated Dockerfile is kept as ${inputs.dockerfile_output_path}.`);
  }
  return { text };
}

async function generateDockerfile(directory: string): Promise<string> {
  const home = `${IMAGE_HOME}/${path.basename(directory)}`;
  const requirements = (await isFile(path.join(directory, "requirements.txt")))
    ? [
        `COPY ${JSON.stringify(["requirements.txt", `${home}/requirements.txt`])}`,
        `RUN ${JSON.stringify(["uv", "pip", "install", "-r", `${home}/requirements.txt`])}`,
      ]
    : [];
  // The JSON forms, so that a folder with a blank in its name is one argument.
  const lines = [
    `FROM ${AUTO_BASE_IMAGE}`,
    ...requirements,
    `COPY ${JSON.stringify([".", `${home}/`])}`,
    `WORKDIR ${home}/`,
  ];
  return `${lines.join("\n")}\n`;
}

function isFile(file: string): Promise<boolean> {
  return stat(file).then(
    (found) => found.isFile(),
    () => false,
  );
}
