import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { RunLines } from "../../src/server/claim-wait.ts";
import { WakeUps } from "../../src/storage/wake-ups.ts";

const POOL = "pool";
const FOREVER_MS = 60_000;

/** Long polls as the claim route makes them, over runs that are only counted. */
function openCounter() {
  const wakeUps = new WakeUps();
  const lines = new RunLines(wakeUps);
  const closing = new AbortController();
  const counter = {
    due: new Map<string, number>(),
    looks: 0,
    create(queue: string, count = 1): void {
      counter.due.set(queue, (counter.due.get(queue) ?? 0) + count);
      wakeUps.deliver([{ channel: "flow_run_scheduled", key: POOL }]);
    },
    async poll(
      queue: string,
      { gone = new AbortController(), mayTake = (): boolean => true } = {},
    ): Promise<string | null> {
      const signal = AbortSignal.any([closing.signal, gone.signal]);
      const watch = lines.join(POOL, [queue]);
      let got = false;
      try {
        for (;;) {
          watch.beginLook();
          await look();
          const left = counter.due.get(queue) ?? 0;
          if (left > 0 && mayTake() && !signal.aborted) {
            counter.due.set(queue, left - 1);
            got = true;
            return queue;
          }
          if (signal.aborted) {
            return null;
          }
          if (watch.isOnTurn && !mayTake()) {
            watch.giveWay();
          }
          await watch.wait(FOREVER_MS, null, signal);
        }
      } finally {
        watch.stop(got);
      }
    },
    async [Symbol.asyncDispose]() {
      closing.abort();
      lines.close();
      await settle();
    },
  };
  async function look(): Promise<void> {
    counter.looks += 1;
    await new Promise((resolve) => setImmediate(resolve));
  }
  return counter;
}

/** Long enough for whoever is awake to have looked and lain down again. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe("a crowd that waits for runs", () => {
  test("sends one to look at a new run, and not all", async () => {
    await using counter = openCounter();
    const polls = Array.from({ length: 500 }, () => counter.poll("a"));
    await settle();
    counter.looks = 0;

    counter.create("a");
    await Promise.race(polls);
    await settle();

    assert.ok(counter.looks <= 3, `${counter.looks} looks`);
  });

  test("is served as far as the runs go, whoever told it of how many", async () => {
    await using counter = openCounter();
    const polls = Array.from({ length: 100 }, () => counter.poll("a"));
    let served = 0;
    for (const poll of polls) {
      void poll.then((got) => {
        served += got === null ? 0 : 1;
      });
    }
    await settle();
    counter.looks = 0;

    counter.create("a", 60); // one wake-up
    await settle();

    assert.equal(served, 60);
    assert.equal(counter.due.get("a"), 0);
    assert.ok(counter.looks <= 121, `${counter.looks} looks`);
  });

  test("has a line for each choice of queues, and no line hides a run from another", async () => {
    await using counter = openCounter();
    const others = Array.from({ length: 20 }, () => counter.poll("a"));
    const mine = counter.poll("b");
    await settle();

    counter.create("b");

    assert.equal(await mine, "b");
    assert.equal(others.length, 20);
  });

  test("goes on with the next one when the one that was woken is gone", async () => {
    await using counter = openCounter();
    const gone = new AbortController();
    const first = counter.poll("a", { gone });
    await settle();
    const second = counter.poll("a");
    await settle();

    counter.create("a");
    gone.abort();

    assert.equal(await first, null);
    assert.equal(await second, "a");
  });

  test("passes over those who may take no runs, and asks them again when they may", async () => {
    await using counter = openCounter();
    let draining = true;
    const drained = Array.from({ length: 3 }, () => counter.poll("a", { mayTake: () => !draining }));
    await settle();
    const other = counter.poll("a");
    await settle();
    counter.looks = 0;

    counter.create("a");
    assert.equal(await other, "a");
    await settle();
    assert.ok(counter.looks <= 10, `${counter.looks} looks`);
    draining = false;
    counter.create("a", 3);

    assert.deepEqual(await Promise.all(drained), ["a", "a", "a"]);
  });

  test("misses nothing that is told while one looks", async () => {
    await using counter = openCounter();
    const poll = counter.poll("a"); // its first look is under way

    counter.create("a");

    assert.equal(await poll, "a");
  });
});
