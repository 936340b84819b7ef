import { sleep } from "../shared/abort.ts";
import type { Store } from "../storage/store.ts";

/** Wake-ups are hints and may be lost: who waits looks at least this often. */
const LOOK_AGAIN_MS = 5000;

/** Ears for the runs of one pool. Begin to listen before the look whose outcome may be overtaken. */
export interface RunWatch {
  /** Until something may be there, at most `ms`; at once when it already was since the last look. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
  /** What was heard before the next look is of no interest to the wait after it. */
  reset(): void;
  stop(): void;
}

/** A slot of whatever limit may be what a run of the pool waits for: those wake everybody. */
export function watchRuns(wakeUps: Store["wakeUps"], poolId: string): RunWatch {
  let heard = new AbortController();
  const stops = [
    wakeUps.subscribe("flow_run_scheduled", (key) => (key === null || key === poolId ? heard.abort() : undefined)),
    wakeUps.subscribe("slot_released", () => heard.abort()),
  ];
  return {
    wait: (ms, signal) => sleep(Math.min(ms, LOOK_AGAIN_MS), AbortSignal.any([heard.signal, signal])),
    reset: () => {
      heard = new AbortController();
    },
    stop: () => {
      for (const stop of stops) {
        stop();
      }
    },
  };
}
