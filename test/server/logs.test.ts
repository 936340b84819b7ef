import assert from "node:assert/strict";
import { test } from "node:test";
import { buildTestPlane } from "../support/build-test-plane.ts";
import { call } from "./call.ts";
import { UNKNOWN_ID } from "./resources.ts";

const line = (message: string, more: Record<string, unknown> = {}) => ({
  name: "prefect.flow_runs",
  level: 20,
  message,
  timestamp: "2026-01-01T00:00:00Z",
  flow_run_id: UNKNOWN_ID,
  ...more,
});

test("lines are stored, published when they are on disk, and read in the order of their time and arrival", async () => {
  await using plane = await buildTestPlane();
  const published: string[] = [];
  plane.bus.subscribeToLogs((logs) => published.push(...logs.map((log) => log.message)));

  const batch = [line("second"), line("third"), line("first", { timestamp: "2025-12-31 23:59:59.5+00:00" })];
  const answer = await call(plane, "POST", "/logs/", batch);

  assert.deepEqual([answer.status, answer.body], [201, null]);
  assert.deepEqual(published, ["second", "third", "first"]);
  const { body } = await call(plane, "POST", "/logs/filter", { logs: { flow_run_id: { any_: [UNKNOWN_ID] } } });
  assert.deepEqual(
    body.map((log: { message: string }) => log.message),
    ["first", "second", "third"],
  );
  assert.deepEqual(Object.keys(body[0]), [
    "id",
    "created",
    "updated",
    "name",
    "level",
    "message",
    "timestamp",
    "flow_run_id",
    "task_run_id",
  ]);
});

test("a line that is sent again under its id is stored and published once", async () => {
  await using plane = await buildTestPlane();
  const published: string[] = [];
  plane.bus.subscribeToLogs((logs) => published.push(...logs.map((log) => log.message)));
  const ids = ["6a1f0000-0000-5000-8000-000000000001", "6a1f0000-0000-5000-8000-000000000002"] as const;
  const first = line("first", { id: ids[0] });
  const second = line("second", { id: ids[1] });

  await call(plane, "POST", "/logs/", [first]);
  const again = await call(plane, "POST", "/logs/", [first, second, second]);

  assert.equal(again.status, 201);
  assert.deepEqual(published, ["first", "second"]);
  const { body } = await call(plane, "POST", "/logs/filter", {});
  assert.deepEqual(
    body.map((log: { id: string; message: string }) => [log.id, log.message]),
    [
      [ids[0], "first"],
      [ids[1], "second"],
    ],
  );
});

test("a batch of 4 MB is taken whole", async () => {
  await using plane = await buildTestPlane();

  const batch = Array.from({ length: 4000 }, (_, index) => line(`${index} ${"x".repeat(900)}`));
  assert.equal((await call(plane, "POST", "/logs/", batch)).status, 201);

  const last = await call(plane, "POST", "/logs/filter", { sort: "TIMESTAMP_DESC", limit: 1 });
  assert.match(last.body[0].message, /^3999 /);
});

test("an empty batch is fine, a wrong line refuses its whole batch", async () => {
  await using plane = await buildTestPlane();

  assert.equal((await call(plane, "POST", "/logs/", [])).status, 201);
  assert.equal((await call(plane, "POST", "/logs/", [line("good"), { message: "bad" }])).status, 422);
  assert.deepEqual((await call(plane, "POST", "/logs/filter", {})).body, []);
});

test("lines are filtered by level, time, task run and text", async () => {
  await using plane = await buildTestPlane();
  const task = "11111111-1111-4111-8111-111111111111";
  await call(plane, "POST", "/logs/", [
    line("50% done", { level: 10 }),
    line("50 done", { level: 30, timestamp: "2026-01-01T00:00:01Z", task_run_id: task }),
    line("other", { level: 40, flow_run_id: null, name: "done.worker" }),
  ]);
  const list = async (logs: unknown) =>
    (await call(plane, "POST", "/logs/filter", { logs })).body.map((log: { message: string }) => log.message);

  assert.deepEqual(await list({ level: { ge_: 30 } }), ["other", "50 done"]);
  assert.deepEqual(await list({ task_run_id: { any_: [task] } }), ["50 done"]);
  assert.deepEqual(await list({ task_run_id: { is_null_: true }, flow_run_id: { any_: [UNKNOWN_ID] } }), ["50% done"]);
  assert.deepEqual(await list({ timestamp: { after_: "2026-01-01T00:00:01Z" } }), ["50 done"]);
  assert.deepEqual(await list({ text: { query: "50%" } }), ["50% done"]);
  assert.deepEqual((await list({ text: { query: "DONE" } })).length, 3);
});
