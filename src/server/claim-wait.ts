import { sleep } from "../shared/abort.ts";
import type { WakeUpListener, WakeUps } from "../storage/wake-ups.ts";

/** Wake-ups are hints and may be lost: one of those who wait looks at least this often. */
const LOOK_AGAIN_MS = 5000;
/** Who was given a run wakes so many: where there is one, there are often more, and a crowd of them is soon handed out. */
const WOKEN_BY_SUCCESS = 2;

/** What one long poll does while it waits for runs, in this order: begin a look, look, wait or stop. */
export interface RunWatch {
  /** What is heard from here on, the look may have missed. */
  beginLook(): void;
  /** The look found nothing: until something may be there, at most `ms`. `dueMs`: when the next run of the line is due. */
  wait(ms: number, dueMs: number | null, signal: AbortSignal): Promise<void>;
  /** Another one takes the turn that this one was woken for: it may take no runs at the moment. */
  giveWay(): void;
  /** Whether it was woken in the name of the line: what it finds out holds for all of them. */
  readonly isOnTurn: boolean;
  /** The poll is over. `gotRuns`: there may be more. */
  stop(gotRuns: boolean): void;
}

/**
 * Those who wait for runs of a pool and of the same queues stand in one line, and one of them looks for all: a run that
 * is created wakes one of a thousand. Who gets runs wakes the next ones before he leaves, and who leaves without having
 * looked gives his turn to the next, so that nobody waits while there is a run that he could have.
 */
export class RunLines {
  readonly #lines = new Map<string, Line>();
  readonly #stops: (() => void)[];

  constructor(wakeUps: Pick<WakeUps, "subscribe">) {
    const wake: WakeUpListener = (poolId) => {
      for (const line of this.#lines.values()) {
        if (poolId === null || line.poolId === poolId) {
          line.hear();
        }
      }
    };
    // A slot of whatever limit may be what a run of any pool waits for.
    this.#stops = [wakeUps.subscribe("flow_run_scheduled", wake), wakeUps.subscribe("slot_released", () => wake(null))];
  }

  join(poolId: string, queueNames: readonly string[]): RunWatch {
    const key = JSON.stringify([poolId, ...[...queueNames].sort()]);
    const line = this.#lines.get(key) ?? new Line(poolId, () => this.#lines.delete(key));
    this.#lines.set(key, line);
    return line.join();
  }

  close(): void {
    for (const stop of this.#stops) {
      stop();
    }
  }
}

class Line {
  readonly poolId: string;
  readonly #onEmpty: () => void;
  #members = 0;
  /** Those who sleep, the longest waiting first; and those who may take no runs, and are no help to the others. */
  readonly #waiting = new Set<() => void>();
  readonly #aside = new Set<() => void>();
  /** How often something was heard. */
  #heard = 0;
  #timer: NodeJS.Timeout | undefined;
  #lookAtMs = Number.POSITIVE_INFINITY;

  constructor(poolId: string, onEmpty: () => void) {
    this.poolId = poolId;
    this.#onEmpty = onEmpty;
  }

  hear(): void {
    this.#heard += 1;
    this.#wake(1);
    for (const wake of [...this.#aside]) {
      wake();
    }
  }

  join(): RunWatch {
    this.#members += 1;
    let heard = this.#heard;
    let isOnTurn = false;
    let isAside = false;
    return {
      beginLook: () => {
        heard = this.#heard;
      },
      wait: async (ms, dueMs, signal) => {
        isOnTurn = false;
        if (heard === this.#heard) {
          isOnTurn = await this.#sleep({ ms, dueMs, signal, isAside });
        }
        isAside = false;
      },
      giveWay: () => {
        isAside = true;
        isOnTurn = false;
        this.#wake(1);
      },
      get isOnTurn() {
        return isOnTurn;
      },
      stop: (gotRuns) => {
        if (isOnTurn) {
          this.#wake(gotRuns ? WOKEN_BY_SUCCESS : 1);
        }
        this.#leave();
      },
    };
  }

  /** Answers whether it was woken. */
  async #sleep(wait: { ms: number; dueMs: number | null; signal: AbortSignal; isAside: boolean }): Promise<boolean> {
    const woken = new AbortController();
    const sleepers = wait.isAside ? this.#aside : this.#waiting;
    const wake = () => {
      sleepers.delete(wake);
      woken.abort();
    };
    sleepers.add(wake);
    this.#lookIn(Math.min(wait.dueMs ?? LOOK_AGAIN_MS, LOOK_AGAIN_MS));
    const ms = wait.isAside ? Math.min(wait.ms, LOOK_AGAIN_MS) : wait.ms;
    await sleep(ms, AbortSignal.any([woken.signal, wait.signal]));
    sleepers.delete(wake);
    return woken.signal.aborted;
  }

  #wake(most: number): void {
    for (const wake of [...this.#waiting].slice(0, most)) {
      wake();
    }
  }

  #lookIn(ms: number): void {
    const atMs = performance.now() + ms;
    if (atMs < this.#lookAtMs) {
      clearTimeout(this.#timer);
      this.#lookAtMs = atMs;
      this.#timer = setTimeout(() => {
        this.#lookAtMs = Number.POSITIVE_INFINITY;
        this.#wake(1);
        this.#lookIn(LOOK_AGAIN_MS); // should the one that looks now not come back
      }, ms);
    }
  }

  #leave(): void {
    this.#members -= 1;
    if (this.#members === 0) {
      clearTimeout(this.#timer);
      this.#lookAtMs = Number.POSITIVE_INFINITY;
      this.#onEmpty();
    }
  }
}
