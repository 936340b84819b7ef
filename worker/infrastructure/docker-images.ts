import type { Engine } from "../../src/docker/engine.ts";
import { findImage, parseImageReference, pullImage } from "../../src/docker/images.ts";
import { errorMessage, TransientError, UserError } from "../../src/shared/errors.ts";
import { retry } from "../../src/shared/retry.ts";
import type { ContainerSpec } from "./docker-spec.ts";

const PULL_ATTEMPTS = 3; // a registry's hiccup must not crash a run; more would keep others waiting for the slot
const FIRST_PULL_DELAY_MS = 1000;

type WantedImage = Pick<ContainerSpec, "image" | "pullPolicy" | "credentials">;

interface ImageProvider {
  /**
   * Sees to it that the engine has an image. Runs that want the same image with the same credentials at the same time
   * wait for one pull. Throws IMAGE_NOT_FOUND, IMAGE_PULL_REFUSED, DOCKER_DISK_FULL; TransientError
   * REGISTRY_UNREACHABLE, DOCKER_UNREACHABLE; the signal's reason when the caller does not want it any more.
   */
  provide(wanted: WantedImage, note: (message: string) => void, signal: AbortSignal): Promise<void>;
}

export function createImageProvider(engine: Engine): ImageProvider {
  const pulls = new Map<string, Promise<void>>();
  return {
    provide: async (wanted, note, signal) => {
      if (!(await isPullNeeded(engine, wanted))) {
        return;
      }
      const key = JSON.stringify([wanted.image, wanted.pullPolicy, wanted.credentials]);
      const underWay = pulls.get(key);
      note(underWay === undefined ? `Pulling image ${wanted.image}` : `Image ${wanted.image} is being pulled already`);
      const pulled = underWay ?? pull(engine, wanted, note).finally(() => pulls.delete(key));
      pulls.set(key, pulled);
      await unlessAborted(pulled, signal);
    },
  };
}

/** The pull goes on for whoever else waits for it. */
async function unlessAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    signal.throwIfAborted();
    await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
    promise.catch(() => undefined); // nobody may be left who waits
  }
}

async function isPullNeeded(engine: Engine, { image, pullPolicy }: WantedImage): Promise<boolean> {
  // What a digest names never changes: to ask the registry again would only cost its rate limit.
  const isWhateverIsHere = pullPolicy === "IfNotPresent" || parseImageReference(image).digest !== undefined;
  return pullPolicy !== "Never" && !(isWhateverIsHere && (await findImage(engine, image)) !== undefined);
}

async function pull(engine: Engine, wanted: WantedImage, note: (message: string) => void): Promise<void> {
  const { image, pullPolicy, credentials } = wanted;
  const policy = {
    attempts: PULL_ATTEMPTS,
    firstDelayMs: FIRST_PULL_DELAY_MS,
    maxDelayMs: FIRST_PULL_DELAY_MS * 8,
    signal: new AbortController().signal,
  };
  try {
    await retry(policy, () => pullImage(engine, { image, credentials }));
  } catch (error) {
    const isHere = (await findImage(engine, image).catch(() => undefined)) !== undefined;
    if (pullPolicy !== "IfPossible") {
      throw isHere ? buildPullError(image, error) : error;
    }
    if (!isHere) {
      throw new UserError(
        "IMAGE_NOT_FOUND",
        `${errorMessage(error)} And this engine has no image of that name either.`,
        {
          hint: "image_pull_policy IfPossible uses the local image only when there is one.",
          cause: error,
        },
      );
    }
    note(`${errorMessage(error)} The local image is used, as image_pull_policy is IfPossible.`);
  }
}

/** An image that was built here and never pushed: the pitfall of everybody's first deployment. */
function buildPullError(image: string, cause: unknown): UserError {
  const code = cause instanceof UserError || cause instanceof TransientError ? cause.code : "IMAGE_PULL_REFUSED";
  return new UserError(code, errorMessage(cause), {
    hint: `This host has an image "${image}" of its own: to run that one, set the job variable image_pull_policy to Never.`,
    cause,
  });
}
