import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { LiveBus } from "../../src/orchestration/events/live-bus.ts";
import { buildApp } from "../../src/server/app.ts";
import type { Loop } from "../../src/server/loops/loop.ts";
import { LoopRunner } from "../../src/server/loops/run-loops.ts";
import { silentLogger } from "../../src/shared/logger.ts";
import { openTestStore } from "../support/open-test-store.ts";
import { waitUntil } from "../support/wait-until.ts";

describe("readiness", () => {
  test("fails with a sentence while the scheduler does not get on, without saying what went wrong", async () => {
    let now = new Date("2026-11-24T12:00:00Z");
    let isBroken = true;
    const clock = { now: () => now };
    await using opened = await openTestStore(clock);
    const loops = new LoopRunner(clock);
    const app = await buildApp({
      store: opened.store,
      clock,
      bus: new LiveBus(),
      credentials: null,
      logLevel: "silent",
      loops,
    });
    const loop: Loop = {
      name: "schedule-flow-runs",
      everyMs: 5000,
      essential: true,
      tick: () =>
        isBroken ? Promise.reject(new Error("secret detail")) : Promise.resolve({ changed: 3, more: false }),
    };
    const ready = () => app.inject({ method: "GET", url: "/api/ready" });
    const status = async () => (await app.inject({ method: "GET", url: "/api/flowyard/status" })).json();
    loops.start([loop], { logger: silentLogger, wakeUps: opened.store.wakeUps });
    await waitUntil(async () => loops.listStatuses()[0]?.consecutive_failures === 1, {
      timeoutMs: 2000,
      what: "a tick",
    });

    assert.deepEqual([(await ready()).statusCode, (await status()).ready], [200, true], "one failure is no reason");

    now = new Date("2026-11-24T12:01:00Z");
    const refused = await ready();
    const shown = await status();
    isBroken = false;
    await waitUntil(async () => (await ready()).statusCode === 200, { timeoutMs: 5000, what: "the recovery" });
    const recovered = await status();
    await loops.stop();
    await app.close();

    assert.equal(refused.statusCode, 503);
    assert.deepEqual(refused.json(), { message: "The loop schedule-flow-runs has not done its work for 60 seconds." });
    assert.deepEqual([shown.ready, shown.problem], [false, refused.json().message]);
    assert.equal(shown.loops[0].last_error.message, "secret detail");
    assert.deepEqual([recovered.ready, recovered.loops[0].last_changed], [true, 3]);
  });
});
