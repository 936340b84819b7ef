import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, suite, test } from "node:test";
import { v7 as uuidv7 } from "uuid";
import { createTaskRun } from "../../src/orchestration/flow-runs/create-task-run.ts";
import { type Retention, removeOld } from "../../src/orchestration/flow-runs/remove-old.ts";
import type { StateType } from "../../src/prefect-api/states.ts";
import { CreateTaskRun } from "../../src/prefect-api/task-runs.ts";
import { addSeconds, timestampFromDate } from "../../src/prefect-api/timestamp.ts";
import { insertFlowRun } from "./build-flow-run.ts";
import { type LoopBench, openLoopBench } from "./loop-deps.ts";

const NOW = new Date("2026-11-24T12:00:00.000Z");
const DAY_SECONDS = 86_400;
const KEEP: Retention = { runsDays: 0, logsDays: 0, eventsDays: 0 };

function daysAgo(days: number): string {
  return addSeconds(timestampFromDate(NOW), -days * DAY_SECONDS);
}

suite("removing what is old", () => {
  let bench: LoopBench;
  beforeEach(async () => {
    bench = await openLoopBench(NOW);
  });
  afterEach(() => bench[Symbol.asyncDispose]());

  async function remove(retention: Partial<Retention>): Promise<{ passes: number; changed: number }> {
    let changed = 0;
    for (let passes = 1; passes < 1000; passes += 1) {
      const result = await removeOld(bench.deps, NOW, { ...KEEP, ...retention });
      changed += result.changed;
      if (!result.more) {
        return { passes, changed };
      }
    }
    throw new Error("there is always more to do");
  }

  function insertRun(days: number, type: StateType = "COMPLETED"): Promise<string> {
    return insertFlowRun(bench.deps.store, new Date(NOW.getTime() - days * DAY_SECONDS * 1000), { first: { type } });
  }

  async function insertLogs(flowRunId: string, count: number, days: number): Promise<void> {
    const timestamp = daysAgo(days);
    const logs = Array.from({ length: count }, () => ({
      id: uuidv7(),
      created: timestamp,
      updated: timestamp,
      name: "flow",
      level: 20,
      message: "line",
      timestamp,
      flow_run_id: flowRunId,
      task_run_id: null,
    }));
    await bench.deps.store.transaction((tx) => tx.logs.insert(logs));
  }

  async function countLogs(flowRunId: string): Promise<number> {
    const filter = { operator: "and_" as const, flow_run_id: { any_: [flowRunId] } };
    return (await bench.deps.store.logs.list(filter, { sort: "TIMESTAMP_ASC", limit: 10_000, offset: 0 })).length;
  }

  test("a run goes when it ended long enough ago, with all that belongs to it", async () => {
    const { store } = bench.deps;
    const old = await insertRun(91);
    const young = await insertRun(89);
    await insertLogs(old, 3, 91);
    await insertLogs(young, 3, 89);
    const body = CreateTaskRun.parse({ flow_run_id: old, task_key: "t", dynamic_key: "0" });
    const { taskRun } = await createTaskRun(store, body, NOW);
    const artifact = {
      id: randomUUID(),
      created: daysAgo(91),
      updated: daysAgo(91),
      key: "report",
      type: "markdown",
      description: null,
      data: "# x",
      metadata_: null,
      flow_run_id: old,
      task_run_id: null,
    };
    await store.transaction((tx) => tx.artifacts.insert(artifact));

    await remove({ runsDays: 90 });

    assert.equal(await store.flowRuns.find(old), undefined);
    assert.deepEqual(await store.flowRuns.listStates(old), []);
    assert.equal(await countLogs(old), 0);
    assert.equal(await store.taskRuns.find(taskRun.id), undefined);
    assert.equal(await store.artifacts.find(artifact.id), undefined);
    assert.notEqual(await store.flowRuns.find(young), undefined);
    assert.equal(await countLogs(young), 3);
  });

  test("a run that has not ended stays, however old it is", async () => {
    const ids = await Promise.all(
      (["SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING"] as const).map((type) => insertRun(1000, type)),
    );

    assert.deepEqual(await remove({ runsDays: 1 }), { passes: 1, changed: 0 });

    for (const id of ids) {
      assert.notEqual(await bench.deps.store.flowRuns.find(id), undefined);
    }
  });

  test("nothing goes when it is to be kept for ever", async () => {
    const id = await insertRun(10_000);
    await insertLogs(id, 2, 10_000);

    assert.deepEqual(await remove({}), { passes: 1, changed: 0 });

    assert.equal(await countLogs(id), 2);
  });

  test("log lines may go before their run", async () => {
    const id = await insertRun(30);
    await insertLogs(id, 2, 30);
    await insertLogs(id, 1, 5);

    await remove({ runsDays: 90, logsDays: 7 });

    assert.equal(await countLogs(id), 1);
    assert.notEqual(await bench.deps.store.flowRuns.find(id), undefined);
  });

  test("a run with a mountain of lines goes in small steps, and last of all itself", async () => {
    const id = await insertRun(91);
    await insertLogs(id, 1800, 91);

    const first = await removeOld(bench.deps, NOW, { ...KEEP, runsDays: 90 });
    assert.deepEqual(first, { changed: 500, more: true });
    assert.notEqual(await bench.deps.store.flowRuns.find(id), undefined);
    assert.equal((await remove({ runsDays: 90 })).changed, 1301);
    assert.equal(await bench.deps.store.flowRuns.find(id), undefined);
  });

  test("many runs go in small steps", async () => {
    const flowRunId = await insertRun(91);
    const { flow_id } = await bench.deps.store.flowRuns.get(flowRunId);
    for (let index = 1; index < 60; index += 1) {
      const endedAt = new Date(NOW.getTime() - 91 * DAY_SECONDS * 1000);
      await insertFlowRun(bench.deps.store, endedAt, { flow_id, first: { type: "FAILED" } });
    }

    assert.deepEqual(await remove({ runsDays: 90 }), { passes: 4, changed: 60 });
  });

  test("events go by the time at which they occurred", async () => {
    const { store } = bench.deps;
    const build = (days: number) => ({
      id: uuidv7(),
      occurred: daysAgo(days),
      received: daysAgo(0),
      event: "x",
      resource: { "prefect.resource.id": "r" },
      related: [],
      payload: {},
      follows: null,
    });
    const [old, young] = [build(8), build(6)];
    await store.transaction((tx) => tx.events.insert([old, young]));

    assert.equal((await remove({ eventsDays: 7 })).changed, 1);

    const left = await store.events.list({ order: "ASC" }, { after: null, limit: 10 });
    assert.deepEqual(
      left.map(({ id }) => id),
      [young.id],
    );
  });

  test("two planes remove side by side", async () => {
    const ids = await Promise.all(Array.from({ length: 40 }, () => insertRun(91)));

    await Promise.all([remove({ runsDays: 90 }), remove({ runsDays: 90 })]);

    for (const id of ids) {
      assert.equal(await bench.deps.store.flowRuns.find(id), undefined);
    }
  });
});
