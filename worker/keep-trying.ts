import { sleep } from "../src/shared/abort.ts";
import { TransientError } from "../src/shared/errors.ts";
import type { Logger } from "../src/shared/logger.ts";

const FIRST_DELAY_MS = 1000;
const MAX_DELAY_MS = 10_000; // runs end meanwhile and wait to be reported

/** The wait after so many failures in a row, ±20 % so that many workers do not come back at the same moment. */
export function backOffMs(failures: number): number {
  return Math.min(FIRST_DELAY_MS * 2 ** (failures - 1), MAX_DELAY_MS) * (0.8 + Math.random() * 0.4);
}

/**
 * For what the worker owes the plane about a run that it has taken: tries until the plane is back, however long that
 * takes. Throws any other error at once, and the last one when the signal aborts.
 */
export async function keepTrying<T>(
  { what, logger, signal }: { what: string; logger: Logger; signal: AbortSignal },
  attempt: () => Promise<T>,
): Promise<T> {
  for (let failures = 1; ; failures += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof TransientError) || signal.aborted) {
        throw error;
      }
      logger.warn({ what, code: error.code, reason: error.message }, "The plane is away; trying again");
      await sleep(backOffMs(failures), signal);
    }
  }
}
