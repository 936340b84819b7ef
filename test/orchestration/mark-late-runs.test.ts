import assert from "node:assert/strict";
import { afterEach, beforeEach, suite, test } from "node:test";
import { markLateRuns } from "../../src/orchestration/states/mark-late-runs.ts";
import { setFlowRunState } from "../../src/orchestration/states/set-flow-run-state.ts";
import { addSeconds, timestampFromDate } from "../../src/prefect-api/timestamp.ts";
import { insertFlowRun } from "./build-flow-run.ts";
import { insertDeployment } from "./insert-deployment.ts";
import { type LoopBench, openLoopBench } from "./loop-deps.ts";

const NOW = new Date("2026-11-24T12:00:00.000Z");
const LIMITS = { afterSeconds: 15, most: 50 };

function scheduledIn(seconds: number, name = "Scheduled") {
  const scheduled_time = addSeconds(timestampFromDate(NOW), seconds);
  return { first: { type: "SCHEDULED", name, state_details: { scheduled_time } } };
}

suite("marking runs late", () => {
  let bench: LoopBench;
  beforeEach(async () => {
    bench = await openLoopBench(NOW);
  });
  afterEach(() => bench[Symbol.asyncDispose]());

  async function stateOf(id: string) {
    const { state } = await bench.deps.store.flowRuns.get(id);
    return state;
  }

  test("a run is late fifteen seconds after its time, keeps that time and is told of", async () => {
    const late = await insertFlowRun(bench.deps.store, NOW, scheduledIn(-15));
    const early = await insertFlowRun(bench.deps.store, NOW, scheduledIn(-14));

    const result = await markLateRuns(bench.deps, NOW, LIMITS);

    assert.deepEqual(result, { changed: 1, more: false });
    const state = await stateOf(late);
    assert.equal(state?.type, "SCHEDULED");
    assert.equal(state?.name, "Late");
    assert.equal(state?.state_details.scheduled_time, addSeconds(timestampFromDate(NOW), -15));
    assert.equal((await stateOf(early))?.name, "Scheduled");
    assert.deepEqual(
      bench.published.map(({ event, follows }) => [event, follows]),
      [["prefect.flow-run.Late", (await bench.deps.store.flowRuns.listStates(late)).at(0)?.id]],
    );
  });

  test("a late run is marked once, and is still due", async () => {
    const id = await insertFlowRun(bench.deps.store, NOW, scheduledIn(-60));

    const results = [await markLateRuns(bench.deps, NOW, LIMITS), await markLateRuns(bench.deps, NOW, LIMITS)];

    assert.deepEqual(
      results.map(({ changed }) => changed),
      [1, 0],
    );
    assert.equal((await bench.deps.store.flowRuns.listStates(id)).length, 2);
    assert.notEqual((await bench.deps.store.flowRuns.get(id)).next_scheduled_start_time, null);
  });

  test("what waits for a slot, a retry or a resumption is not late", async () => {
    for (const name of ["AwaitingConcurrencySlot", "AwaitingRetry", "Resuming"]) {
      await insertFlowRun(bench.deps.store, NOW, scheduledIn(-600, name));
    }
    await insertFlowRun(bench.deps.store, NOW, { first: { type: "PENDING" } });

    assert.equal((await markLateRuns(bench.deps, NOW, LIMITS)).changed, 0);
  });

  test("a storm comes in batches, the longest overdue first", async () => {
    const ids: string[] = [];
    for (let index = 0; index < 7; index += 1) {
      ids.push(await insertFlowRun(bench.deps.store, NOW, scheduledIn(-100 + index)));
    }

    const results = [];
    for (let pass = 0; pass < 3; pass += 1) {
      results.push(await markLateRuns(bench.deps, NOW, { afterSeconds: 15, most: 3 }));
      if (pass === 0) {
        const names = await Promise.all(ids.map(async (id) => (await stateOf(id))?.name));
        assert.deepEqual(names.slice(0, 4), ["Late", "Late", "Late", "Scheduled"]);
      }
    }

    assert.deepEqual(results, [
      { changed: 3, more: true },
      { changed: 3, more: true },
      { changed: 1, more: false },
    ]);
  });

  test("two planes that look at the same moment change each run once", async () => {
    const ids = await Promise.all(
      Array.from({ length: 20 }, () => insertFlowRun(bench.deps.store, NOW, scheduledIn(-60))),
    );

    const results = await Promise.all([1, 2, 3].map(() => markLateRuns(bench.deps, NOW, LIMITS)));

    assert.equal(
      results.reduce((sum, { changed }) => sum + changed, 0),
      ids.length,
    );
    for (const id of ids) {
      assert.equal((await bench.deps.store.flowRuns.listStates(id)).length, 2);
    }
  });

  test("behind a full limit that cancels what is new, a late run is cancelled", async () => {
    const deployment = await insertDeployment(bench.deps.store, NOW, {
      concurrency_limit: 1,
      concurrency_options: { collision_strategy: "CANCEL_NEW" },
    });
    const holder = await insertFlowRun(bench.deps.store, NOW, { ...scheduledIn(-60), ...deployment });
    const pending = { type: "PENDING" as const, state_details: {} };
    await setFlowRunState(
      bench.deps,
      { flowRunId: holder, state: pending, mode: "normal", clientApiVersion: null },
      NOW,
    );
    const id = await insertFlowRun(bench.deps.store, NOW, { ...scheduledIn(-60), ...deployment });

    await markLateRuns(bench.deps, NOW, LIMITS);

    const state = await stateOf(id);
    assert.equal(state?.type, "CANCELLED");
    assert.equal(state?.message, "Deployment concurrency limit reached.");
  });
});
