import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { handOnSlots } from "../../src/orchestration/slots/hand-on-slots.ts";
import { addSeconds, timestampFromDate } from "../../src/prefect-api/timestamp.ts";
import { silentLogger } from "../../src/shared/logger.ts";
import { buildTestPlane, type TestPlane } from "../support/build-test-plane.ts";
import { call } from "./call.ts";
import { create, createDeployment, createRun } from "./resources.ts";

async function createRuns(plane: TestPlane, deploymentId: string, offsets: Record<string, number>) {
  const ids: Record<string, string> = {};
  for (const [name, seconds] of Object.entries(offsets)) {
    const scheduled_time = addSeconds(timestampFromDate(plane.now()), seconds);
    const run = await createRun(plane, deploymentId, {
      name,
      state: { type: "SCHEDULED", state_details: { scheduled_time } },
    });
    ids[name] = run.id;
  }
  return ids;
}

async function poll(plane: TestPlane, body: Record<string, unknown> = {}): Promise<string[]> {
  const answer = await call(plane, "POST", "/work_pools/pool/get_scheduled_flow_runs", body);
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  return answer.body.map((item: { flow_run: { name: string } }) => item.flow_run.name);
}

async function propose(plane: TestPlane, id: string | undefined, type: string, name?: string) {
  const answer = await call(plane, "POST", `/flow_runs/${id}/set_state`, { state: { type, ...(name && { name }) } });
  return { ...answer.body, code: answer.body.details?.reason_code, http: answer.status };
}

async function readRun(plane: TestPlane, id: string | undefined) {
  return (await call(plane, "GET", `/flow_runs/${id}`)).body;
}

async function countStates(plane: TestPlane, id: string | undefined): Promise<number> {
  return (await call(plane, "GET", `/flow_run_states?flow_run_id=${id}`)).body.length;
}

function tick(plane: TestPlane, sinceSeconds = 1) {
  const deps = { store: plane.store, bus: plane.bus, logger: silentLogger };
  const since = new Date(plane.now().getTime() - sinceSeconds * 1000);
  return handOnSlots(deps, plane.now(), { since, most: 100 });
}

suite("a run that cannot start", () => {
  test("is not handed to a worker, and hides nobody behind it", async () => {
    await using plane = await buildTestPlane();
    const full = await createDeployment(plane, { name: "full", concurrency_limit: 1 });
    const open = await createDeployment(plane, { name: "open" });
    const runs = await createRuns(plane, full.id, { a: -50, b: -49, c: -48 });
    await createRuns(plane, open.id, { z: -1 });
    assert.equal((await propose(plane, runs["a"], "PENDING")).status, "ACCEPT");

    assert.deepEqual(await poll(plane), ["z"]);
    assert.deepEqual(await poll(plane, { limit: 1 }), ["z"]);
    const queue = (await call(plane, "GET", `/deployments/${open.id}`)).body.work_queue_id;
    const ofQueue = await call(plane, "POST", `/work_queues/${queue}/get_runs`, { limit: 1 });
    assert.deepEqual(
      ofQueue.body.map(({ name }: { name: string }) => name),
      ["z"],
    );
  });

  test("is handed out only as often as its deployment has free slots", async () => {
    await using plane = await buildTestPlane();
    const one = await createDeployment(plane, { name: "one", concurrency_limit: 1 });
    const two = await createDeployment(plane, { name: "two", concurrency_limit: 2 });
    const open = await createDeployment(plane, { name: "open" });
    await createRuns(plane, one.id, { a1: -90, a2: -89, a3: -88 });
    await createRuns(plane, two.id, { b1: -80, b2: -79, b3: -78 });
    await createRuns(plane, open.id, { c1: -70 });

    assert.deepEqual(await poll(plane), ["a1", "b1", "b2", "c1"]);
    assert.deepEqual(await poll(plane, { limit: 3 }), ["a1", "b1", "b2"]);
    assert.deepEqual(await poll(plane, { limit: 1 }), ["a1"]);
  });

  test("of a deployment with limit 0 is left alone", async () => {
    await using plane = await buildTestPlane();
    const closed = await createDeployment(plane, { name: "closed", concurrency_limit: 1 });
    const runs = await createRuns(plane, closed.id, { a: -1 });
    await call(plane, "PATCH", `/v2/concurrency_limits/deployment:${closed.id}`, { limit: 0 });

    assert.deepEqual(await poll(plane), []);
    assert.equal((await propose(plane, runs["a"], "PENDING")).code, "CONCURRENCY_LIMIT_ZERO");
    await call(plane, "PATCH", `/deployments/${closed.id}`, { concurrency_limit: 1 });
    assert.deepEqual(await poll(plane), ["a"]);
  });

  test("is left to the runner that serves its deployment, within the same limits", async () => {
    await using plane = await buildTestPlane();
    const full = await createDeployment(plane, { name: "full", concurrency_limit: 1 });
    const open = await createDeployment(plane, { name: "open" });
    await createRuns(plane, full.id, { a: -50, b: -49 });
    await createRuns(plane, open.id, { x: -60, future: 60 });
    const served = await call(plane, "POST", "/deployments/get_scheduled_flow_runs", {
      deployment_ids: [full.id, open.id],
      scheduled_before: timestampFromDate(plane.now()),
    });

    assert.deepEqual(
      served.body.map(({ name }: { name: string }) => name),
      ["x", "a"],
    );
  });
});

