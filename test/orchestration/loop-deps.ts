import { LiveBus } from "../../src/orchestration/events/live-bus.ts";
import type { LoopDeps } from "../../src/orchestration/states/mark-late-runs.ts";
import type { ReceivedEvent } from "../../src/prefect-api/events.ts";
import { silentLogger } from "../../src/shared/logger.ts";
import { openTestStore } from "../support/open-test-store.ts";

export interface LoopBench extends AsyncDisposable {
  deps: LoopDeps;
  /** Names of the events that were published, oldest first. */
  published: ReceivedEvent[];
  /** Moves the store's clock. */
  moveClock(seconds: number): void;
  now(): Date;
}

/** What the operations of the loops work on: a real store, whose clock stands still until it is moved. */
export async function openLoopBench(start: Date): Promise<LoopBench> {
  let now = start;
  const opened = await openTestStore({ now: () => now });
  const bus = new LiveBus();
  const published: ReceivedEvent[] = [];
  bus.subscribeToEvents((event) => published.push(event));
  return {
    deps: { store: opened.store, bus, logger: silentLogger },
    published,
    moveClock(seconds) {
      now = new Date(now.getTime() + seconds * 1000);
    },
    now: () => now,
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  };
}
