import assert from "node:assert/strict";
import { test } from "node:test";
import { buildTestPlane } from "../support/build-test-plane.ts";
import { call } from "./call.ts";
import { create, UNKNOWN_ID } from "./resources.ts";

test("a flow is made once; asking again answers it with 200", async () => {
  await using plane = await buildTestPlane();

  const first = await call(plane, "POST", "/flows/", { name: "etl", tags: ["x"] });
  const second = await call(plane, "POST", "/flows/", { name: "etl" });

  assert.equal(first.status, 201);
  assert.deepEqual(Object.keys(first.body), ["id", "created", "updated", "name", "tags", "labels"]);
  assert.deepEqual([second.status, second.body], [200, first.body]);
});

test("a flow is read by id and name, changed and removed", async () => {
  await using plane = await buildTestPlane();
  const flow = await create(plane, "/flows/", { name: "etl" });

  assert.equal((await call(plane, "PATCH", `/flows/${flow.id}`, { tags: ["new"] })).status, 204);
  assert.deepEqual((await call(plane, "GET", `/flows/${flow.id}`)).body.tags, ["new"]);
  assert.equal((await call(plane, "GET", "/flows/name/etl")).body.id, flow.id);
  assert.equal((await call(plane, "DELETE", `/flows/${flow.id}`)).status, 204);
  assert.deepEqual((await call(plane, "GET", `/flows/${flow.id}`)).body.detail, "Flow not found");
});

test("an unknown flow is 404 everywhere", async () => {
  await using plane = await buildTestPlane();

  for (const [method, body] of [["GET"], ["PATCH", { tags: [] }], ["DELETE"]] as const) {
    assert.equal((await call(plane, method, `/flows/${UNKNOWN_ID}`, body)).status, 404);
  }
});

test("a name that a path cannot carry is refused", async () => {
  await using plane = await buildTestPlane();

  for (const name of ["a/b", "50%", "", "a&b"]) {
    assert.equal((await call(plane, "POST", "/flows/", { name })).status, 422, name);
  }
});

test("flows are listed, counted and paged by name", async () => {
  await using plane = await buildTestPlane();
  for (const name of ["c", "a", "b"]) {
    await create(plane, "/flows/", { name });
  }

  const names = (flows: { name: string }[]) => flows.map((flow) => flow.name);
  assert.deepEqual(names((await call(plane, "POST", "/flows/filter", {})).body), ["a", "b", "c"]);
  assert.deepEqual(names((await call(plane, "POST", "/flows/filter", { sort: "NAME_DESC", limit: 2 })).body), [
    "c",
    "b",
  ]);
  assert.equal((await call(plane, "POST", "/flows/count", { flows: { name: { any_: ["a"] } } })).body, 1);
  const { body } = await call(plane, "POST", "/flows/paginate", { limit: 2, page: 2 });
  assert.deepEqual(
    { ...body, results: names(body.results) },
    { results: ["c"], count: 3, limit: 2, pages: 2, page: 2 },
  );
});
