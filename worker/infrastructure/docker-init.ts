import type { Engine } from "../../src/docker/engine.ts";
import { findImage, parseImageReference } from "../../src/docker/images.ts";
import type { ContainerSpec } from "./docker-spec.ts";

/** Programs that pass signals on and collect the dead, as the official image brings one: two of them only get in each other's way. */
const INIT_PROGRAMS = /(?:^|\/)(?:tini|tini-static|dumb-init|docker-init|catatonit|s6-svscan|init)$/;

/** A digest always names the same image. What a tag names may change, but not while runs start together. */
const TAG_KNOWN_MS = 1000;
const MAX_KNOWN_IMAGES = 200;

/** Whether an image brings a program that is process 1 as it should be; runs of one image ask the engine once. */
export function createInitCheck(engine: Engine): (image: string) => Promise<boolean> {
  const known = new Map<string, { untilMs: number; entrypoint: Promise<readonly string[] | undefined> }>();

  function ask(image: string): Promise<readonly string[] | undefined> {
    const isFixed = parseImageReference(image).digest !== undefined;
    const entrypoint = findEntrypoint(engine, image);
    if (known.size >= MAX_KNOWN_IMAGES) {
      known.clear();
    }
    known.set(image, {
      untilMs: isFixed ? Number.POSITIVE_INFINITY : performance.now() + TAG_KNOWN_MS,
      entrypoint,
    });
    return entrypoint;
  }

  return async (image) => {
    const found = known.get(image);
    try {
      const isKnown = found !== undefined && performance.now() < found.untilMs;
      const entrypoint = await (isKnown ? found.entrypoint : ask(image));
      const [program] = entrypoint ?? [];
      if (entrypoint === undefined) {
        known.delete(image);
      }
      return program !== undefined && INIT_PROGRAMS.test(program);
    } catch (error) {
      known.delete(image);
      throw error;
    }
  };
}

/** Undefined when the image is not here. */
async function findEntrypoint(engine: Engine, image: string): Promise<readonly string[] | undefined> {
  const found = await findImage(engine, image);
  const entrypoint = found?.Config.Entrypoint ?? [];
  return found === undefined ? undefined : typeof entrypoint === "string" ? [entrypoint] : entrypoint;
}

/** Prefect as process 1 does not react to SIGTERM: the kernel gives process 1 no default actions. */
export function withInit(spec: ContainerSpec): ContainerSpec {
  return { ...spec, options: { ...spec.options, HostConfig: { ...spec.options.HostConfig, Init: true } } };
}
