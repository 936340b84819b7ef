import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { buildTestPlane, type TestPlane } from "../support/build-test-plane.ts";
import { call } from "./call.ts";
import { create, createDeployment, createPool, createRun, UNKNOWN_ID } from "./resources.ts";

async function listPriorities(plane: TestPlane): Promise<[string, number][]> {
  const { body } = await call(plane, "POST", "/work_pools/pool/queues/filter", {});
  return body.map((queue: { name: string; priority: number }) => [queue.name, queue.priority]);
}

describe("priorities", () => {
  test("a new queue takes the first free one", async () => {
    await using plane = await buildTestPlane();
    await createPool(plane);

    await create(plane, "/work_pools/pool/queues", { name: "a" });
    await create(plane, "/work_pools/pool/queues", { name: "far", priority: 9 });
    await create(plane, "/work_pools/pool/queues", { name: "b" });

    assert.deepEqual(await listPriorities(plane), [
      ["default", 1],
      ["a", 2],
      ["b", 3],
      ["far", 9],
    ]);
  });

  test("a taken one pushes up only those that are in the way", async () => {
    await using plane = await buildTestPlane();
    await createPool(plane);
    await create(plane, "/work_pools/pool/queues", { name: "a" });
    await create(plane, "/work_pools/pool/queues", { name: "far", priority: 9 });

    await create(plane, "/work_pools/pool/queues", { name: "urgent", priority: 1 });
    assert.deepEqual(await listPriorities(plane), [
      ["urgent", 1],
      ["default", 2],
      ["a", 3],
      ["far", 9],
    ]);

    await call(plane, "PATCH", "/work_pools/pool/queues/far", { priority: 2 });
    assert.deepEqual(await listPriorities(plane), [
      ["urgent", 1],
      ["far", 2],
      ["default", 3],
      ["a", 4],
    ]);
  });
});

test("a queue is made, renamed, limited, paused and removed by name and by id", async () => {
  await using plane = await buildTestPlane();
  await createPool(plane);
  const queue = await create(plane, "/work_pools/pool/queues", { name: "q", concurrency_limit: 2 });
  const read = async () => (await call(plane, "GET", `/work_queues/${queue.id}`)).body;

  assert.deepEqual([queue.status, queue.active_slots, queue.description], ["NOT_READY", 0, ""]);
  assert.equal((await call(plane, "POST", "/work_pools/pool/queues", { name: "q" })).status, 409);
  await call(plane, "PATCH", `/work_queues/${queue.id}`, { is_paused: true, concurrency_limit: null });
  assert.deepEqual([(await read()).status, (await read()).active_slots], ["PAUSED", null]);
  await call(plane, "PATCH", "/work_pools/pool/queues/q", { name: "r", is_paused: false });
  assert.deepEqual([(await read()).name, (await read()).status], ["r", "NOT_READY"]);
  assert.equal((await call(plane, "PATCH", "/work_pools/pool/queues/r", { name: "default" })).status, 409);
  assert.equal((await call(plane, "DELETE", "/work_pools/pool/queues/r")).status, 204);
  assert.equal((await call(plane, "GET", `/work_queues/${queue.id}`)).status, 404);
});

test("a pool's default queue stays", async () => {
  await using plane = await buildTestPlane();
  const pool = await createPool(plane);

  assert.equal((await call(plane, "DELETE", "/work_pools/pool/queues/default")).status, 409);
  assert.equal((await call(plane, "DELETE", `/work_queues/${pool.default_queue_id}`)).status, 409);
});

test("an unknown queue is 404 in the words that clients show", async () => {
  await using plane = await buildTestPlane();
  await createPool(plane);

  const byName = await call(plane, "GET", "/work_pools/pool/queues/nope");
  assert.deepEqual([byName.status, byName.body.detail], [404, "Work pool queue 'pool/nope' not found."]);
  assert.equal((await call(plane, "GET", `/work_queues/${UNKNOWN_ID}`)).body.detail, "work queue not found");
  const status = await call(plane, "GET", `/work_queues/${UNKNOWN_ID}/status`);
  assert.equal(status.body.exception_message, `Work queue with id ${UNKNOWN_ID} not found`);
});

test("a queue without a pool belongs to the agents' pool, which is made for it", async () => {
  await using plane = await buildTestPlane();

  const queue = await create(plane, "/work_queues/", { name: "lonely" });

  assert.equal(queue.work_pool_name, "default-agent-pool");
  assert.equal((await call(plane, "GET", "/work_queues/name/lonely")).body.id, queue.id);
  assert.equal((await call(plane, "GET", "/work_pools/default-agent-pool")).body.status, null);
});

test("a queue is healthy while it is polled and has no late runs", async () => {
  await using plane = await buildTestPlane();
  const deployment = await createDeployment(plane);
  const path = `/work_queues/${deployment.work_queue_id}/status`;

  assert.deepEqual((await call(plane, "GET", path)).body, {
    healthy: false,
    late_runs_count: 0,
    last_polled: null,
    health_check_policy: { maximum_late_runs: 0, maximum_seconds_since_last_polled: 60 },
  });
  await call(plane, "POST", "/work_pools/pool/get_scheduled_flow_runs", {});
  assert.equal((await call(plane, "GET", path)).body.healthy, true);
  plane.moveClock(61);
  assert.equal((await call(plane, "GET", path)).body.healthy, false);
});

test("the due runs of one queue are listed, without a poll when a page asks", async () => {
  await using plane = await buildTestPlane();
  const deployment = await createDeployment(plane);
  const run = await createRun(plane, deployment.id);
  const path = `/work_queues/${deployment.work_queue_id}/get_runs`;

  const page = await plane.app.inject({ method: "POST", url: `/api${path}`, headers: { "x-prefect-ui": "true" } });
  assert.deepEqual(
    page.json().map((each: { id: string }) => each.id),
    [run.id],
  );
  assert.equal((await call(plane, "GET", `/work_queues/${deployment.work_queue_id}`)).body.last_polled, null);

  await call(plane, "POST", path, { limit: 1 });
  assert.notEqual((await call(plane, "GET", `/work_queues/${deployment.work_queue_id}`)).body.last_polled, null);
});
