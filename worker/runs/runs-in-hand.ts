import type { RunInFlight } from "./run-flow-run.ts";
import type { RunOutcome } from "./supervise.ts";

/** The runs that this worker has claimed or adopted, until nothing more is to be done for them. */
export interface RunsInHand {
  /** By the id of the flow run. */
  inFlight: ReadonlyMap<string, RunInFlight>;
  /** Also those that are not watched any more though they go on: whoever looks around must leave them alone. */
  attempts: ReadonlySet<string>;
  /** `ended` never rejects. */
  add(run: RunInFlight, ended: Promise<RunOutcome>): void;
  /** Resolves when none is left, or the signal aborts. */
  wait(signal: AbortSignal): Promise<void>;
  /** Resolves when fewer than so many are in flight, or the signal aborts. */
  waitForRoom(limit: number, signal: AbortSignal): Promise<void>;
}

export function createRunsInHand(): RunsInHand {
  const inFlight = new Map<string, RunInFlight>();
  const attempts = new Set<string>();
  const running = new Set<Promise<void>>();
  /** Resolved whenever a run is not in flight any more; for the one loop that takes runs. */
  let room = Promise.withResolvers<void>();
  return {
    inFlight,
    attempts,
    add: (run, ended) => {
      const { id } = run.flowRun;
      inFlight.set(id, run);
      attempts.add(run.attempt);
      const settled = ended.then((outcome) => {
        running.delete(settled);
        if (inFlight.get(id) === run) {
          inFlight.delete(id);
          room.resolve();
        }
        if (outcome === "done") {
          attempts.delete(run.attempt);
        }
      });
      running.add(settled);
    },
    wait: async (signal) => {
      const aborted = Promise.withResolvers<void>();
      signal.addEventListener("abort", () => aborted.resolve(), { once: true });
      while (running.size > 0 && !signal.aborted) {
        await Promise.race([Promise.all(running), aborted.promise]);
      }
    },
    waitForRoom: async (limit, signal) => {
      const stop = () => room.resolve();
      signal.addEventListener("abort", stop, { once: true });
      while (inFlight.size >= limit && !signal.aborted) {
        room = Promise.withResolvers();
        await room.promise;
      }
      signal.removeEventListener("abort", stop);
    },
  };
}
