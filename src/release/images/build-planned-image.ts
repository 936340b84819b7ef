import { tmpdir } from "node:os";
import { buildImage } from "../../docker/build.ts";
import { buildWithBuildx, needsBuildx } from "../../docker/buildx.ts";
import type { Engine } from "../../docker/engine.ts";
import { findImage } from "../../docker/images.ts";
import { PREFECT_VERSION } from "../../prefect-api/primitives.ts";
import { UserError } from "../../shared/errors.ts";
import { type DockerLogin, withDockerLogins } from "../docker-logins.ts";
import type { ImageOrigin, ImageSessionOptions } from "./image-session.ts";
import { type BuildSpec, listContentTags, listTags, type PlannedImage } from "./planned-image.ts";

/** Builds it on this engine; several platforms go straight to the registry, as no engine can keep them. */
export async function buildPlannedImage(
  image: PlannedImage,
  spec: BuildSpec,
  engine: Engine,
  options: ImageSessionOptions,
): Promise<void> {
  const [label] = listTags(image);
  const began = performance.now();
  options.progress(`Building image ${label}`);
  const onLine = (line: string) => options.write(`[${label}] ${line}\n`);
  // What the user writes wins: a label of ours never changes an image that has its own.
  const labels = {
    ...buildOriginLabels(await options.findOrigin()),
    "io.prefect.version": PREFECT_VERSION,
    ...spec.labels,
  };
  image.imageId = needsBuildx(spec.platforms, spec.buildx)
    ? await runBuildx(image, { ...spec, labels }, engine, options, onLine)
    : await runEngine(label, { ...spec, labels }, engine, options, onLine);
  image.outcome = "built";
  image.buildSeconds = (performance.now() - began) / 1000;
  image.sizeBytes = (image.imageId === undefined ? undefined : await findImage(engine, image.imageId))?.Size ?? null;
}

async function runEngine(
  label: string,
  spec: BuildSpec,
  engine: Engine,
  options: ImageSessionOptions,
  onLine: (line: string) => void,
): Promise<string> {
  const { contextDir, dockerfile, labels, pull, noCache, target, networkMode, shmSizeBytes } = spec;
  const [platform] = spec.platforms;
  const { imageId } = await buildImage(engine, {
    contextDir,
    dockerfile,
    tags: [label],
    labels,
    pull,
    noCache,
    ...(Object.keys(spec.buildArgs).length === 0 ? {} : { buildArgs: spec.buildArgs }),
    ...(target === undefined ? {} : { target }),
    ...(platform === undefined ? {} : { platform }),
    ...(networkMode === undefined ? {} : { networkMode }),
    ...(shmSizeBytes === undefined ? {} : { shmSizeBytes }),
    ...(spec.extraHosts.length === 0 ? {} : { extraHosts: spec.extraHosts }),
    onLine,
    signal: options.registry.signal,
  });
  return imageId;
}

async function runBuildx(
  image: PlannedImage,
  spec: BuildSpec,
  engine: Engine,
  options: ImageSessionOptions,
  onLine: (line: string) => void,
): Promise<string | undefined> {
  const tags = [...listTags(image), ...listContentTags(image)];
  const push = goesStraightToRegistry(image);
  const stays = [...image.names.values()].find((name) => !name.isPushed);
  if (push && stays !== undefined) {
    throw new UserError("STEP_FAILED", `Image "${stays.name}" is for several platforms, which an engine cannot keep.`, {
      hint: "Add a push_docker_image step right after the build (or pass --push), or build for one platform.",
    });
  }
  const { contextDir, dockerfile, platforms, buildArgs, labels, target, noCache, pull, networkMode } = spec;
  const build = (env: ImageSessionOptions["env"]) =>
    buildWithBuildx({
      ...{ contextDir, dockerfile, tags, platforms, buildArgs, labels, target, noCache, pull, networkMode },
      options: spec.buildx,
      push,
      engineUrl: engine.url,
      env,
      onLine,
      signal: options.registry.signal,
    });
  const logins = push ? listLogins(image) : [];
  // What a push step says is not in Docker's configuration, which is all that buildx knows.
  const digest = await (logins.length === 0
    ? build(options.env)
    : withDockerLogins({ own: options.registry.configDir, parent: tmpdir() }, logins, (folder) =>
        build({ ...options.env, DOCKER_CONFIG: folder }),
      ));
  image.pushedDigest = digest ?? null;
  return push ? undefined : (await findImage(engine, tags[0] ?? ""))?.Id;
}

function listLogins({ names }: PlannedImage): DockerLogin[] {
  return [...names.values()].flatMap(({ credentials }) => {
    const { username, password, serveraddress: registry } = credentials ?? {};
    return username === undefined || password === undefined || registry === undefined
      ? []
      : [{ registry, username, password }];
  });
}

/** What no engine can keep: several platforms, and the provenance of an image that is pushed. */
export function goesStraightToRegistry({ spec, names }: PlannedImage): boolean {
  if (spec === null) {
    return false;
  }
  const { provenance = "false" } = spec.buildx;
  const isPushed = [...names.values()].every((name) => name.isPushed);
  return spec.platforms.length > 1 || (provenance !== "false" && isPushed);
}

function buildOriginLabels(origin: ImageOrigin): Record<string, string> {
  const labels = {
    "org.opencontainers.image.source": origin.source,
    "org.opencontainers.image.revision": origin.revision,
    "org.opencontainers.image.created": origin.created,
  };
  return Object.fromEntries(
    Object.entries(labels).flatMap(([key, value]): [string, string][] => (value === undefined ? [] : [[key, value]])),
  );
}