suite("limits of pool and queue", () => {
  test("hold also against workers with lists that are a moment old", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createDeployment(plane);
    const runs = await createRuns(plane, id, { a: -3, b: -2, c: -1 });
    await call(plane, "PATCH", "/work_pools/pool", { concurrency_limit: 2 });
    await call(plane, "PATCH", "/work_pools/pool/queues/default", { concurrency_limit: 1 });

    const first = await propose(plane, runs["a"], "PENDING");
    const second = await propose(plane, runs["b"], "PENDING");
    await call(plane, "PATCH", "/work_pools/pool/queues/default", { concurrency_limit: null });
    const third = await propose(plane, runs["b"], "PENDING");
    const fourth = await propose(plane, runs["c"], "PENDING");

    assert.equal(first.status, "ACCEPT");
    assert.deepEqual([second.status, second.code, second.http], ["REJECT", "WORK_QUEUE_LIMIT_REACHED", 200]);
    assert.equal(third.status, "ACCEPT");
    assert.deepEqual([fourth.status, fourth.code], ["REJECT", "WORK_POOL_LIMIT_REACHED"]);
    // The refused run is as it was: no state was written, and the next poll brings it when there is room.
    assert.deepEqual([fourth.state.type, await countStates(plane, runs["c"])], ["SCHEDULED", 1]);
    assert.deepEqual(await poll(plane), []);
    await propose(plane, runs["a"], "CRASHED");
    assert.deepEqual(await poll(plane), ["c"]);
  });

  test("do not stop a run that has its slot", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createDeployment(plane);
    const runs = await createRuns(plane, id, { a: -1 });
    await propose(plane, runs["a"], "PENDING");
    await call(plane, "PATCH", "/work_pools/pool", { concurrency_limit: 0 });

    assert.equal((await propose(plane, runs["a"], "PENDING", "Submitting")).status, "ACCEPT");
    assert.equal((await propose(plane, runs["a"], "RUNNING")).status, "ACCEPT");
  });

  test("count a run that waits in its own process, and one that is being cancelled", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createDeployment(plane);
    const runs = await createRuns(plane, id, { a: -3, b: -2, c: -1 });
    await call(plane, "PATCH", "/work_pools/pool", { concurrency_limit: 1 });
    await call(plane, "PATCH", `/flow_runs/${runs["a"]}`, { empirical_policy: { retries: 1, retry_delay: 0 } });
    for (const type of ["PENDING", "RUNNING", "FAILED"]) {
      await propose(plane, runs["a"], type);
    }
    assert.equal((await readRun(plane, runs["a"])).state_name, "AwaitingRetry");
    assert.equal((await propose(plane, runs["b"], "PENDING")).code, "WORK_POOL_LIMIT_REACHED");
    await propose(plane, runs["a"], "RUNNING");
    await propose(plane, runs["a"], "CANCELLING");
    assert.equal((await propose(plane, runs["b"], "PENDING")).code, "WORK_POOL_LIMIT_REACHED");
    await propose(plane, runs["a"], "CANCELLED");
    assert.equal((await propose(plane, runs["b"], "PENDING")).status, "ACCEPT");

    await propose(plane, runs["b"], "RUNNING");
    await propose(plane, runs["b"], "PAUSED");
    assert.equal((await propose(plane, runs["c"], "PENDING")).code, "WORK_POOL_LIMIT_REACHED");
  });

  test("a paused pool or queue starts nothing, whatever list a worker has", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createDeployment(plane);
    const runs = await createRuns(plane, id, { a: -1 });

    await call(plane, "PATCH", "/work_pools/pool", { is_paused: true });
    assert.equal((await propose(plane, runs["a"], "PENDING")).code, "WORK_POOL_PAUSED");
    await call(plane, "PATCH", "/work_pools/pool", { is_paused: false });
    await call(plane, "PATCH", "/work_pools/pool/queues/default", { is_paused: true });
    assert.equal((await propose(plane, runs["a"], "PENDING")).code, "WORK_QUEUE_PAUSED");
    await call(plane, "PATCH", "/work_pools/pool/queues/default", { is_paused: false });
    assert.equal((await propose(plane, runs["a"], "PENDING")).status, "ACCEPT");
  });
});

