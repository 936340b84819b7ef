import assert from "node:assert/strict";
import { afterEach, beforeEach, suite, test } from "node:test";
import { expirePauses } from "../../src/orchestration/states/expire-pauses.ts";
import { addSeconds, timestampFromDate } from "../../src/prefect-api/timestamp.ts";
import { insertFlowRun } from "./build-flow-run.ts";
import { type LoopBench, openLoopBench } from "./loop-deps.ts";

const NOW = new Date("2026-11-24T12:00:00.000Z");
const MOST = 50;

function paused(timeoutSeconds: number | null, reschedules = false) {
  const pause_timeout = timeoutSeconds === null ? null : addSeconds(timestampFromDate(NOW), timeoutSeconds);
  const name = reschedules ? "Suspended" : "Paused";
  return { first: { type: "PAUSED", name, state_details: { pause_timeout, pause_reschedule: reschedules } } };
}

suite("expiring pauses", () => {
  let bench: LoopBench;
  beforeEach(async () => {
    bench = await openLoopBench(NOW);
  });
  afterEach(() => bench[Symbol.asyncDispose]());

  for (const reschedules of [false, true]) {
    test(`a run that is ${reschedules ? "suspended" : "paused"} past its timeout fails, once`, async () => {
      const id = await insertFlowRun(bench.deps.store, NOW, paused(-1, reschedules));

      const results = await Promise.all([1, 2].map(() => expirePauses(bench.deps, NOW, MOST)));

      const run = await bench.deps.store.flowRuns.get(id);
      assert.equal(run.state?.type, "FAILED");
      assert.equal(run.state?.message, "The flow was paused and never resumed.");
      assert.equal(run.end_time, run.state?.timestamp);
      assert.equal(
        results.reduce((sum, { changed }) => sum + changed, 0),
        1,
      );
      assert.deepEqual(
        bench.published.map(({ event }) => event),
        ["prefect.flow-run.Failed"],
      );
      assert.equal((await expirePauses(bench.deps, NOW, MOST)).changed, 0);
    });
  }

  test("a pause whose time is not over, or that has none, goes on", async () => {
    await insertFlowRun(bench.deps.store, NOW, paused(0));
    await insertFlowRun(bench.deps.store, NOW, paused(60));
    await insertFlowRun(bench.deps.store, NOW, paused(null));

    assert.deepEqual(await expirePauses(bench.deps, NOW, MOST), { changed: 0, more: false });
  });
});
