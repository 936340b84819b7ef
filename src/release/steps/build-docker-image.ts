import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { z } from "zod";
import { buildImage } from "../../docker/build.ts";
import { PREFECT_VERSION } from "../../prefect-api/primitives.ts";
import { UserError } from "../../shared/errors.ts";
import { buildImageName } from "./image-name.ts";
import { defineStep, type StepContext } from "./step.ts";

const IMAGE_HOME = "/opt/prefect";
/** What `dockerfile: auto` starts from: the official image of the version that we stand for. */
export const AUTO_BASE_IMAGE = `prefecthq/prefect:${PREFECT_VERSION}-python3.11`;

const Scalars = z
  .record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]))
  .transform((values) => Object.fromEntries(Object.entries(values).map(([key, value]) => [key, String(value ?? "")])));

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
});
type Inputs = z.infer<typeof Inputs>;

/** Arguments of docker-py that change nothing here. */
const HARMLESS = new Set(["rm", "forcerm", "quiet", "timeout", "decode", "gzip", "use_config_proxy"]);

/** Builds with the engine's BuildKit, whichever backend is named. Throws IMAGE_BUILD_FAILED, DOCKER_UNREACHABLE. */
export const buildDockerImage = defineStep(
  Inputs,
  async (inputs, context) => {
    const imageName = buildImageName(inputs.image_name, context.env);
    const tag = String(inputs.tag ?? buildTimeTag(new Date()));
    const additionalTags = (inputs.additional_tags ?? []).map(String);
    tellUnused(inputs, context);
    const platform = choosePlatform(inputs);
    const buildArgs = inputs.buildargs ?? inputs.build_args;
    const engine = await context.findEngine();
    const built = await withDockerfile(inputs, context, (dockerfile) =>
      buildImage(engine, {
        contextDir: path.resolve(context.directory, inputs.path ?? "."),
        dockerfile,
        tags: [`${imageName}:${tag}`, ...additionalTags.map((further) => `${imageName}:${further}`)],
        labels: { ...inputs.labels, "io.prefect.version": PREFECT_VERSION },
        // Prefect asks the registry each time. The tag that `auto` starts from never changes: having it is enough.
        pull: inputs.pull ?? inputs.dockerfile !== "auto",
        noCache: inputs.nocache,
        ...(buildArgs ? { buildArgs } : {}),
        ...(inputs.target ? { target: inputs.target } : {}),
        ...(platform === undefined ? {} : { platform }),
        ...(inputs.network_mode ? { networkMode: inputs.network_mode } : {}),
        ...(inputs.shmsize ? { shmSizeBytes: inputs.shmsize } : {}),
        ...(inputs.extra_hosts
          ? { extraHosts: Object.entries(inputs.extra_hosts).map(([host, address]) => `${host}:${address}`) }
          : {}),
        onLine: (line) => context.write(`${line}\n`),
        signal: context.signal,
      }),
    );
    return {
      outputs: {
        image_name: imageName,
        tag,
        image: `${imageName}:${tag}`,
        image_id: built.imageId,
        additional_tags: additionalTags,
      },
    };
  },
  { cached: true },
);

function choosePlatform(inputs: Inputs): string | undefined {
  const platforms = inputs.platforms ?? [];
  if (platforms.length > 1) {
    throw new UserError(
      "STEP_FAILED",
      `platforms names ${platforms.join(" and ")}; one image of one platform can be built here.`,
      { hint: "Write one build step for each platform." },
    );
  }
  return inputs.platform ?? platforms[0];
}

function tellUnused(inputs: Inputs, context: StepContext): void {
  const unused = Object.keys(inputs).filter((key) => !(key in Inputs.shape) && !HARMLESS.has(key));
  if (unused.length > 0) {
    context.notice(`build_docker_image does not use ${unused.join(", ")}.`);
  }
}

/** Hands the Dockerfile to `build`; one that was generated lies in a folder of its own and is gone afterwards. */
async function withDockerfile<T>(
  inputs: Inputs,
  context: StepContext,
  build: (dockerfile: string) => Promise<T>,
): Promise<T> {
  if (inputs.dockerfile !== "auto") {
    // docker-py reads it from the context's folder, or as given when the path is absolute.
    return build(inputs.dockerfile);
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
  const folder = await mkdtemp(path.join(tmpdir(), "flowyard-dockerfile-"));
  try {
    const generated = path.join(folder, "Dockerfile");
    await writeFile(generated, text);
    return await build(generated);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
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

/** `2026-11-23t12-30-01-123000-00-00`: the time in UTC with what a tag may hold. */
function buildTimeTag(now: Date): string {
  return `${now.toISOString().slice(0, 23).toLowerCase().replace(/[:.]/g, "-")}000-00-00`;
}

function isFile(file: string): Promise<boolean> {
  return stat(file).then(
    (found) => found.isFile(),
    () => false,
  );
}
