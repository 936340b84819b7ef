import type { Engine } from "../../docker/engine.ts";
import { dropOldTags, findImage, pullImage, tagImage } from "../../docker/images.ts";
import { pushImage } from "../../docker/push.ts";
import { findRegistryDigest, tagInRegistry } from "../../docker/registry.ts";
import { errorMessage, hasCode } from "../../shared/errors.ts";
import { buildPlannedImage, goesStraightToRegistry } from "./build-planned-image.ts";
import { buildContentTag, CONTENT_TAG } from "./content-hash.ts";
import type { ImageSessionOptions } from "./image-session.ts";
import { type BuildSpec, type ImageName, listContentTags, listTags, type PlannedImage } from "./planned-image.ts";
import { runLimited } from "./run-limited.ts";

export interface SettleOptions extends ImageSessionOptions {
  /** A later step may run the images: they have to be on this engine. */
  needsLocal: boolean;
  hash(spec: BuildSpec): Promise<string | null>;
}

/** Builds, pushes and tags what is not there yet; several images at the same time. Throws the first failure. */
export async function settleImages(images: readonly PlannedImage[], options: SettleOptions): Promise<void> {
  await runLimited(images, options.limit, options.registry.signal, async (image, signal) => {
    const stoppable = { ...options, registry: { ...options.registry, signal } };
    await provideImage(image, stoppable);
    image.isSettled = true;
    for (const name of image.names.values()) {
      if (name.isPushed) {
        await publish(image, name, stoppable);
      }
    }
  });
}

/** Fills in the digests that registries have, and whether the engine has the image. Changes nothing outside. */
export async function lookUpImage(image: PlannedImage, options: ImageSessionOptions): Promise<void> {
  const { contentHash } = image;
  if (contentHash === null || !image.mayBeReused) {
    return;
  }
  const tag = buildContentTag(contentHash);
  const names = [...image.names.values()];
  for (const name of names) {
    if (name.willBePushed || name.isPushed) {
      name.digest ??= await findPublished(name, tag, options);
    }
  }
  const engine = isPublished(image) ? undefined : await options.findEngine().catch(() => undefined);
  const local = engine === undefined ? undefined : await findLocal(engine, image);
  image.imageId ??= local;
  image.outcome = image.outcome === "planned" && (isPublished(image) || local !== undefined) ? "reused" : image.outcome;
}

function isPublished({ names }: PlannedImage): boolean {
  return [...names.values()].every(({ digest }) => digest !== null);
}

/**
 * Null when the registry has no such tag, or does not let us look: only the engine may reach it, the credentials may be
 * for pushing alone, and some registries refuse to speak of a repository that does not exist yet.
 */
async function findPublished(name: ImageName, tag: string, options: ImageSessionOptions): Promise<string | null> {
  if (name.isHidden) {
    return null;
  }
  try {
    const { credentials } = name;
    return (await findRegistryDigest(options.registry, { image: `${name.name}:${tag}`, credentials })) ?? null;
  } catch (error) {
    if (!isBlind(error)) {
      throw error;
    }
    name.isHidden = true;
    options.notice(`What the registry has of ${name.name} cannot be seen from here, so nothing in it is reused.`);
    return null;
  }
}

function isBlind(error: unknown): boolean {
  return (
    hasCode(error, "REGISTRY_UNREACHABLE") ||
    hasCode(error, "REGISTRY_RATE_LIMITED") ||
    hasCode(error, "IMAGE_PULL_REFUSED")
  );
}

async function findLocal(engine: Engine, image: PlannedImage): Promise<string | undefined> {
  for (const reference of listContentTags(image)) {
    const found = await findImage(engine, reference);
    if (found !== undefined) {
      return found.Id;
    }
  }
  return undefined;
}

