import { z } from "zod";
import { type Engine, engineLost } from "./engine.ts";
import { isEngineGone, pushError } from "./errors.ts";
import { parseImageReference } from "./images.ts";
import { followProgress, type ProgressEvent } from "./progress.ts";
import { findRegistryCredentials, type RegistryCredentials } from "./registry-credentials.ts";

interface PushRequest {
  /** `name` or `name:tag`; without a tag `latest` is pushed. */
  image: string;
  /** Instead of what `docker login` stored. */
  credentials?: RegistryCredentials | undefined;
  onProgress?: (event: ProgressEvent) => void;
  signal?: AbortSignal;
}

interface PushedImage {
  /** `sha256:…` of the manifest in the registry: what a deployment should name. */
  digest: string;
}

const DigestAux = z.object({ Digest: z.string() });

/**
 * Pushes one tag. Throws IMAGE_NOT_FOUND when the engine has no such image, IMAGE_PUSH_REFUSED;
 * TransientError REGISTRY_UNREACHABLE, DOCKER_UNREACHABLE.
 */
export async function pushImage(engine: Engine, request: PushRequest): Promise<PushedImage> {
  const { name, tag = "latest" } = parseImageReference(request.image);
  // The engine answers 400 to a push without any auth header, even where none is needed: hence `{}`.
  const authconfig = request.credentials ?? (await findRegistryCredentials(engine.configDir, request.image)) ?? {};
  let digest: string | undefined;
  try {
    const stream = await engine.docker.getImage(name).push({
      tag,
      authconfig,
      ...(request.signal === undefined ? {} : { abortSignal: request.signal }),
    });
    await followProgress(stream, (event) => {
      const aux = DigestAux.safeParse(event.aux);
      digest = aux.success ? aux.data.Digest : digest;
      request.onProgress?.(event);
    });
  } catch (error) {
    request.signal?.throwIfAborted();
    throw isEngineGone(error) ? engineLost(engine, error) : pushError(request.image, error);
  }
  if (digest === undefined) {
    throw pushError(request.image, new Error("the engine reported no digest at the end of the push"));
  }
  return { digest };
}
