import assert from "node:assert/strict";
import { test } from "node:test";
import type { Loop, TickResult } from "../../../src/server/loops/loop.ts";
import { LoopRunner } from "../../../src/server/loops/run-loops.ts";
import { systemClock } from "../../../src/shared/clock.ts";
import { TransientError } from "../../../src/shared/errors.ts";
import { type Logger, silentLogger } from "../../../src/shared/logger.ts";
import { WakeUps } from "../../../src/storage/wake-ups.ts";
import { waitUntil } from "../../support/wait-until.ts";

const NEVER_MS = 3_600_000;
const NOTHING: TickResult = { changed: 0, more: false };

function buildLoop(tick: Loop["tick"], changes: Partial<Loop> = {}): Loop {
  return { name: "count", everyMs: NEVER_MS, essential: true, tick, ...changes };
}

async function run<T>(
  loops: readonly Loop[],
  use: (runner: LoopRunner) => Promise<T>,
  { logger = silentLogger, clock = systemClock } = {},
): Promise<T> {
  const runner = new LoopRunner(clock);
  runner.start(loops, { logger, wakeUps: new WakeUps() });
  try {
    return await use(runner);
  } finally {
    await runner.stop();
  }
}

test("a loop ticks at once, goes on at once while there is more, then waits", async () => {
  let ticks = 0;
  const loop = buildLoop(async () => {
    ticks += 1;
    return { changed: 2, more: ticks < 5 };
  });

  await run([loop], async (runner) => {
    await waitUntil(async () => ticks === 5, { timeoutMs: 2000, what: "five ticks", pollMs: 5 });
    const [status] = runner.listStatuses();

    assert.equal(status?.last_changed, 2);
    assert.ok(status.total_changed >= 8);
    assert.notEqual(status.last_tick_at, null);
    assert.equal(status.last_error, null);
  });
  assert.equal(ticks, 5);
});

test("a loop never overlaps itself: a wake-up in the middle of a tick makes one more tick after it", async () => {
  let running = 0;
  let most = 0;
  let ticks = 0;
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const loop = buildLoop(async () => {
    running += 1;
    ticks += 1;
    most = Math.max(most, running);
    await released;
    running -= 1;
    return NOTHING;
  });

  await run([loop], async (runner) => {
    runner.wake("count");
    runner.wake("count");
    runner.wake("unknown");
    release();
    await waitUntil(async () => ticks === 2, { timeoutMs: 2000, what: "the second tick", pollMs: 5 });
  });

  assert.equal(ticks, 2);
  assert.equal(most, 1);
});

test("a loop that throws backs off, tells once each time, comes back, and hurts no other loop", async () => {
  const lines: string[] = [];
  const logger: Logger = { ...silentLogger, error: (_fields, message) => lines.push(message) };
  let ticks = 0;
  let others = 0;
  const failing = buildLoop(async () => {
    ticks += 1;
    if (ticks < 2) {
      throw new Error("boom");
    }
    return { changed: 1, more: false };
  });
  const other = buildLoop(
    async () => {
      others += 1;
      return NOTHING;
    },
    { name: "other", everyMs: 50 },
  );

  await run(
    [failing, other],
    async (runner) => {
      await waitUntil(async () => ticks === 1, { timeoutMs: 2000, what: "the failure", pollMs: 5 });
      const [failed] = runner.listStatuses();
      assert.equal(failed?.consecutive_failures, 1);
      assert.equal(failed.last_error?.message, "boom");
      runner.wake("count");
      await waitUntil(async () => others >= 4, { timeoutMs: 2000, what: "the other loop", pollMs: 5 });
      assert.equal(ticks, 1, "a wake-up does not shorten the back-off");

      await waitUntil(async () => ticks === 2, { timeoutMs: 4000, what: "the next try", pollMs: 20 });
      const [recovered] = runner.listStatuses();
      assert.equal(recovered?.consecutive_failures, 0);
      assert.equal(recovered.total_changed, 1);
    },
    { logger },
  );

  assert.deepEqual(lines, ["loop tick failed"]);
});

test("an essential loop that does not get on is a problem, until it does", async () => {
  let now = new Date("2026-11-24T12:00:00Z");
  let isAway = true;
  const tick = async () => {
    if (isAway) {
      throw new TransientError("SERVICE_UNAVAILABLE", "The database is away.");
    }
    return NOTHING;
  };
  const loops = [buildLoop(tick, { everyMs: 10_000 }), buildLoop(tick, { name: "unimportant", essential: false })];

  await run(
    loops,
    async (runner) => {
      assert.equal(runner.findProblem(), undefined);

      now = new Date("2026-11-24T12:00:51Z");
      assert.equal(runner.findProblem(), "The loop count has not done its work for 51 seconds.");

      isAway = false;
      await waitUntil(async () => runner.findProblem() === undefined, { timeoutMs: 4000, what: "the recovery" });
    },
    { clock: { now: () => now } },
  );
});

test("stopping ends pauses at once, tells the tick that is under way, and waits for no tick that does not end", async () => {
  const { promise: forever, resolve: end } = Promise.withResolvers<TickResult>();
  let told = false;
  const stuck = buildLoop(({ signal }) => {
    signal.addEventListener("abort", () => {
      told = true;
    });
    return forever;
  });
  const pausing = buildLoop(async () => NOTHING);
  const runner = new LoopRunner(systemClock);
  runner.start([stuck, pausing], { logger: silentLogger, wakeUps: new WakeUps() });
  const startedMs = performance.now();

  await runner.stop();

  assert.equal(told, true);
  assert.ok(performance.now() - startedMs < 1000);
  end(NOTHING);
});
