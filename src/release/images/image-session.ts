import { listBaseImages } from "../../docker/base-images.ts";
import { listBuildContext } from "../../docker/build-context.ts";
import type { Engine } from "../../docker/engine.ts";
import type { RegistryAccess } from "../../docker/registry.ts";
import type { RegistryCredentials } from "../../docker/registry-credentials.ts";
import type { ReleaseImage } from "../../flowyard-api/releases.ts";
import type { ImageDefaults } from "../request.ts";
import { type BaseImageSource, findBaseDigest } from "./base-digests.ts";
import { buildContentTag, hashImageContent } from "./content-hash.ts";
import { type BuildSpec, type ImageName, type PlannedImage, UNKNOWN } from "./planned-image.ts";
import { lookUpImage, settleImages } from "./settle-images.ts";

/** Where the code of an image comes from, for its labels. */
export interface ImageOrigin {
  /** Address of the repository. */
  source: string | undefined;
  revision: string | undefined;
  /** Date of that commit, so that the same commit gives the same label. */
  created: string | undefined;
}

export interface ImageSessionOptions {
  findEngine(): Promise<Engine>;
  registry: RegistryAccess;
  env: Readonly<Record<string, string | undefined>>;
  findOrigin(): Promise<ImageOrigin>;
  /** Push every image that is built, whether or not the project has a step for it. */
  pushAll: boolean;
  defaults: ImageDefaults;
  /** Builds at the same time. */
  limit: number;
  write(text: string): void;
  notice(message: string): void;
  progress(message: string): void;
}

interface BuildWish {
  name: string;
  /** None when the user leaves it to us. */
  tags: string[];
  spec: BuildSpec;
  mayBeReused: boolean;
  willBePushed: boolean;
}

interface PushWish {
  name: string;
  tags: string[];
  credentials: RegistryCredentials | undefined;
}

/** The images of one deploy. Steps say what they want; nothing is built before `carryOut`. */
export interface ImageSession {
  planBuild(wish: BuildWish): Promise<{ image: PlannedImage; tags: string[] }>;
  addTags(image: PlannedImage, name: string, tags: readonly string[]): void;
  planPush(wish: PushWish): PlannedImage;
  /** A step that may have changed files ran: contexts are read again from here on. */
  forgetContexts(): void;
  hasPending(): boolean;
  /**
   * Builds and pushes what is planned, each distinct image once; with `needsLocal` this engine has them all afterwards.
   * Throws the first failure; the others are stopped.
   */
  carryOut(needsLocal: boolean): Promise<void>;
  /** Asks registries and the engine what is there already. Changes nothing. */
  lookUp(): Promise<void>;
  images(): readonly PlannedImage[];
}

export function createImageSession(options: ImageSessionOptions): ImageSession {
  const images: PlannedImage[] = [];
  const byContent = new Map<string, PlannedImage>();
  /** `name:tag` → the image that got it last. */
  const byReference = new Map<string, PlannedImage>();
  const hashes = new Map<string, Promise<string | null>>();
  const bases = createBaseCache(options);

  const hash = (spec: BuildSpec): Promise<string | null> => {
    const key = JSON.stringify(spec);
    if (key.includes(UNKNOWN)) {
      return Promise.resolve(null);
    }
    const known = hashes.get(key) ?? hashSpec(spec, bases, options);
    hashes.set(key, known);
    return known;
  };
  const add = (image: PlannedImage): PlannedImage => {
    images.push(image);
    return image;
  };
  const isPending = (image: PlannedImage) =>
    !image.isSettled || [...image.names.values()].some((name) => name.isPushed && name.digest === null);

  return {
    async planBuild(wish) {
      const spec = addDefaults(wish.spec, options.defaults);
      const contentHash = await hash(spec);
      const image =
        (contentHash === null ? undefined : byContent.get(contentHash)) ??
        add({ ...NEW_IMAGE, contentHash, spec, mayBeReused: wish.mayBeReused, names: new Map() });
      if (contentHash !== null) {
        byContent.set(contentHash, image);
      }
      const tags =
        wish.tags.length > 0
          ? wish.tags
          : [contentHash === null ? buildTimeTag(new Date()) : buildContentTag(contentHash)];
      const name = addName(image, wish.name, tags);
      name.isPushed ||= options.pushAll;
      name.willBePushed ||= wish.willBePushed || options.pushAll;
      for (const tag of tags) {
        byReference.set(`${wish.name}:${tag}`, image);
      }
      return { image, tags };
    },
    addTags(image, name, tags) {
      addName(image, name, tags);
      for (const tag of tags) {
        byReference.set(`${name}:${tag}`, image);
      }
    },
    planPush({ name, tags, credentials }) {
      const known = tags.map((tag) => byReference.get(`${name}:${tag}`)).find((found) => found !== undefined);
      const image = known ?? add({ ...NEW_IMAGE, contentHash: null, spec: null, mayBeReused: false, names: new Map() });
      const wanted = addName(image, name, tags);
      wanted.isPushed = true;
      wanted.credentials ??= credentials;
      for (const tag of tags) {
        byReference.set(`${name}:${tag}`, image);
      }
      return image;
    },
    forgetContexts: () => hashes.clear(),
    hasPending: () => images.some(isPending),
    async carryOut(needsLocal) {
      const settling = { ...options, needsLocal, hash: (spec: BuildSpec) => hashSpec(spec, bases, options) };
      await settleImages(images.filter(isPending), settling);
    },
    async lookUp() {
      for (const image of images.filter((each) => isPending(each) && !isNameUnknown(each))) {
        await lookUpImage(image, options);
      }
    },
    images: () => images,
  };
}