/** Sees to it that the image is in every registry that it goes to, or else on this engine. */
async function provideImage(image: PlannedImage, options: SettleOptions): Promise<void> {
  const { spec } = image;
  if (spec === null) {
    image.outcome = "reused";
    return; // Somebody else's: it is on the engine, or the push says that it is not.
  }
  await lookUpImage(image, options);
  const [label] = listTags(image);
  if (isPublished(image) && !options.needsLocal) {
    options.progress(`Image ${label} is in its registry already.`);
    return;
  }
  const engine = await options.findEngine();
  if (isPublished(image)) {
    image.imageId ??= await findLocal(engine, image);
  }
  if (image.imageId !== undefined) {
    options.progress(`Image ${label} is on this engine already.`);
  } else if (isPublished(image)) {
    image.imageId = await pullPublished(image, engine, options);
  } else {
    // The files may have changed since the image was planned: it is named by what goes into it.
    image.contentHash = image.contentHash === null ? null : await options.hash(spec);
    await buildPlannedImage(image, spec, engine, options);
  }
  if (image.imageId !== undefined) {
    for (const reference of new Set([...listTags(image), ...listContentTags(image)])) {
      await tagImage(engine, image.imageId, reference);
    }
  }
  if (image.outcome === "built") {
    await tidyUp(image, engine, options);
  }
}

/** An engine that does not let us is no reason to fail a deploy. */
async function tidyUp(image: PlannedImage, engine: Engine, options: SettleOptions): Promise<void> {
  try {
    for (const name of image.names.keys()) {
      await dropOldTags(engine, name, CONTENT_TAG, KEPT_CONTENTS);
    }
  } catch (error) {
    options.registry.signal.throwIfAborted();
    options.notice(
      `Older images of ${listTags(image)[0]} could not be dropped from the engine: ${errorMessage(error)}`,
    );
  }
}

/** Our tags would keep every image that was ever built from being pruned. Some stay, for other deploys on this engine. */
const KEPT_CONTENTS = 5;

async function pullPublished(
  image: PlannedImage,
  engine: Engine,
  options: ImageSessionOptions,
): Promise<string | undefined> {
  for (const { name, digest, credentials } of image.names.values()) {
    const reference = `${name}@${digest}`;
    options.progress(`Pulling image ${reference}`);
    await pullImage(engine, { image: reference, credentials, signal: options.registry.signal });
    return (await findImage(engine, reference))?.Id;
  }
  return undefined;
}

/** Pushes once, under the tag of the content; the registry itself gives the image the tags that people read. */
async function publish(image: PlannedImage, name: ImageName, options: ImageSessionOptions): Promise<void> {
  const [firstTag = "latest", ...otherTags] = name.tags;
  const contentTag = image.contentHash === null ? undefined : buildContentTag(image.contentHash);
  const pushed = contentTag ?? firstTag;
  if (name.digest === null && goesStraightToRegistry(image)) {
    name.digest = (await findPublished(name, pushed, options)) ?? image.pushedDigest;
  }
  if (name.digest === null) {
    options.progress(`Pushing image ${name.name}:${firstTag}`);
    const told = await pushTag(name, pushed, options);
    name.digest = (await findPublished(name, pushed, options)) ?? told;
    options.write(`[${name.name}:${firstTag}] pushed as ${name.digest}\n`);
  }
  const further = contentTag === undefined ? otherTags : [...name.tags].filter((tag) => tag !== contentTag);
  for (const tag of further) {
    await publishTag(image, name, tag, options);
  }
}

async function pushTag({ name, credentials }: ImageName, tag: string, options: ImageSessionOptions): Promise<string> {
  const engine = await options.findEngine();
  const { signal } = options.registry;
  return (await pushImage(engine, { image: `${name}:${tag}`, credentials, signal })).digest;
}

async function publishTag(
  image: PlannedImage,
  name: ImageName,
  tag: string,
  options: ImageSessionOptions,
): Promise<void> {
  const { credentials } = name;
  if (image.spec === null) {
    await pushTag(name, tag, options); // what else goes by this name on the engine may be another image
    return;
  }
  if ((await findPublished(name, tag, options)) === name.digest) {
    return;
  }
  try {
    if (name.isHidden && image.imageId === undefined && image.pushedDigest === name.digest) {
      return; // buildx pushed all tags at once, and what it pushed is on no engine
    }
    if (!name.isHidden) {
      await tagInRegistry(options.registry, { image: `${name.name}@${name.digest}`, credentials }, tag);
      return;
    }
  } catch (error) {
    if (!isBlind(error) || image.imageId === undefined) {
      throw error;
    }
  }
  await pushTag(name, tag, options);
}
