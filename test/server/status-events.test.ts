import assert from "node:assert/strict";
import { test } from "node:test";
import { announceStatuses } from "../../src/orchestration/events/announce-statuses.ts";
import { silentLogger } from "../../src/shared/logger.ts";
import { buildTestPlane, type TestPlane } from "../support/build-test-plane.ts";
import { call } from "./call.ts";
import { createDeployment, createPool } from "./resources.ts";

const MOST = 50;

/** What the loop does. Answers the events, in the order of their names. */
async function look(plane: TestPlane) {
  const told: { event: string; id: string; follows: string | null }[] = [];
  const stop = plane.bus.subscribeToEvents(({ event, id, follows }) => {
    told.push({ event, id, follows: follows ?? null });
  });
  const deps = { store: plane.store, bus: plane.bus, logger: silentLogger };
  assert.equal((await announceStatuses(deps, plane.now(), MOST)).more, false);
  stop();
  return told.sort((left, right) => left.event.localeCompare(right.event));
}

async function lookForNames(plane: TestPlane): Promise<string[]> {
  return (await look(plane)).map(({ event }) => event);
}

async function poll(plane: TestPlane): Promise<void> {
  assert.equal((await call(plane, "POST", "/work_pools/pool/get_scheduled_flow_runs", {})).status, 200);
}

async function heartbeat(plane: TestPlane): Promise<void> {
  const body = { name: "worker-1", heartbeat_interval_seconds: 30 };
  assert.equal((await call(plane, "POST", "/work_pools/pool/workers/heartbeat", body)).status, 204);
}

test("a pool is not ready, ready with its first heartbeat, and not ready when its last worker is silent", async () => {
  await using plane = await buildTestPlane();
  await createPool(plane);
  const status = async () => (await call(plane, "GET", "/work_pools/pool")).body.status;

  assert.deepEqual(await lookForNames(plane), ["prefect.work-pool.not-ready"]);
  assert.deepEqual(await lookForNames(plane), []);

  await heartbeat(plane);
  assert.equal(await status(), "READY");
  assert.deepEqual(await lookForNames(plane), ["prefect.work-pool.ready"]);

  plane.moveClock(90);
  await heartbeat(plane);
  assert.deepEqual(await lookForNames(plane), []);

  plane.moveClock(91);
  assert.equal(await status(), "NOT_READY");
  assert.deepEqual(await lookForNames(plane), ["prefect.work-pool.not-ready"]);
  const [worker] = (await call(plane, "POST", "/work_pools/pool/workers/filter", {})).body;
  assert.equal(worker.status, "OFFLINE");
});

test("queues and deployments are ready for a minute after a poll", async () => {
  await using plane = await buildTestPlane();
  const deployment = await createDeployment(plane);
  await look(plane);
  const status = async () => (await call(plane, "GET", `/deployments/${deployment.id}`)).body.status;

  await poll(plane);
  assert.equal(await status(), "READY");
  assert.deepEqual(await lookForNames(plane), ["prefect.deployment.ready", "prefect.work-queue.ready"]);

  plane.moveClock(60);
  assert.deepEqual(await lookForNames(plane), []);

  plane.moveClock(1);
  assert.equal(await status(), "NOT_READY");
  assert.deepEqual(await lookForNames(plane), ["prefect.deployment.not-ready", "prefect.work-queue.not-ready"]);
});

test("a pause is told of, and what a pool or queue is when it ends", async () => {
  await using plane = await buildTestPlane();
  await createPool(plane);
  await poll(plane);
  await heartbeat(plane);
  assert.deepEqual(await lookForNames(plane), ["prefect.work-pool.ready", "prefect.work-queue.ready"]);

  await call(plane, "PATCH", "/work_pools/pool", { is_paused: true });
  await call(plane, "PATCH", "/work_pools/pool/queues/default", { is_paused: true });
  assert.deepEqual(await lookForNames(plane), ["prefect.work-pool.paused", "prefect.work-queue.paused"]);

  plane.moveClock(300);
  await call(plane, "PATCH", "/work_pools/pool", { is_paused: false });
  await call(plane, "PATCH", "/work_pools/pool/queues/default", { is_paused: false });
  assert.deepEqual(await lookForNames(plane), ["prefect.work-pool.not-ready", "prefect.work-queue.not-ready"]);
});

