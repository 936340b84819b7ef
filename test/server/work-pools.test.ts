import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { buildTestPlane } from "../support/build-test-plane.ts";
import { call } from "./call.ts";
import { create, createDeployment, createPool, createRun } from "./resources.ts";

test("a new pool has a default queue and waits for a worker", async () => {
  await using plane = await buildTestPlane();

  const pool = await createPool(plane);

  assert.deepEqual(Object.keys(pool), [
    "id",
    "created",
    "updated",
    "name",
    "description",
    "type",
    "base_job_template",
    "is_paused",
    "concurrency_limit",
    "status",
    "default_queue_id",
    "storage_configuration",
    "active_slots",
  ]);
  assert.deepEqual([pool.status, pool.active_slots], ["NOT_READY", null]);
  const queue = (await call(plane, "GET", "/work_pools/pool/queues/default")).body;
  assert.deepEqual(
    [queue.id, queue.priority, queue.description, queue.work_pool_name],
    [pool.default_queue_id, 1, "The work pool's default queue.", "pool"],
  );
});

describe("a pool is refused", () => {
  const cases = [
    { name: "when its name is taken", body: { name: "pool" }, status: 409, text: /already exists/ },
    { name: "when its name is reserved", body: { name: "pReFect-x" }, status: 403, text: /reserved/ },
    {
      name: "when its template lacks a part",
      body: { name: "x", base_job_template: { job_configuration: {} } },
      status: 422,
      text: /must contain both/,
    },
    {
      name: "when its template uses an undeclared variable",
      body: {
        name: "x",
        base_job_template: { job_configuration: { a: ["{{ gone }}"] }, variables: { properties: {} } },
      },
      status: 422,
      text: /gone/,
    },
    {
      name: "when a default does not fit its own schema",
      body: {
        name: "x",
        base_job_template: {
          job_configuration: { a: "{{ cpu }}" },
          variables: { properties: { cpu: { type: "integer", default: "many" } } },
        },
      },
      status: 422,
      text: /'cpu'.*'many'/,
    },
    { name: "when its limit is negative", body: { name: "x", concurrency_limit: -1 }, status: 422, text: /greater/ },
  ];
  for (const { name, body, status, text } of cases) {
    test(name, async () => {
      await using plane = await buildTestPlane();
      await createPool(plane);

      const answer = await call(plane, "POST", "/work_pools/", body);

      assert.equal(answer.status, status);
      assert.match(JSON.stringify(answer.body), text);
    });
  }
});

test("a pool is changed key by key, paused and resumed", async () => {
  await using plane = await buildTestPlane();
  await createPool(plane);
  const read = async () => (await call(plane, "GET", "/work_pools/pool")).body;

  assert.equal((await call(plane, "PATCH", "/work_pools/pool", { concurrency_limit: 3 })).status, 204);
  assert.deepEqual([(await read()).concurrency_limit, (await read()).active_slots], [3, 0]);
  await call(plane, "PATCH", "/work_pools/pool", { is_paused: true, description: "d" });
  assert.deepEqual([(await read()).status, (await read()).concurrency_limit], ["PAUSED", 3]);
  await call(plane, "PATCH", "/work_pools/pool", { is_paused: false, concurrency_limit: null });
  assert.deepEqual([(await read()).status, (await read()).concurrency_limit], ["NOT_READY", null]);
});

test("an unknown pool is 404, with its name", async () => {
  await using plane = await buildTestPlane();

  for (const [method, path] of [
    ["GET", ""],
    ["PATCH", ""],
    ["DELETE", ""],
    ["POST", "/get_scheduled_flow_runs"],
    ["POST", "/queues/filter"],
    ["POST", "/workers/filter"],
  ] as const) {
    const { status, body } = await call(plane, method, `/work_pools/nope${path}`, method === "GET" ? undefined : {});
    assert.deepEqual([status, body?.detail], [404, 'Work pool "nope" not found.'], `${method} ${path}`);
  }
});

