import type { Logger } from "../../src/shared/logger.ts";
import type { Infrastructure } from "../infrastructure/contract.ts";
import { errorFields } from "../runs/report.ts";

/**
 * Pulls images that were deployed lately before a run needs them, one after the other: it must not take the line from
 * runs that start. Each is tried once; what fails is told by the run that needs it.
 */
export function createPullAhead(own: {
  infrastructure: Pick<Infrastructure, "pullAhead">;
  logger: Logger;
  /** Aborts when the worker goes. */
  signal: AbortSignal;
}): (images: readonly string[]) => void {
  const known = new Set<string>();
  let pulling = Promise.resolve();

  async function pull(image: string): Promise<void> {
    try {
      if (!own.signal.aborted && (await own.infrastructure.pullAhead?.(image, own.signal)) === "pulled") {
        own.logger.info({ image }, "Pulled an image ahead of its first run");
      }
    } catch (error) {
      if (!own.signal.aborted) {
        own.logger.warn({ image, ...errorFields(error) }, "An image could not be pulled ahead of its first run");
      }
    }
  }

  return (images) => {
    for (const image of images.filter((each) => !known.has(each))) {
      known.add(image);
      pulling = pulling.then(() => pull(image));
    }
  };
}
