import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PoolWorkerDetails, PoolWorkers } from "../../src/flowyard-api/workers.ts";
import { buildTestPlane, type TestPlane } from "../support/build-test-plane.ts";
import { call } from "./call.ts";
import { beat } from "./explain-support.ts";
import { createDeployment, createRun } from "./resources.ts";

const WORKERS = "/flowyard/work_pools/pool/workers";

async function claim(plane: TestPlane, worker_name: string, wait_seconds = 0) {
  const body = { worker_name, worker_instance: `${worker_name} 1`, capacity: 10, wait_seconds };
  const answer = await call(plane, "POST", "/flowyard/work_pools/pool/claim", body);
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  return answer.body;
}

async function renew(plane: TestPlane, worker_name: string, stopping = false) {
  const answer = await call(plane, "POST", "/flowyard/work_pools/pool/claims/renew", {
    worker_name,
    stopping,
    claims: [],
  });
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  return answer.body;
}

async function drain(plane: TestPlane, name: string, draining = true) {
  return await call(plane, "POST", `${WORKERS}/${encodeURIComponent(name)}/drain`, { draining });
}

/** A worker that the plane has heard of and that takes claims. */
async function meetWorker(plane: TestPlane, name: string): Promise<void> {
  await beat(plane, name);
  await renew(plane, name);
}

async function list(plane: TestPlane): Promise<PoolWorkers["workers"]> {
  const { status, body } = await call(plane, "GET", WORKERS);
  assert.equal(status, 200, JSON.stringify(body));
  assert.deepEqual(PoolWorkers.parse(body), body);
  return body.workers;
}

describe("draining", () => {
  test("a draining worker is given nothing, its neighbour everything, until it is taken back", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createDeployment(plane);
    await meetWorker(plane, "a");
    await meetWorker(plane, "b");

    const drained = await drain(plane, "a");

    assert.equal(drained.status, 200);
    assert.equal(PoolWorkerDetails.parse(drained.body).status, "DRAINING");
    await createRun(plane, id);
    assert.deepEqual(await claim(plane, "a"), { claimed: [], draining: true });
    assert.equal((await renew(plane, "a")).draining, true);
    assert.equal((await claim(plane, "b")).claimed.length, 1);
    await createRun(plane, id);
    await drain(plane, "a", false);
    assert.equal((await claim(plane, "a")).claimed.length, 1);
  });

  test("what a worker has in hand when it is drained stays its own, and is listed", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createDeployment(plane);
    await meetWorker(plane, "a");
    const run = await createRun(plane, id);
    const { claimed } = await claim(plane, "a");

    const { body } = await drain(plane, "a");

    assert.equal(body.runs_in_hand, 1);
    assert.deepEqual(
      body.runs.map((held: { flow_run_id: string }) => held.flow_run_id),
      [run.id],
    );
    const { id: claimId, fencing_token } = claimed[0].claim;
    const answer = await call(plane, "POST", "/flowyard/work_pools/pool/claims/renew", {
      worker_name: "a",
      claims: [{ id: claimId, fencing_token, started: true }],
    });
    assert.equal(answer.body.claims[0].status, "held");
    const inspected = await call(plane, "GET", `${WORKERS}/a`);
    assert.equal(inspected.body.runs[0].started, true);
  });

  test("a worker that waits for work is answered as soon as it may take it again", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createDeployment(plane);
    await meetWorker(plane, "a");
    await drain(plane, "a");
    await createRun(plane, id);
    const waiting = claim(plane, "a", 30);
    const startedAt = performance.now();

    await drain(plane, "a", false);

    assert.equal((await waiting).claimed.length, 1);
    assert.ok(performance.now() - startedAt < 4000, "it was not woken");
  });

  test("draining outlives heartbeats and restarts; a worker that stops by itself is shown as draining, too", async () => {
    await using plane = await buildTestPlane();
    await createDeployment(plane);
    await meetWorker(plane, "a");
    await meetWorker(plane, "b");
    await drain(plane, "a");
    await renew(plane, "b", true);

    await meetWorker(plane, "a");

    const statuses = Object.fromEntries((await list(plane)).map(({ name, status }) => [name, status]));
    assert.deepEqual(statuses, { a: "DRAINING", b: "DRAINING" });
    await renew(plane, "b");
    plane.moveClock(1000);
    await beat(plane, "b");
    const later = Object.fromEntries((await list(plane)).map(({ name, status }) => [name, status]));
    assert.deepEqual(later, { b: "ONLINE", a: "OFFLINE" });
  });

  test("Prefect's own list of workers stays as it is", async () => {
    await using plane = await buildTestPlane();
    await createDeployment(plane);
    await meetWorker(plane, "a");
    await drain(plane, "a");

    const { body } = await call(plane, "POST", "/work_pools/pool/workers/filter", {});

    assert.deepEqual(Object.keys(body[0]).sort(), [
      "created",
      "heartbeat_interval_seconds",
      "id",
      "last_heartbeat_time",
      "name",
      "status",
      "updated",
      "work_pool_id",
    ]);
    assert.equal(body[0].status, "ONLINE");
  });

  test("a worker that polls cannot be drained, and nobody can drain what is not there", async () => {
    await using plane = await buildTestPlane();
    await createDeployment(plane);
    await beat(plane, "stock worker");

    const refused = await drain(plane, "stock worker");

    assert.deepEqual([refused.status, refused.body.code], [409, "WORKER_CANNOT_DRAIN"]);
    assert.equal((await drain(plane, "stock worker", false)).status, 200);
    assert.equal((await drain(plane, "nobody")).status, 404);
    assert.equal((await call(plane, "GET", "/flowyard/work_pools/none/workers")).status, 404);
  });
});