suite("a slot that is free again", () => {
  /** One run that runs and two that were told to wait; `second` waits longer. */
  async function waitForSlot(plane: TestPlane, options: Record<string, unknown> = {}) {
    const deployment = await createDeployment(plane, { concurrency_limit: 1, ...options });
    const runs = await createRuns(plane, deployment.id, { first: -30, second: -20, third: -10 });
    await propose(plane, runs["first"], "PENDING");
    await propose(plane, runs["first"], "RUNNING");
    await propose(plane, runs["third"], "PENDING");
    await propose(plane, runs["second"], "PENDING");
    assert.equal((await readRun(plane, runs["second"])).state_name, "AwaitingConcurrencySlot");
    assert.deepEqual(await poll(plane), []);
    return { deployment, runs };
  }

  test("starts who has waited longest, at once and without another state", async () => {
    await using plane = await buildTestPlane();
    const { runs } = await waitForSlot(plane);
    const heard: (string | null)[] = [];
    plane.store.wakeUps.subscribe("slot_released", (key) => heard.push(key));

    await propose(plane, runs["first"], "COMPLETED");

    assert.deepEqual(await poll(plane), ["second"]);
    assert.equal(await countStates(plane, runs["second"]), 2);
    assert.equal(heard.length, 1);
    assert.equal((await propose(plane, runs["second"], "PENDING")).status, "ACCEPT");
    // The time it was told to wait is over too: its engine does not sit it out.
    assert.equal((await propose(plane, runs["second"], "RUNNING")).status, "ACCEPT");
  });

  test("by a higher limit, a removed one, or one that is switched off", async () => {
    await using plane = await buildTestPlane();
    const { deployment, runs } = await waitForSlot(plane);
    const limit = `/v2/concurrency_limits/deployment:${deployment.id}`;

    await call(plane, "PATCH", limit, { limit: 2 });
    assert.deepEqual(await poll(plane), ["second"]);
    await propose(plane, runs["second"], "PENDING");
    await call(plane, "PATCH", limit, { active: false });
    assert.deepEqual(await poll(plane), ["third"]);
    await call(plane, "PATCH", limit, { active: true });
    assert.deepEqual(await poll(plane), []);
    await call(plane, "DELETE", limit);
    assert.deepEqual(await poll(plane), ["third"]);
    assert.equal((await propose(plane, runs["third"], "PENDING")).status, "ACCEPT");
  });

  test("because its lease ended is found by the loop, which tells who waits", async () => {
    await using plane = await buildTestPlane();
    const { runs } = await waitForSlot(plane, {
      concurrency_options: { collision_strategy: "ENQUEUE", grace_period_seconds: 60 },
    });
    const heard: (string | null)[] = [];
    plane.store.wakeUps.subscribe("slot_released", (key) => heard.push(key));
    plane.moveClock(20);
    await tick(plane, 20);
    assert.deepEqual([await poll(plane), heard.length], [[], 0]);

    plane.moveClock(41);
    await tick(plane, 41);

    assert.deepEqual([await poll(plane), heard.length], [["second"], 1]);
    assert.equal((await propose(plane, runs["second"], "PENDING")).status, "ACCEPT");
  });

  test("by a deployment that gave up its limit is found by the loop", async () => {
    await using plane = await buildTestPlane();
    const { deployment } = await waitForSlot(plane);

    await call(plane, "PATCH", `/deployments/${deployment.id}`, { concurrency_limit: null });
    await tick(plane);

    assert.deepEqual(await poll(plane), ["second", "third"]);
  });

  test("goes to the more urgent queue first", async () => {
    await using plane = await buildTestPlane();
    const deployment = await createDeployment(plane, { concurrency_limit: 1 });
    await create(plane, "/work_pools/pool/queues", { name: "urgent", priority: 1 });
    const runs = await createRuns(plane, deployment.id, { first: -30, second: -20 });
    const urgent = await createRun(plane, deployment.id, { name: "urgent", work_queue_name: "urgent" });
    await propose(plane, runs["first"], "PENDING");
    await propose(plane, runs["second"], "PENDING");
    await propose(plane, urgent.id, "PENDING");

    await propose(plane, runs["first"], "CRASHED");

    assert.deepEqual(await poll(plane), ["urgent"]);
  });
});

test("what is due behind a full limit of strategy CANCEL_NEW is cancelled within a second", async () => {
  await using plane = await buildTestPlane();
  const deployment = await createDeployment(plane, {
    concurrency_limit: 1,
    concurrency_options: { collision_strategy: "CANCEL_NEW" },
  });
  const runs = await createRuns(plane, deployment.id, { a: -2, b: -1, future: 60 });
  await propose(plane, runs["a"], "PENDING");

  await tick(plane);

  const states = await Promise.all(["a", "b", "future"].map((name) => readRun(plane, runs[name])));
  assert.deepEqual(
    states.map((run) => run.state_type),
    ["PENDING", "CANCELLED", "SCHEDULED"],
  );
  assert.equal(states[1]?.state.message, "Deployment concurrency limit reached.");
});
