import type { LiveBus } from "../../orchestration/events/live-bus.ts";
import type { Clock } from "../../shared/clock.ts";
import type { Logger } from "../../shared/logger.ts";
import type { Store } from "../../storage/store.ts";
import type { WakeUpChannel } from "../../storage/wake-ups.ts";

/** What a tick did. */
export interface TickResult {
  /** Things changed: runs made, marked, removed. */
  changed: number;
  /** Whether it stopped at its limit with work left: the next tick then begins at once. */
  more: boolean;
}

/**
 * Something that the plane does by itself, again and again. The runner never lets a loop overlap itself, and survives
 * what a tick throws. Other planes may run the same loop at the same moment: a tick takes its work in a
 * `store.transaction` that reads again what it is about to change.
 */
export interface Loop {
  /** As in the status, the log and `LoopRunner.wake`: a verb and its object, `schedule-flow-runs`. */
  name: string;
  /** From the end of a tick that left nothing to the begin of the next one. */
  everyMs: number;
  /** Wake-ups that mean work for it: it then ticks at once. */
  wakeOn?: WakeUpChannel;
  /** True: while it does not get on, the plane is not ready. */
  essential: boolean;
  /** One bounded batch, well below a second. Throws what it cannot do: the runner logs it and tries again later. */
  tick(context: TickContext): Promise<TickResult>;
}

export interface TickContext {
  now: Date;
  /** Aborts when the plane stops: a tick of several transactions looks at it between them. */
  signal: AbortSignal;
}

/** What loops are built over. */
export interface LoopDeps {
  store: Store;
  clock: Clock;
  bus: LiveBus;
  logger: Logger;
}
