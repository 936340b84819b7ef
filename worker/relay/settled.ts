import { z } from "zod";
import { createConnection, find } from "../../src/client/http.ts";
import { sleep } from "../../src/shared/abort.ts";
import { errorMessage } from "../../src/shared/errors.ts";
import type { Logger } from "../../src/shared/logger.ts";

/** Answered when all that the relay had when it was asked is at the plane, or after a few seconds that it is not. */
export const SETTLED_PATH = "/relay/settled";
export const SettledAnswer = z.object({ settled: z.boolean() });

const ASK_AGAIN_MS = 1000;
/** A relay that was killed is back within seconds; one that stays away must not keep a run from being reported. */
const PATIENCE_MS = 60_000;

/** Waits for that, for as long as the relay answers at all. Returns early when the signal aborts. */
export async function untilSettled(apiUrl: string, logger: Logger, signal: AbortSignal): Promise<void> {
  const connection = createConnection({ apiUrl: new URL(apiUrl).origin, signal, retry: { retries: 0 } });
  let answeredAt = performance.now();
  while (!signal.aborted) {
    try {
      const answer = await find(connection, SettledAnswer, { method: "GET", path: SETTLED_PATH });
      if (answer === undefined || answer.settled) {
        return; // one that knows no such question is older than this worker
      }
      answeredAt = performance.now();
    } catch (error) {
      if (performance.now() - answeredAt > PATIENCE_MS) {
        logger.warn({ reason: errorMessage(error) }, "The relay does not answer: some of a run's lines may come twice");
        return;
      }
    }
    await sleep(ASK_AGAIN_MS, signal);
  }
}
