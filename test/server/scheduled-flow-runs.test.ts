import assert from "node:assert/strict";
import { test } from "node:test";
import { addSeconds, timestampFromDate } from "../../src/prefect-api/timestamp.ts";
import { buildTestPlane, type TestPlane } from "../support/build-test-plane.ts";
import { waitUntil } from "../support/wait-until.ts";
import { call } from "./call.ts";
import { create, createDeployment, createRun } from "./resources.ts";

/** Runs of `etl/nightly`, each at its second from now. */
async function createRunsAt(plane: TestPlane, deploymentId: string, seconds: Record<string, number>, queue?: string) {
  for (const [name, offset] of Object.entries(seconds)) {
    const time = addSeconds(timestampFromDate(plane.now()), offset);
    await createRun(plane, deploymentId, {
      name,
      state: { type: "SCHEDULED", state_details: { scheduled_time: time } },
      ...(queue && { work_queue_name: queue }),
    });
  }
}

async function poll(plane: TestPlane, body: Record<string, unknown> = {}): Promise<string[]> {
  const answer = await call(plane, "POST", "/work_pools/pool/get_scheduled_flow_runs", body);
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  return answer.body.map((item: { flow_run: { name: string } }) => item.flow_run.name);
}

test("due runs come by the queue's priority, then by their time", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createDeployment(plane);
  await create(plane, "/work_pools/pool/queues", { name: "urgent", priority: 1 });
  await createRunsAt(plane, id, { late: -5, early: -50, future: 60 });
  await createRunsAt(plane, id, { now: -1 }, "urgent");

  assert.deepEqual(await poll(plane), ["now", "early", "late"]);
  assert.deepEqual(await poll(plane, { limit: 2 }), ["now", "early"]);
  assert.deepEqual(await poll(plane, { work_queue_names: ["default"] }), ["early", "late"]);
  const later = addSeconds(timestampFromDate(plane.now()), 100);
  assert.deepEqual(
    await poll(plane, {
      work_queue_names: ["default"],
      scheduled_before: later.replace("T", " ").replace("Z", "+00:00"),
    }),
    ["early", "late", "future"],
  );
  assert.deepEqual(await poll(plane, { scheduled_after: addSeconds(timestampFromDate(plane.now()), -10) }), [
    "now",
    "late",
  ]);
});

test("an item says which pool and queue it came from, and holds the whole run", async () => {
  await using plane = await buildTestPlane();
  const deployment = await createDeployment(plane);
  const run = await createRun(plane, deployment.id);

  const [item] = (await call(plane, "POST", "/work_pools/pool/get_scheduled_flow_runs", {})).body;

  assert.deepEqual(Object.keys(item), ["work_pool_id", "work_queue_id", "flow_run"]);
  assert.deepEqual([item.work_queue_id, item.flow_run], [deployment.work_queue_id, run]);
});

test("limits of queue and pool count what is pending and running", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createDeployment(plane);
  await createRunsAt(plane, id, { a: -3, b: -2, c: -1 });
  const [first] = (await call(plane, "POST", "/flow_runs/filter", { flow_runs: { name: { any_: ["a"] } } })).body;
  await call(plane, "POST", `/flow_runs/${first.id}/set_state`, { state: { type: "PENDING" } });

  await call(plane, "PATCH", "/work_pools/pool/queues/default", { concurrency_limit: 2 });
  assert.deepEqual(await poll(plane), ["b"]);
  await call(plane, "PATCH", "/work_pools/pool", { concurrency_limit: 1 });
  assert.deepEqual(await poll(plane), []);
  await call(plane, "PATCH", "/work_pools/pool", { concurrency_limit: 0 });
  assert.deepEqual(await poll(plane), []);
  await call(plane, "PATCH", "/work_pools/pool", { concurrency_limit: null });
  await call(plane, "PATCH", "/work_pools/pool/queues/default", { concurrency_limit: null });
  assert.deepEqual(await poll(plane), ["b", "c"]);
});