function addDefaults(spec: BuildSpec, { platforms, cacheFrom, cacheTo, buildArgs }: ImageDefaults): BuildSpec {
  return {
    ...spec,
    platforms: spec.platforms.length > 0 ? spec.platforms : (platforms ?? []),
    buildArgs: { ...buildArgs, ...spec.buildArgs },
    buildx: {
      ...(cacheFrom === undefined ? {} : { cacheFrom }),
      ...(cacheTo === undefined ? {} : { cacheTo }),
      ...spec.buildx,
    },
  };
}

function isNameUnknown({ names }: PlannedImage): boolean {
  return [...names.keys()].some((name) => name.includes(UNKNOWN));
}

const NEW_IMAGE = {
  pushedDigest: null,
  imageId: undefined,
  isSettled: false,
  outcome: "planned",
  buildSeconds: null,
  sizeBytes: null,
} as const;

function addName(image: PlannedImage, name: string, tags: readonly string[]): ImageName {
  const known = image.names.get(name);
  const entry: ImageName = known ?? {
    name,
    tags: new Set(),
    isPushed: false,
    willBePushed: false,
    credentials: undefined,
    isHidden: false,
    digest: null,
  };
  for (const tag of tags) {
    // A tag that comes late is still to be given, wherever the image is by then.
    if (!entry.tags.has(tag)) {
      image.isSettled = false;
      entry.digest = null;
    }
    entry.tags.add(tag);
  }
  image.names.set(name, entry);
  return entry;
}

interface BaseCache {
  find(image: string, pull: boolean): Promise<string | undefined>;
  findPlatform(): Promise<string>;
}

function createBaseCache(options: ImageSessionOptions): BaseCache {
  const findEngine = () => options.findEngine().catch(() => undefined);
  const source: BaseImageSource = { registry: options.registry, findEngine };
  const digests = new Map<string, Promise<string | undefined>>();
  return {
    find(image, pull) {
      const key = `${pull} ${image}`;
      const known = digests.get(key) ?? findBaseDigest(source, image, pull);
      digests.set(key, known);
      return known;
    },
    async findPlatform() {
      const engine = await findEngine();
      return engine === undefined
        ? `linux/${process.arch === "x64" ? "amd64" : process.arch}`
        : `${engine.os}/${engine.architecture}`;
    },
  };
}

/** Null when a base image is not known by name or digest. */
async function hashSpec(spec: BuildSpec, bases: BaseCache, options: ImageSessionOptions): Promise<string | null> {
  const { dockerfileText, entries } = await listBuildContext(spec.contextDir, spec.dockerfile);
  const names = listBaseImages(dockerfileText, spec.buildArgs);
  const baseImages: Record<string, string> = {};
  for (const name of names ?? []) {
    const digest = await bases.find(name, spec.pull);
    if (digest === undefined) {
      options.notice(
        `The base image ${JSON.stringify(name)} cannot be looked up, so nobody can tell whether its image is built already: it is built anew.`,
      );
      return null;
    }
    baseImages[name] = digest;
  }
  if (names === undefined) {
    options.notice("A base image's name holds a build argument without a value: the image is built anew.");
    return null;
  }
  const platforms = spec.platforms.length > 0 ? spec.platforms : [await bases.findPlatform()];
  const { target, buildArgs, labels } = spec;
  return hashImageContent({ entries, dockerfileText, target, buildArgs, platforms, baseImages, labels });
}

/** `2026-11-23t12-30-01-123000-00-00`: the time in UTC with what a tag may hold. */
function buildTimeTag(now: Date): string {
  return `${now.toISOString().slice(0, 23).toLowerCase().replace(/[:.]/g, "-")}000-00-00`;
}

/** What a release says of its images: one entry for each name that an image has. */
export function listReleaseImages(images: readonly PlannedImage[]): ReleaseImage[] {
  return images.flatMap(({ contentHash, names }) =>
    [...names.values()].map(({ name, tags, digest, isPushed }) => ({
      name,
      // The tag that deployments name while there is no digest: see chooseReference.
      tag: digest === null && isPushed && contentHash !== null ? buildContentTag(contentHash) : ([...tags][0] ?? null),
      digest,
      content_hash: contentHash,
    })),
  );
}
