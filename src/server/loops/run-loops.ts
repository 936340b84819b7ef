import type { LoopStatus } from "../../flowyard-api/status.ts";
import { timestampFromDate } from "../../prefect-api/timestamp.ts";
import { sleep } from "../../shared/abort.ts";
import type { Clock } from "../../shared/clock.ts";
import { errorMessage, TransientError } from "../../shared/errors.ts";
import type { Logger } from "../../shared/logger.ts";
import type { Store } from "../../storage/store.ts";
import type { Loop } from "./loop.ts";

/** Several planes, and several loops of one, that were started together do not stay together. */
const JITTER = 0.1;
const FIRST_BACK_OFF_MS = 1000;
const MAX_BACK_OFF_MS = 60_000;
/** How long a tick that is under way may take once the loops are asked to stop. */
const STOP_MS = 800;
/** An essential loop that has not got on for this many of its intervals makes the plane unready, */
const STALE_INTERVALS = 5;
/** though not before this: a pause of the machine or one slow disk is no reason to send traffic away. */
const MIN_STALE_MS = 30_000;

interface StartDeps {
  logger: Logger;
  wakeUps: Store["wakeUps"];
}

interface RunnerDeps {
  clock: Clock;
  logger: Logger;
}

/** Runs loops side by side, each one tick at a time, until it is stopped. */
export class LoopRunner {
  readonly #clock: Clock;
  readonly #stopping = new AbortController();
  readonly #subscriptions: (() => void)[] = [];
  #loops: RunningLoop[] = [];
  #ended: Promise<unknown> = Promise.resolve();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Called once. The first ticks begin at once: what became due while no plane ran is not left waiting. */
  start(loops: readonly Loop[], { logger, wakeUps }: StartDeps): void {
    const deps = { clock: this.#clock, logger };
    this.#loops = loops.map((loop) => new RunningLoop(loop, deps, this.#stopping.signal));
    for (const { name, wakeOn } of loops) {
      if (wakeOn !== undefined) {
        this.#subscriptions.push(wakeUps.subscribe(wakeOn, () => this.wake(name)));
      }
    }
    this.#ended = Promise.all(this.#loops.map((loop) => loop.run()));
  }

  /** Makes a loop tick at once, and once more if it is in the middle of a tick. An unknown name does nothing. */
  wake(name: string): void {
    this.#loops.find((loop) => loop.name === name)?.wake();
  }

  listStatuses(): LoopStatus[] {
    return this.#loops.map((loop) => loop.status());
  }

  /** Why the loops do not do their work, in one sentence; undefined when they do. */
  findProblem(): string | undefined {
    const now = this.#clock.now();
    return this.#loops.map((loop) => loop.findProblem(now)).find((problem) => problem !== undefined);
  }

  /** Resolves within a second: a tick that does not end by then is left to the database's closing. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const unsubscribe of this.#subscriptions) {
      unsubscribe();
    }
    for (const loop of this.#loops) {
      loop.endPause();
    }
    const cutOff = new AbortController();
    await Promise.race([this.#ended, sleep(STOP_MS, cutOff.signal)]);
    cutOff.abort();
  }
}

class RunningLoop {
  readonly name: string;
  readonly #loop: Loop;
  readonly #deps: RunnerDeps;
  readonly #signal: AbortSignal;
  readonly #startedAt: Date;
  #lastTickAt: Date | null = null;
  #lastSuccessAt: Date | null = null;
  #lastError: { at: Date; message: string } | null = null;
  #failures = 0;
  #lastChanged = 0;
  #totalChanged = 0;
  /** Aborted by a wake-up, which ends the pause. */
  #pause = new AbortController();

  constructor(loop: Loop, deps: RunnerDeps, signal: AbortSignal) {
    this.name = loop.name;
    this.#loop = loop;
    this.#deps = deps;
    this.#signal = signal;
    this.#startedAt = deps.clock.now();
  }

  /** Not while it fails: then it is the back-off that says when to try again. */
  wake(): void {
    if (this.#failures === 0) {
      this.#pause.abort();
    }
  }

  endPause(): void {
    this.#pause.abort();
  }

  async run(): Promise<void> {
    while (!this.#signal.aborted) {
      this.#pause = new AbortController(); // before the tick: a wake-up in its middle is for what it may have missed
      const pauseMs = await this.#tick();
      // Also for a pause of nothing: requests get their turn between two ticks.
      await sleep(pauseMs * (1 - JITTER + 2 * JITTER * Math.random()), this.#pause.signal);
    }
  }

  /** Answers how long to wait for the next one. One of the few places where an error ends. */
  async #tick(): Promise<number> {
    const startedAt = this.#deps.clock.now();
    const startedMs = performance.now();
    this.#lastTickAt = startedAt;
    try {
      const { changed, more } = await this.#loop.tick({ now: startedAt, signal: this.#signal });
      this.#noteSuccess(changed, performance.now() - startedMs);
      return more ? 0 : this.#loop.everyMs;
    } catch (error) {
      return this.#noteFailure(error);
    }
  }

  #noteSuccess(changed: number, elapsedMs: number): void {
    if (this.#failures > 0) {
      this.#deps.logger.info({ loop: this.name, failures: this.#failures }, "loop works again");
    }
    this.#failures = 0;
    this.#lastSuccessAt = this.#deps.clock.now();
    this.#lastChanged = changed;
    this.#totalChanged += changed;
    if (changed > 0) {
      this.#deps.logger.info({ loop: this.name, changed, elapsed_ms: Math.round(elapsedMs) }, "loop tick");
    }
  }

  #noteFailure(error: unknown): number {
    this.#failures += 1;
    this.#lastError = { at: this.#deps.clock.now(), message: errorMessage(error) };
    const backOffMs = Math.min(FIRST_BACK_OFF_MS * 2 ** (this.#failures - 1), MAX_BACK_OFF_MS);
    const fields = { loop: this.name, failures: this.#failures, retry_after_ms: backOffMs };
    if (error instanceof TransientError) {
      this.#deps.logger.warn({ ...fields, code: error.code, reason: error.message }, "loop tick failed");
    } else {
      this.#deps.logger.error({ ...fields, err: error }, "loop tick failed");
    }
    return backOffMs;
  }

  status(): LoopStatus {
    return {
      name: this.name,
      every_seconds: this.#loop.everyMs / 1000,
      last_tick_at: toTimestamp(this.#lastTickAt),
      last_success_at: toTimestamp(this.#lastSuccessAt),
      last_error: this.#lastError && {
        at: timestampFromDate(this.#lastError.at),
        message: this.#lastError.message,
      },
      consecutive_failures: this.#failures,
      last_changed: this.#lastChanged,
      total_changed: this.#totalChanged,
    };
  }

  findProblem(now: Date): string | undefined {
    if (!this.#loop.essential) {
      return undefined;
    }
    const idleMs = now.getTime() - (this.#lastSuccessAt ?? this.#startedAt).getTime();
    if (idleMs <= Math.max(MIN_STALE_MS, this.#loop.everyMs * STALE_INTERVALS)) {
      return undefined;
    }
    // Probes read this without credentials: what the error was is in the status.
    return `The loop ${this.name} has not done its work for ${Math.round(idleMs / 1000)} seconds.`;
  }
}

function toTimestamp(date: Date | null): string | null {
  return date === null ? null : timestampFromDate(date);
}
