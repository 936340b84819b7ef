import { sleep } from "./abort.ts";
import { TransientError } from "./errors.ts";

interface RetryPolicy {
  attempts: number;
  /** Wait before the second attempt; doubles with each further one, ±20 % so that many clients do not meet again. */
  firstDelayMs: number;
  maxDelayMs: number;
  signal: AbortSignal;
}

/**
 * Runs `attempt` until it succeeds; only a TransientError is tried again, and its `retryAfterMs` wins over the back-off.
 * Throws the last error when the attempts are used up or the signal aborts.
 */
export async function retry<T>(policy: RetryPolicy, attempt: () => Promise<T>): Promise<T> {
  for (let tried = 1; ; tried += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof TransientError) || tried >= policy.attempts || policy.signal.aborted) {
        throw error;
      }
      const backOffMs = Math.min(policy.firstDelayMs * 2 ** (tried - 1), policy.maxDelayMs);
      await sleep((error.retryAfterMs ?? backOffMs) * (0.8 + Math.random() * 0.4), policy.signal);
      if (policy.signal.aborted) {
        throw error;
      }
    }
  }
}
