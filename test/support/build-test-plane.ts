import { LiveBus } from "../../src/orchestration/events/live-bus.ts";
import { buildApp } from "../../src/server/app.ts";
import type { App } from "../../src/server/app-deps.ts";
import { Credentials } from "../../src/server/auth.ts";
import { systemClock } from "../../src/shared/clock.ts";
import type { Store } from "../../src/storage/store.ts";
import { openTestStore } from "./open-test-store.ts";

export interface TestPlane extends AsyncDisposable {
  app: App;
  store: Store;
  bus: LiveBus;
  /** Moves the plane's clock. It starts at the real time and stands still. */
  moveClock(seconds: number): void;
  now(): Date;
}

/** The plane's HTTP side over a real store, without a port: requests are injected. */
export async function buildTestPlane({ authString = null }: { authString?: string | null } = {}): Promise<TestPlane> {
  let now = systemClock.now();
  const clock = { now: () => now };
  const opened = await openTestStore(clock);
  const bus = new LiveBus();
  const credentials = authString === null ? null : new Credentials(authString);
  const app = await buildApp({ store: opened.store, clock, bus, credentials, logLevel: "silent" });
  await app.ready();
  return {
    app,
    store: opened.store,
    bus,
    now: () => now,
    moveClock(seconds) {
      now = new Date(now.getTime() + seconds * 1000);
    },
    async [Symbol.asyncDispose]() {
      // Injected sockets have no connection that could end; without this, closing waits for their goodbye.
      for (const client of app.websocketServer.clients) {
        client.terminate();
      }
      await app.close();
      await opened[Symbol.asyncDispose]();
    },
  };
}
