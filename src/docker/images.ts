import type Docker from "dockerode";
import type { Engine } from "./engine.ts";
import { answerWithin, engineLost } from "./engine.ts";
import { engineStatus, isEngineGone, pullError } from "./errors.ts";
import { followProgress, type ProgressEvent } from "./progress.ts";
import { findRegistryCredentials, type RegistryCredentials } from "./registry-credentials.ts";

export interface ImageReference {
  /** With the registry, without tag and digest: `ghcr.io/x/y`. */
  name: string;
  tag: string | undefined;
  digest: string | undefined;
}

/** Splits `registry:5000/name:tag@sha256:…`; a colon before the last slash is a port. */
export function parseImageReference(image: string): ImageReference {
  const [tagged = "", digest] = image.split("@");
  const lastSlash = tagged.lastIndexOf("/");
  const colon = tagged.indexOf(":", lastSlash + 1);
  return {
    name: colon === -1 ? tagged : tagged.slice(0, colon),
    tag: colon === -1 ? undefined : tagged.slice(colon + 1),
    digest,
  };
}

/** An engine that is alive looks one up within milliseconds, on a loaded host within seconds. */
const LOOK_TIMEOUT_MS = 15_000;

/** The image as this engine has it, or undefined when it has none of that name. */
export async function findImage(engine: Engine, image: string): Promise<Docker.ImageInspectInfo | undefined> {
  try {
    return await answerWithin(LOOK_TIMEOUT_MS, engine.docker.getImage(image).inspect());
  } catch (error) {
    if (engineStatus(error) === 404) {
      return undefined;
    }
    throw isEngineGone(error) ? engineLost(engine, error) : error;
  }
}

interface PullRequest {
  image: string;
  /** Instead of what `docker login` stored. */
  credentials?: RegistryCredentials | undefined;
  platform?: string;
  onProgress?: (event: ProgressEvent) => void;
  signal?: AbortSignal;
}

/**
 * Pulls one image, `latest` when no tag is named (the engine would pull every tag).
 * Throws IMAGE_NOT_FOUND, IMAGE_PULL_REFUSED, DOCKER_DISK_FULL; TransientError REGISTRY_UNREACHABLE, DOCKER_UNREACHABLE.
 */
export async function pullImage(engine: Engine, request: PullRequest): Promise<void> {
  const { name, tag, digest } = parseImageReference(request.image);
  const credentials = request.credentials ?? (await findRegistryCredentials(engine.configDir, request.image));
  try {
    const stream = await engine.docker.createImage(credentials, {
      fromImage: digest === undefined ? name : `${name}@${digest}`,
      ...(digest === undefined ? { tag: tag ?? "latest" } : {}),
      ...(request.platform === undefined ? {} : { platform: request.platform }),
      ...(request.signal === undefined ? {} : { abortSignal: request.signal }),
    });
    await followProgress(stream, request.onProgress ?? (() => undefined));
  } catch (error) {
    request.signal?.throwIfAborted();
    throw isEngineGone(error) ? engineLost(engine, error) : pullError(request.image, error);
  }
}

/**
 * Takes one name away from an image, and the image with its last one. `in-use`: a container has it, running or not.
 * Throws TransientError DOCKER_UNREACHABLE.
 */
export async function removeImage(engine: Engine, image: string): Promise<"removed" | "in-use" | "absent"> {
  try {
    await engine.docker.getImage(image).remove();
    return "removed";
  } catch (error) {
    switch (engineStatus(error)) {
      case 404:
        return "absent";
      case 409:
        return "in-use";
      default:
        throw isEngineGone(error) ? engineLost(engine, error) : error;
    }
  }
}

/** Gives an image one more name. Throws the engine's answer for a name that is none. */
export async function tagImage(engine: Engine, image: string, newName: string): Promise<void> {
  const { name, tag } = parseImageReference(newName);
  try {
    await engine.docker.getImage(image).tag({ repo: name, tag: tag ?? "latest" });
  } catch (error) {
    throw isEngineGone(error) ? engineLost(engine, error) : error;
  }
}

/**
 * Takes tags away from a name until only the newest `keep` of those that fit are left; an image without any tag goes
 * with its last one. One that a container uses stays.
 */
export async function dropOldTags(engine: Engine, name: string, pattern: RegExp, keep: number): Promise<void> {
  const images = await engine.docker.listImages({ filters: { reference: [name] } });
  const tags = images
    .toSorted((a, b) => b.Created - a.Created)
    .flatMap(({ RepoTags }) => RepoTags ?? [])
    .filter((reference) => pattern.test(parseImageReference(reference).tag ?? ""));
  for (const tag of tags.slice(keep)) {
    try {
      await engine.docker.getImage(tag).remove();
    } catch (error) {
      if (engineStatus(error) !== 404 && engineStatus(error) !== 409) {
        throw isEngineGone(error) ? engineLost(engine, error) : error;
      }
    }
  }
}
