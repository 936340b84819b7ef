import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, suite, test } from "node:test";
import { buildTestPlane, type TestPlane } from "../support/build-test-plane.ts";
import { call } from "./call.ts";

let plane: TestPlane;
/** A plane for each test of a suite. Hooks outside of suites would run for the tests of all files. */
function usePlane(): void {
  beforeEach(async () => {
    plane = await buildTestPlane();
  });
  afterEach(() => plane[Symbol.asyncDispose]());
}

const FLOW_RUN = randomUUID();

function create(parts: Record<string, unknown> = {}) {
  return call(plane, "POST", "/task_runs/", { flow_run_id: FLOW_RUN, task_key: "child", dynamic_key: "0", ...parts });
}

suite("task runs over REST", () => {
  usePlane();

  test("the same keys in a flow run are the same task run: 201, then 200", async () => {
    const first = await create({ name: "child-0", task_inputs: { x: [] } });
    const second = await create();
    const other = await create({ dynamic_key: "1" });

    assert.deepEqual([first.status, second.status, other.status], [201, 200, 201]);
    assert.deepEqual(second.body, first.body);
    assert.deepEqual([first.body.state_type, first.body.state.name], ["PENDING", "Pending"]);
    assert.equal(first.body.state.state_details.task_run_id, first.body.id);
    assert.deepEqual(first.body.empirical_policy, {
      max_retries: 0,
      retry_delay_seconds: 0,
      retries: null,
      retry_delay: null,
      retry_jitter_factor: null,
    });
  });

  test("one with the id of a task run of another flow run, or of other keys, takes nobody's place", async () => {
    const { body } = await create();

    const taken = await create({ id: body.id, flow_run_id: randomUUID() });
    const renamed = await create({ id: body.id, dynamic_key: "7" });

    assert.deepEqual([taken.status, taken.body.code, renamed.status], [409, "DATA_CONFLICT", 409]);
    assert.deepEqual((await call(plane, "GET", `/task_runs/${body.id}`)).body, body);
  });

  test("are read, filtered, counted, renamed and removed", async () => {
    const { body } = await create();
    await create({ dynamic_key: "1", state: { type: "COMPLETED" } });
    const filter = { task_runs: { state: { type: { any_: ["COMPLETED"] } } } };

    const filtered = await call(plane, "POST", "/task_runs/filter", filter);
    const count = await call(plane, "POST", "/task_runs/count", { task_runs: { flow_run_id: { any_: [FLOW_RUN] } } });
    const renamed = await call(plane, "PATCH", `/task_runs/${body.id}`, { name: "other" });
    const read = await call(plane, "GET", `/task_runs/${body.id}`);
    const removed = await call(plane, "DELETE", `/task_runs/${body.id}`);

    assert.deepEqual(
      filtered.body.map((run: { dynamic_key: string }) => run.dynamic_key),
      ["1"],
    );
    assert.deepEqual([count.body, renamed.status, read.body.name, removed.status], [2, 204, "other", 204]);
    assert.deepEqual((await call(plane, "GET", `/task_runs/${body.id}`)).body.detail, "Task not found");
  });

  test("a state can be set, and an end is kept unless it is forced", async () => {
    const { body } = await create();
    const setState = (type: string, force = false) =>
      call(plane, "POST", `/task_runs/${body.id}/set_state`, { state: { type }, force });

    const answers = [await setState("RUNNING"), await setState("COMPLETED"), await setState("RUNNING")];
    const forced = await setState("RUNNING", true);

    assert.deepEqual(
      answers.map(({ status, body: answer }) => [status, answer.status]),
      [
        [201, "ACCEPT"],
        [201, "ACCEPT"],
        [200, "ABORT"],
      ],
    );
    assert.equal(forced.status, 201);
    assert.equal((await call(plane, "GET", `/task_runs/${body.id}`)).body.run_count, 2);
  });

  test("a subflow's run shows on the task run that stands for it", async () => {
    const flow = await call(plane, "POST", "/flows/", { name: "f" });
    const parent = await create();
    const child = await call(plane, "POST", "/flow_runs/", {
      flow_id: flow.body.id,
      parent_task_run_id: parent.body.id,
      state: { type: "PENDING" },
    });
    await call(plane, "POST", `/flow_runs/${child.body.id}/set_state`, { state: { type: "RUNNING" } });

    const { body } = await call(plane, "GET", `/task_runs/${parent.body.id}`);

    assert.deepEqual([body.state_type, body.state.state_details.child_flow_run_id], ["RUNNING", child.body.id]);
  });
});