test("the events of a pool follow each other while they are less than ten minutes apart", async () => {
  await using plane = await buildTestPlane();
  await createPool(plane);
  const [first] = await look(plane);
  assert.equal(first?.follows, null);

  plane.moveClock(599);
  await call(plane, "PATCH", "/work_pools/pool", { is_paused: true });
  const [second] = await look(plane);
  assert.equal(second?.follows, first?.id);

  plane.moveClock(600);
  await call(plane, "PATCH", "/work_pools/pool", { is_paused: false });
  const [third] = await look(plane);
  assert.equal(third?.follows, null);
});

test("the events name what they belong to", async () => {
  await using plane = await buildTestPlane();
  const deployment = await createDeployment(plane, { concurrency_limit: 3 });
  const pool = (await call(plane, "GET", "/work_pools/pool")).body;
  await poll(plane);
  await look(plane);

  const { events } = (await call(plane, "POST", "/events/filter", { filter: { order: "ASC" } })).body;
  const find = (name: string) => events.find(({ event }: { event: string }) => event === name);
  const poolLabels = {
    "prefect.resource.id": `prefect.work-pool.${pool.id}`,
    "prefect.resource.name": "pool",
    "prefect.work-pool.type": "docker",
  };
  assert.deepEqual(find("prefect.work-pool.not-ready").resource, poolLabels);
  assert.deepEqual(find("prefect.work-pool.not-ready").related, []);
  const queue = find("prefect.work-queue.ready");
  assert.deepEqual(queue.resource, {
    "prefect.resource.id": `prefect.work-queue.${pool.default_queue_id}`,
    "prefect.resource.name": "default",
    "prefect.resource.role": "work-queue",
  });
  assert.deepEqual(queue.related, [{ ...poolLabels, "prefect.resource.role": "work-pool" }]);
  const ready = find("prefect.deployment.ready");
  assert.deepEqual(ready.resource, {
    "prefect.resource.id": `prefect.deployment.${deployment.id}`,
    "prefect.resource.name": "nightly",
  });
  assert.deepEqual(
    ready.related.map((related: Record<string, string>) => related["prefect.resource.role"]),
    ["flow", "work-queue", "work-pool", "concurrency-limit"],
  );
});

test("two planes that look at the same moment tell it once", async () => {
  await using plane = await buildTestPlane();
  await createDeployment(plane);
  await poll(plane);
  const deps = { store: plane.store, bus: plane.bus, logger: silentLogger };

  const results = await Promise.all([1, 2, 3].map(() => announceStatuses(deps, plane.now(), MOST)));

  assert.equal(
    results.reduce((sum, { changed }) => sum + changed, 0),
    3,
  );
});

test("a heartbeat, a poll and a pause that change a status wake the loop, others do not", async () => {
  await using plane = await buildTestPlane();
  let woken = 0;
  plane.store.wakeUps.subscribe("status_changed", () => {
    woken += 1;
  });
  const countOf = async (act: () => Promise<unknown>) => {
    const before = woken;
    await act();
    return woken - before;
  };

  assert.equal(await countOf(() => createPool(plane)), 1);
  assert.equal(await countOf(() => heartbeat(plane)), 1);
  assert.equal(await countOf(() => heartbeat(plane)), 0);
  assert.equal(await countOf(() => poll(plane)), 1);
  plane.moveClock(10);
  assert.equal(await countOf(() => poll(plane)), 0);
  assert.equal(await countOf(() => call(plane, "PATCH", "/work_pools/pool", { is_paused: true })), 1);
  assert.equal(await countOf(() => call(plane, "PATCH", "/work_pools/pool", { description: "x" })), 0);
});
