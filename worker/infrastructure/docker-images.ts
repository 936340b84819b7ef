import type { Engine } from "../../src/docker/engine.ts";
import { findImage, parseImageReference, pullImage } from "../../src/docker/images.ts";
import type { ImagePull } from "../../src/flowyard-api/run-events.ts";
import { errorMessage, TransientError, UserError } from "../../src/shared/errors.ts";
import { retry } from "../../src/shared/retry.ts";
import type { StartNote, StartStep } from "./contract.ts";
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
  provide(wanted: WantedImage, note: StartNote, signal: AbortSignal): Promise<void>;
}

/** `onPulled` is told of images that were not here before. */
export function createImageProvider(engine: Engine, onPulled: (image: string) => Promise<void>): ImageProvider {
  const pullAndTell = async (wanted: WantedImage, listeners: ReadonlySet<StartNote>): Promise<void> => {
    const wasHere = (await findImage(engine, wanted.image)) !== undefined;
    await pull(engine, wanted, listeners);
    if (!wasHere) {
      await onPulled(wanted.image);
    }
  };
  const pulls = new Map<string, { done: Promise<void>; listeners: Set<StartNote> }>();
  return {
    provide: async (wanted, note, signal) => {
      if (!(await isPullNeeded(engine, wanted))) {
        return;
      }
      const key = JSON.stringify([wanted.image, wanted.pullPolicy, wanted.credentials]);
      const underWay = pulls.get(key);
      const message = underWay === undefined ? "Pulling image" : "Waiting for the pull that is under way of image";
      note(`${message} ${wanted.image}`, describeStep(wanted, { status: "pulling", attempt: 1 }));
      const listeners = underWay?.listeners ?? new Set();
      listeners.add(note);
      const done = underWay?.done ?? pullAndTell(wanted, listeners).finally(() => pulls.delete(key));
      pulls.set(key, { done, listeners });
      await unlessAborted(done, signal).finally(() => listeners.delete(note));
      note(`Image ${wanted.image} is here`, describeStep(wanted, { status: "pulled", attempt: 1 }));
    },
  };
}

function describeStep({ image }: WantedImage, pull: Omit<ImagePull, "image">): StartStep {
  return { kind: "image", pull: { image, ...pull } };
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

async function pull(engine: Engine, wanted: WantedImage, listeners: ReadonlySet<StartNote>): Promise<void> {
  const note: StartNote = (...said) => {
    for (const listen of listeners) {
      listen(...said);
    }
  };
  const { image, pullPolicy, credentials } = wanted;
  const policy = {
    attempts: PULL_ATTEMPTS,
    firstDelayMs: FIRST_PULL_DELAY_MS,
    maxDelayMs: FIRST_PULL_DELAY_MS * 8,
    signal: new AbortController().signal,
  };
  try {
    let attempt = 0;
    await retry(policy, async () => {
      attempt += 1;
      try {
        await pullImage(engine, { image, credentials });
      } catch (error) {
        if (error instanceof TransientError && attempt < PULL_ATTEMPTS) {
          const failing = { status: "failing", attempt, code: error.code, reason: error.message } as const;
          note(`${error.message} It is tried again.`, describeStep(wanted, failing));
        }
        throw error;
      }
    });
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