test("a paused queue or pool gives nothing", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createDeployment(plane);
  await createRunsAt(plane, id, { a: -1 });
  await createRunsAt(plane, id, { b: -1 }, "other");

  await call(plane, "PATCH", "/work_pools/pool/queues/default", { is_paused: true });
  assert.deepEqual(await poll(plane), ["b"]);
  await call(plane, "PATCH", "/work_pools/pool", { is_paused: true });
  assert.deepEqual(await poll(plane), []);
});

test("a run that waits to try again in its own process is not given to another", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createRun(plane, (await createDeployment(plane)).id);
  await call(plane, "PATCH", `/flow_runs/${id}`, { empirical_policy: { retries: 1, retry_delay: 0 } });
  for (const type of ["PENDING", "RUNNING", "FAILED"]) {
    await call(plane, "POST", `/flow_runs/${id}/set_state`, { state: { type } });
  }

  assert.equal((await call(plane, "GET", `/flow_runs/${id}`)).body.state_name, "AwaitingRetry");
  assert.deepEqual(await poll(plane), []);
});

test("a poll makes the queue and its deployments READY for a minute", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createDeployment(plane);
  const statuses = async () => [
    (await call(plane, "GET", "/work_pools/pool/queues/default")).body.status,
    (await call(plane, "GET", `/deployments/${id}`)).body.status,
  ];

  assert.deepEqual(await statuses(), ["NOT_READY", "NOT_READY"]);
  await poll(plane);
  assert.deepEqual(await statuses(), ["READY", "READY"]);
  plane.moveClock(59);
  await poll(plane, { work_queue_names: ["default"] });
  plane.moveClock(59);
  assert.deepEqual(await statuses(), ["READY", "READY"]);
  plane.moveClock(2);
  assert.deepEqual(await statuses(), ["NOT_READY", "NOT_READY"]);
});

test("a runner that asks for runs of its deployment makes it READY for a minute", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createDeployment(plane);
  const status = async () => (await call(plane, "GET", `/deployments/${id}`)).body.status;

  assert.equal(await status(), "NOT_READY");
  await call(plane, "POST", "/deployments/get_scheduled_flow_runs", { deployment_ids: [id] });
  assert.equal(await status(), "READY");
  assert.equal((await call(plane, "GET", "/work_pools/pool/queues/default")).body.status, "NOT_READY");
  plane.moveClock(61);
  assert.equal(await status(), "NOT_READY");
});

test("an unknown queue and a limit beyond the page size are refused", async () => {
  await using plane = await buildTestPlane();
  await createDeployment(plane);
  const path = "/work_pools/pool/get_scheduled_flow_runs";

  const unknown = await call(plane, "POST", path, { work_queue_names: ["default", "nope"] });
  assert.deepEqual([unknown.status, unknown.body.detail], [404, "Work pool queue 'pool/nope' not found."]);
  assert.equal((await call(plane, "POST", path, { limit: 201 })).status, 422);
});

test("a poll is answered while somebody else writes, and is noted afterwards", async () => {
  await using plane = await buildTestPlane();
  const deployment = await createDeployment(plane);
  const run = await createRun(plane, deployment.id);
  const poll = () => call(plane, "POST", "/work_pools/pool/get_scheduled_flow_runs", {});
  const findNote = async () => (await call(plane, "GET", `/work_queues/${deployment.work_queue_id}`)).body.last_polled;
  await poll();
  const first = await findNote();
  plane.moveClock(10);
  const writing = Promise.withResolvers<void>();
  const writer = plane.store.transaction(() => writing.promise);

  const polls = await Promise.all([poll(), poll()]);

  assert.deepEqual(
    polls.map(({ body }) => body[0].flow_run.id),
    [run.id, run.id],
  );
  assert.equal(await findNote(), first);
  writing.resolve();
  await writer;
  await waitUntil(async () => (await findNote()) > first, { timeoutMs: 5000, what: "the note", pollMs: 5 });
});
