import { z } from "zod";
import { UserError } from "../shared/errors.ts";
import { listBaseImages } from "./base-images.ts";
import { type Dockerfile, packBuildContext } from "./build-context.ts";
import { type BuildLog, createBuildLog } from "./build-log.ts";
import { type Engine, engineLost } from "./engine.ts";
import { engineText, isEngineGone } from "./errors.ts";
import { tagImage } from "./images.ts";
import { followProgress } from "./progress.ts";
import { findRegistry, findRegistryCredentials, type RegistryCredentials } from "./registry-credentials.ts";

export interface BuildRequest {
  /** The folder that is sent, less what its `.dockerignore` names. */
  contextDir: string;
  dockerfile: Dockerfile;
  /** `name:tag`, at least one. */
  tags: readonly [string, ...string[]];
  buildArgs?: Record<string, string>;
  labels?: Record<string, string>;
  target?: string;
  platform?: string;
  noCache?: boolean;
  /** Ask the registry for newer base images even when they are here. */
  pull?: boolean;
  /** `host` lets RUN lines use the host's network. */
  networkMode?: string;
  /** `name:ip` */
  extraHosts?: string[];
  shmSizeBytes?: number;
  /** For private base images, instead of what `docker login` stored. */
  credentials?: RegistryCredentials;
  /** One line of the build's log, without its newline. */
  onLine?: (line: string) => void;
  signal?: AbortSignal;
}

export interface BuiltImage {
  /** `sha256:…` of this engine's image: no digest of a registry. */
  imageId: string;
}

const ImageIdAux = z.object({ ID: z.string() });

/**
 * Builds an image with BuildKit (Podman: with its own builder) and gives it its tags.
 * Throws IMAGE_BUILD_FAILED with the step that failed and its last lines; TransientError DOCKER_UNREACHABLE.
 */
export async function buildImage(engine: Engine, request: BuildRequest): Promise<BuiltImage> {
  const context = await packBuildContext(request.contextDir, request.dockerfile);
  const credentials =
    request.credentials ?? (await findBaseImageCredentials(engine, context.dockerfileText, request.buildArgs));
  const log = createBuildLog(request.onLine ?? (() => undefined));
  let imageId: string | undefined;
  try {
    const stream = await engine.docker.buildImage(context.stream, {
      ...queryOptions(request),
      dockerfile: context.dockerfile,
      ...(engine.isPodman ? {} : { version: "2" }),
      ...(credentials === undefined ? {} : { authconfig: credentials }),
    });
    endSessionWithStream(stream);
    await followProgress(stream, (event) => {
      log.read(event);
      const aux = ImageIdAux.safeParse(event.aux);
      imageId = aux.success ? aux.data.ID : imageId;
    });
  } catch (error) {
    request.signal?.throwIfAborted();
    throw isEngineGone(error) ? engineLost(engine, error) : buildError(request, log, error);
  } finally {
    context.stream.destroy();
    log.finish();
  }
  if (imageId === undefined) {
    throw buildError(request, log, new Error("the engine reported no image at the end of the build"));
  }
  const [, ...furtherTags] = request.tags;
  for (const tag of furtherTags) {
    await tagImage(engine, imageId, tag);
  }
  return { imageId };
}

function queryOptions(request: BuildRequest) {
  const options = {
    t: request.tags[0],
    ...(request.buildArgs === undefined ? {} : { buildargs: request.buildArgs }),
    ...(request.labels === undefined ? {} : { labels: request.labels }),
    ...(request.target === undefined ? {} : { target: request.target }),
    ...(request.platform === undefined ? {} : { platform: request.platform }),
    ...(request.noCache === undefined ? {} : { nocache: request.noCache }),
    ...(request.pull === undefined ? {} : { pull: request.pull }),
    ...(request.networkMode === undefined ? {} : { networkmode: request.networkMode }),
    ...(request.shmSizeBytes === undefined ? {} : { shmsize: request.shmSizeBytes }),
    ...(request.signal === undefined ? {} : { abortSignal: request.signal }),
  };
  // The engine takes `extrahosts` several times in the query; its typing knows one text only.
  return request.extraHosts === undefined ? options : Object.assign(options, { extrahosts: request.extraHosts });
}

/**
 * dockerode closes BuildKit's session when the answer ends; an answer that is cut off never does, and the session's
 * server would keep this process alive.
 */
function endSessionWithStream(stream: NodeJS.ReadableStream): void {
  let hasEnded = false;
  stream.once("end", () => {
    hasEnded = true;
  });
  stream.once("close", () => {
    if (!hasEnded) {
      stream.emit("end");
    }
  });
}

/**
 * dockerode hands the same credentials to whatever registry BuildKit asks for: they are looked up only when all base
 * images come from one registry, so that nobody else is told them.
 */
async function findBaseImageCredentials(
  engine: Engine,
  dockerfileText: string,
  buildArgs: Record<string, string> | undefined,
): Promise<RegistryCredentials | undefined> {
  const images = listBaseImages(dockerfileText, buildArgs) ?? [];
  const [first] = images;
  const registries = new Set(images.map(findRegistry));
  return first === undefined || registries.size !== 1 ? undefined : findRegistryCredentials(engine.configDir, first);
}

function buildError(request: BuildRequest, log: BuildLog, cause: unknown): UserError {
  log.finish();
  const failed = log.failedStep();
  const reason = shortenReason(engineText(cause));
  const step = failed === undefined || failed.name === "" ? "" : ` at step ${failed.name}`;
  const output = failed === undefined || failed.lastLines.length === 0 ? "" : `\n${indent(failed.lastLines)}`;
  const isBaseImage = step.includes("load metadata for") || BASE_IMAGE_REFUSED.test(reason);
  return new UserError(
    "IMAGE_BUILD_FAILED",
    `Image "${request.tags[0]}" could not be built${step}: ${reason}${output}`,
    {
      hint: isBaseImage
        ? "A base image could not be had: check its name, log in to its registry, or set `pull: false` to use one that is only on this machine."
        : "Correct the Dockerfile or what it copies, and build again.",
      cause,
    },
  );
}

const BASE_IMAGE_REFUSED = /pull access denied|manifest unknown|failed to resolve source metadata/i;

/**
 * failed to solve with frontend dockerfile.v0: failed to create LLB definition: target stage x could not be found
 * executor failed running [/bin/sh -c make]: exit code: 7                                  (engine 20.10)
 * process "/bin/sh -c make" did not complete successfully: exit code: 7                    (engine 23 and later)
 */
function shortenReason(text: string): string {
  return text
    .replace(/^failed to solve( with frontend \S+)?: /, "")
    .replace(/^failed to create LLB definition: /, "")
    .replace(/^.*(executor failed running|did not complete successfully).*(exit code: \d+)$/s, "$2");
}

function indent(lines: string[]): string {
  return lines.map((line) => `    ${line}`).join("\n");
}