test("pools are listed by name and counted", async () => {
  await using plane = await buildTestPlane();
  await createPool(plane, "b");
  await createPool(plane, "a", { type: "process" });

  const list = async (filter: unknown) =>
    (await call(plane, "POST", "/work_pools/filter", { work_pools: filter })).body.map(
      (pool: { name: string }) => pool.name,
    );
  assert.deepEqual(await list(null), ["a", "b"]);
  assert.deepEqual(await list({ type: { any_: ["process"] } }), ["a"]);
  assert.equal((await call(plane, "POST", "/work_pools/count", {})).body, 2);
});

test("a pool with a name that needs quoting is reached", async () => {
  await using plane = await buildTestPlane();
  await createPool(plane, "my pool #1 ü");

  assert.equal((await call(plane, "GET", `/work_pools/${encodeURIComponent("my pool #1 ü")}`)).status, 200);
});

test("a deleted pool leaves its deployments and runs, without a pool", async () => {
  await using plane = await buildTestPlane();
  const deployment = await createDeployment(plane);
  const run = await createRun(plane, deployment.id);

  assert.equal((await call(plane, "DELETE", "/work_pools/pool")).status, 204);

  const left = (await call(plane, "GET", `/deployments/${deployment.id}`)).body;
  assert.deepEqual([left.work_pool_name, left.work_queue_name, left.work_queue_id], [null, null, null]);
  const leftRun = (await call(plane, "GET", `/flow_runs/${run.id}`)).body;
  assert.deepEqual([leftRun.work_pool_name, leftRun.work_queue_id], [null, null]);
});

describe("workers", () => {
  test("a heartbeat makes a worker known and its pool READY, until three are missed", async () => {
    await using plane = await buildTestPlane();
    await createPool(plane);
    const online = async () =>
      (await call(plane, "POST", "/work_pools/pool/workers/filter", { workers: { status: { any_: ["ONLINE"] } } }))
        .body;
    const status = async () => (await call(plane, "GET", "/work_pools/pool")).body.status;

    const beat = { name: "w", heartbeat_interval_seconds: 10 };
    assert.equal((await call(plane, "POST", "/work_pools/pool/workers/heartbeat", beat)).status, 204);
    assert.equal(await status(), "READY");
    assert.deepEqual([(await online()).length, (await online())[0].status], [1, "ONLINE"]);

    plane.moveClock(31);
    assert.equal(await status(), "NOT_READY");
    assert.deepEqual(await online(), []);
    const all = (await call(plane, "POST", "/work_pools/pool/workers/filter", {})).body;
    assert.deepEqual([all.length, all[0].status], [1, "OFFLINE"]);

    await call(plane, "POST", "/work_pools/pool/workers/heartbeat", beat);
    assert.equal(await status(), "READY");
  });

  test("a worker is forgotten; forgetting one that is not there is 404", async () => {
    await using plane = await buildTestPlane();
    await createPool(plane);
    await call(plane, "POST", "/work_pools/pool/workers/heartbeat", { name: "w" });

    assert.equal((await call(plane, "DELETE", "/work_pools/pool/workers/w")).status, 204);
    assert.equal((await call(plane, "DELETE", "/work_pools/pool/workers/w")).status, 404);
    assert.equal((await call(plane, "POST", "/work_pools/nope/workers/heartbeat", { name: "w" })).status, 404);
  });
});

test("who holds the slots of a pool is told queue by queue", async () => {
  await using plane = await buildTestPlane();
  const deployment = await createDeployment(plane);
  await create(plane, "/work_pools/pool/queues", { name: "other" });
  const run = await createRun(plane, deployment.id, { name: "holder" });
  await call(plane, "POST", `/flow_runs/${run.id}/set_state`, { state: { type: "PENDING" } });
  plane.moveClock(5);

  const { body } = await call(plane, "POST", "/work_pools/pool/concurrency_status", { page: 1, limit: 10 });

  assert.deepEqual([body.active_slots, body.count, body.pages], [1, 2, 1]);
  const [first, second] = body.queues;
  assert.deepEqual([first.queue_name, first.active_slots, first.flow_runs[0].name], ["default", 1, "holder"]);
  assert.equal(Math.round(first.flow_runs[0].time_in_current_state), 5);
  assert.deepEqual([second.queue_name, second.active_slots, second.flow_runs], ["other", 0, []]);
});
