import type { Dockerfile } from "../../docker/build-context.ts";
import type { BuildxOptions } from "../../docker/buildx.ts";
import type { RegistryCredentials } from "../../docker/registry-credentials.ts";
import { buildContentTag } from "./content-hash.ts";

/** How the outputs of a step that was not run begin; no name of an image can hold it. */
export const UNKNOWN = "<known-after-";

/** What a build step asks for, less the names that the image gets. */
export interface BuildSpec {
  /** Absolute. */
  contextDir: string;
  dockerfile: Dockerfile;
  buildArgs: Record<string, string>;
  /** Those that the user writes. */
  labels: Record<string, string>;
  target: string | undefined;
  /** None for the engine's own; several, or anything in `buildx`, need Docker's buildx. */
  platforms: string[];
  noCache: boolean;
  /** Ask the registry for newer base images even when they are here. */
  pull: boolean;
  networkMode: string | undefined;
  extraHosts: string[];
  shmSizeBytes: number | undefined;
  buildx: BuildxOptions;
}

/** One repository that the image goes to. */
export interface ImageName {
  name: string;
  tags: Set<string>;
  /** Set by a push step. */
  isPushed: boolean;
  /** A push step is still to come: what the registry has is worth asking. */
  willBePushed: boolean;
  credentials: RegistryCredentials | undefined;
  /** The registry does not let us look, so it is not asked again. */
  isHidden: boolean;
  /** As its registry tells it; null before that, and for an image that stays here. */
  digest: string | null;
}

/** One distinct image: the same content under however many names. Its state changes as it is built and pushed. */
export interface PlannedImage {
  /** Null when a base image cannot be looked up: such an image is built each time. */
  contentHash: string | null;
  /** Null for an image that something else than a build step made. */
  spec: BuildSpec | null;
  /** False when the user asks for a build without caches. */
  mayBeReused: boolean;
  names: Map<string, ImageName>;
  /** What buildx says that the registry has; null for an image that did not go straight there. */
  pushedDigest: string | null;
  /** Of this engine, once the image is on it. */
  imageId: string | undefined;
  /** It is where it should be, under all its tags, as far as it is known by now. */
  isSettled: boolean;
  /** How it came to be there. */
  outcome: "planned" | "built" | "reused";
  buildSeconds: number | null;
  sizeBytes: number | null;
}

/**
 * What a deployment runs of an image: the digest once it is known, the tag of its content while it is still to be
 * pushed, and the tag that was written where nothing is pushed or the content has no hash.
 */
export function chooseReference(image: PlannedImage, { name, isPushed, digest }: ImageName, tag: string): string {
  if (digest !== null) {
    return `${name}@${digest}`;
  }
  return isPushed && image.contentHash !== null ? `${name}:${buildContentTag(image.contentHash)}` : `${name}:${tag}`;
}

/** `name:tag` of all its names; the first is what messages call it. */
export function listTags(image: PlannedImage): [string, ...string[]] {
  const [first = "", ...others] = [...image.names.values()].flatMap(({ name, tags }) =>
    [...tags].map((tag) => `${name}:${tag}`),
  );
  return [first, ...others];
}

/** `name:tag` with the tag of its content, for each of its names. */
export function listContentTags({ contentHash, names }: PlannedImage): string[] {
  return contentHash === null ? [] : [...names.keys()].map((name) => `${name}:${buildContentTag(contentHash)}`);
}
