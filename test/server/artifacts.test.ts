import assert from "node:assert/strict";
import { test } from "node:test";
import { buildTestPlane } from "../support/build-test-plane.ts";
import { call } from "./call.ts";
import { create, createDeployment, createRun } from "./resources.ts";

test("an artifact is made, read, found as the latest of its key, changed and removed", async () => {
  await using plane = await buildTestPlane();
  const first = await create(plane, "/artifacts/", {
    key: "report",
    type: "markdown",
    data: "# one",
    metadata_: { a: "b" },
  });
  plane.moveClock(1);
  const second = await create(plane, "/artifacts/", { key: "report", data: { rows: [1, 2] } });

  assert.deepEqual((await call(plane, "GET", `/artifacts/${first.id}`)).body, first);
  assert.equal((await call(plane, "GET", "/artifacts/report/latest")).body.id, second.id);
  assert.equal((await call(plane, "PATCH", `/artifacts/${first.id}`, { data: "# two" })).status, 204);
  const changed = (await call(plane, "GET", `/artifacts/${first.id}`)).body;
  assert.deepEqual([changed.data, changed.metadata_], ["# two", { a: "b" }]);
  assert.equal((await call(plane, "DELETE", `/artifacts/${first.id}`)).status, 204);
  assert.equal((await call(plane, "GET", `/artifacts/${first.id}`)).body.detail, "Artifact not found.");
  assert.equal((await call(plane, "GET", "/artifacts/none/latest")).status, 404);
  assert.equal((await call(plane, "POST", "/artifacts/", { key: "My Report" })).status, 422);
});

test("artifacts are found by key, type and the run they belong to", async () => {
  await using plane = await buildTestPlane();
  const run = await createRun(plane, (await createDeployment(plane)).id, { name: "maker" });
  await create(plane, "/artifacts/", { key: "a", type: "table", flow_run_id: run.id });
  await create(plane, "/artifacts/", { type: "result" });
  const list = async (filter: unknown) =>
    (await call(plane, "POST", "/artifacts/filter", filter)).body.map((each: { key: string | null }) => each.key);

  assert.deepEqual(await list({ artifacts: { key: { exists_: true } } }), ["a"]);
  assert.deepEqual(await list({ artifacts: { type: { not_any_: ["result"] } } }), ["a"]);
  assert.deepEqual(await list({ flow_runs: { name: { any_: ["maker"] } } }), ["a"]);
  assert.deepEqual(await list({ flows: { name: { any_: ["none"] } } }), []);
  assert.equal((await call(plane, "POST", "/artifacts/count", {})).body, 2);
});
