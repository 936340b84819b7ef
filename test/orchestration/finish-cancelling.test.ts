import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, suite, test } from "node:test";
import { createTaskRun } from "../../src/orchestration/flow-runs/create-task-run.ts";
import { finishCancelling } from "../../src/orchestration/states/finish-cancelling.ts";
import { setFlowRunState } from "../../src/orchestration/states/set-flow-run-state.ts";
import type { FlowRun } from "../../src/prefect-api/flow-runs.ts";
import type { StateType } from "../../src/prefect-api/states.ts";
import { CreateTaskRun } from "../../src/prefect-api/task-runs.ts";
import { insertFlowRun } from "./build-flow-run.ts";
import { insertDeployment } from "./insert-deployment.ts";
import { type LoopBench, openLoopBench } from "./loop-deps.ts";

const NOW = new Date("2026-11-24T12:00:00.000Z");
const LIMITS = { timeoutSeconds: 300, most: 50 };

suite("finishing cancellations", () => {
  let bench: LoopBench;
  beforeEach(async () => {
    bench = await openLoopBench(NOW);
  });
  afterEach(() => bench[Symbol.asyncDispose]());

  function propose(flowRunId: string, type: StateType) {
    const proposal = { flowRunId, state: { type, state_details: {} }, mode: "normal" as const, clientApiVersion: null };
    return setFlowRunState(bench.deps, proposal, bench.now());
  }

  async function insertRunning(parts: Partial<FlowRun> = {}): Promise<string> {
    const id = await insertFlowRun(bench.deps.store, NOW, { first: { type: "PENDING" }, ...parts });
    await propose(id, "RUNNING");
    return id;
  }

  async function insertTask(flowRunId: string, type: StateType): Promise<string> {
    const body = CreateTaskRun.parse({
      flow_run_id: flowRunId,
      task_key: "extract",
      dynamic_key: randomUUID(),
      state: { type },
    });
    const { taskRun } = await createTaskRun(bench.deps.store, body, bench.now());
    return taskRun.id;
  }

  async function stateOf(id: string) {
    return (await bench.deps.store.flowRuns.get(id)).state;
  }

  /** Passes until nothing is left to do. */
  async function finish(): Promise<number> {
    let changed = 0;
    for (let pass = 0; pass < 10; pass += 1) {
      const result = await finishCancelling(bench.deps, bench.now(), LIMITS);
      changed += result.changed;
      if (!result.more) {
        return changed;
      }
    }
    throw new Error("there is always more to do");
  }

  test("a run that nobody stops is CANCELLED when its time to stop is over", async () => {
    const id = await insertRunning();
    await propose(id, "CANCELLING");

    bench.moveClock(299);
    assert.equal(await finish(), 0);
    bench.moveClock(2);
    assert.equal(await finish(), 1);

    const state = await stateOf(id);
    assert.equal(state?.type, "CANCELLED");
    assert.equal(state?.message, "Flow run cancellation timed out; marked this flow run as Cancelled.");
    assert.equal(await finish(), 0);
  });

  test("two planes end a cancellation once", async () => {
    const id = await insertRunning();
    await propose(id, "CANCELLING");
    bench.moveClock(600);

    const results = await Promise.all([1, 2, 3].map(() => finishCancelling(bench.deps, bench.now(), LIMITS)));

    assert.equal(
      results.reduce((sum, { changed }) => sum + changed, 0),
      1,
    );
    assert.equal((await bench.deps.store.flowRuns.listStates(id)).length, 4);
  });

  test("the task runs of a cancelled run that have not ended are cancelled, the others keep their state", async () => {
    const id = await insertRunning();
    const running = await insertTask(id, "RUNNING");
    const pending = await insertTask(id, "PENDING");
    const completed = await insertTask(id, "COMPLETED");
    const ofAnother = await insertTask(await insertRunning(), "RUNNING");
    await propose(id, "CANCELLED");

    assert.equal(await finish(), 2);

    const states = await Promise.all(
      [running, pending, completed, ofAnother].map(async (task) => (await bench.deps.store.taskRuns.find(task))?.state),
    );
    assert.deepEqual(
      states.map((state) => state?.type),
      ["CANCELLED", "CANCELLED", "COMPLETED", "RUNNING"],
    );
    assert.equal(states.at(0)?.message, "The parent flow run was cancelled.");
  });

  test("the subflows of a cancelled run are cancelled, down to the last", async () => {
    const top = await insertRunning();
    const middle = await insertRunning({ parent_task_run_id: await insertTask(top, "RUNNING") });
    const bottom = await insertRunning({ parent_task_run_id: await insertTask(middle, "RUNNING") });
    await propose(top, "CANCELLED");

    await finish();

    assert.equal((await stateOf(middle))?.type, "CANCELLED");
    assert.equal((await stateOf(bottom))?.type, "CANCELLED");
    assert.equal((await stateOf(bottom))?.message, "The parent flow run was cancelled.");
  });

  test("a subflow with a deployment is asked to stop, or cancelled at once while it waits", async () => {
    const top = await insertRunning();
    const deployment = await insertDeployment(bench.deps.store, NOW);
    const parent = async () => ({ ...deployment, parent_task_run_id: await insertTask(top, "RUNNING") });
    const running = await insertRunning(await parent());
    const waiting = await insertFlowRun(bench.deps.store, NOW, { first: { type: "SCHEDULED" }, ...(await parent()) });
    await propose(top, "CANCELLED");

    await finish();

    assert.equal((await stateOf(running))?.type, "CANCELLING");
    assert.equal((await stateOf(waiting))?.type, "CANCELLED");
    bench.moveClock(301);
    await finish();
    assert.equal((await stateOf(running))?.type, "CANCELLED");
  });

  test("a subflow of a run that ended in another way, or goes on, is let be", async () => {
    const failed = await insertRunning();
    const child = await insertRunning({ parent_task_run_id: await insertTask(failed, "RUNNING") });
    await propose(failed, "FAILED");
    const cancelling = await insertRunning();
    const other = await insertRunning({ parent_task_run_id: await insertTask(cancelling, "RUNNING") });
    await propose(cancelling, "CANCELLING");

    assert.equal(await finish(), 0);

    assert.equal((await stateOf(child))?.type, "RUNNING");
    assert.equal((await stateOf(other))?.type, "RUNNING");
  });
});
