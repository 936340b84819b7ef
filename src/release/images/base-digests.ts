import type { Engine } from "../../docker/engine.ts";
import { findImage, parseImageReference } from "../../docker/images.ts";
import { findRegistryDigest, type RegistryAccess } from "../../docker/registry.ts";
import { TransientError, UserError } from "../../shared/errors.ts";

export interface BaseImageSource {
  registry: RegistryAccess;
  /** Undefined when this machine has none. */
  findEngine(): Promise<Engine | undefined>;
}

/**
 * What a base image is now: the digest of its registry, or of the engine's copy when the build is to use that one
 * (`pull` false). An image that is only on the engine has an id. Undefined when nobody knows.
 */
export async function findBaseDigest(
  source: BaseImageSource,
  image: string,
  pull: boolean,
): Promise<string | undefined> {
  const { digest } = parseImageReference(image);
  if (digest !== undefined) {
    return digest;
  }
  return pull
    ? ((await askRegistry(source, image)) ?? (await askEngine(source, image)))
    : ((await askEngine(source, image)) ?? (await askRegistry(source, image)));
}

async function askEngine(source: BaseImageSource, image: string): Promise<string | undefined> {
  const engine = await source.findEngine();
  const found = engine === undefined ? undefined : await findImage(engine, image);
  const { name } = parseImageReference(image);
  const pulled = found?.RepoDigests?.find((reference) => parseImageReference(reference).name === name);
  return pulled === undefined ? found?.Id : parseImageReference(pulled).digest;
}

/** A registry that is away or refuses is no reason to stop: the build says so itself if it needs the image. */
async function askRegistry(source: BaseImageSource, image: string): Promise<string | undefined> {
  try {
    return await findRegistryDigest(source.registry, { image });
  } catch (error) {
    if (error instanceof UserError || error instanceof TransientError) {
      return undefined;
    }
    throw error;
  }
}
