import type { Infrastructure } from "./contract.ts";

/**
 * Starts so many runs at a time and no more, whatever the worker's limit of runs: twenty interpreters that start at once
 * are all late, and a registry that is asked for twenty images is slow. The others wait their turn.
 */
export function limitStarts(infrastructure: Infrastructure, limit: number): Infrastructure {
  let free = limit;
  const waiting: (() => void)[] = [];
  const leave = () => {
    free += 1;
    waiting.shift()?.();
  };
  return {
    ...infrastructure,
    start: async (job, note, signal) => {
      while (free <= 0) {
        await takeTurn(waiting, signal);
      }
      free -= 1;
      try {
        return await infrastructure.start(job, note, signal);
      } finally {
        leave();
      }
    },
  };
}

/** Throws the signal's reason when it aborts first. */
async function takeTurn(waiting: (() => void)[], signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const turn = Promise.withResolvers<void>();
  const abort = () => turn.reject(signal.reason);
  waiting.push(turn.resolve);
  signal.addEventListener("abort", abort, { once: true });
  try {
    await turn.promise;
  } finally {
    signal.removeEventListener("abort", abort);
    const index = waiting.indexOf(turn.resolve);
    if (index !== -1) {
      waiting.splice(index, 1);
    }
  }
}
