import assert from "node:assert/strict";
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

suite("variables", () => {
  usePlane();

  test("any JSON value is kept under a name, changed and removed by name or id", async () => {
    const created = await call(plane, "POST", "/variables/", { name: "limits", value: { a: [1, null] } });
    const byName = await call(plane, "GET", "/variables/name/limits");
    const patched = await call(plane, "PATCH", "/variables/name/limits", { value: null, tags: ["t"] });
    const byId = await call(plane, "GET", `/variables/${created.body.id}`);
    const removed = await call(plane, "DELETE", `/variables/${created.body.id}`);

    assert.deepEqual([created.status, patched.status, removed.status], [201, 204, 204]);
    assert.deepEqual(byName.body, created.body);
    assert.deepEqual([byId.body.value, byId.body.tags], [null, ["t"]]);
    assert.deepEqual(
      await call(plane, "GET", "/variables/name/limits").then(({ status, body }) => [status, body.detail]),
      [404, "Variable not found."],
    );
  });

  test("a taken name is 409, also by renaming; a name with capitals and a value that is too long are 422", async () => {
    await call(plane, "POST", "/variables/", { name: "a", value: 1 });
    await call(plane, "POST", "/variables/", { name: "b", value: 2 });

    const again = await call(plane, "POST", "/variables/", { name: "a", value: 3 });
    const renamed = await call(plane, "PATCH", "/variables/name/b", { name: "a" });

    assert.deepEqual([again.status, renamed.status], [409, 409]);
    assert.equal(again.body.detail, "A variable with the name 'a' already exists.");
    assert.equal((await call(plane, "POST", "/variables/", { name: "A", value: 1 })).status, 422);
    assert.equal((await call(plane, "POST", "/variables/", { name: "c", value: "x".repeat(5001) })).status, 422);
  });

  test("are filtered, counted and paged", async () => {
    for (const name of ["b_1", "a_1", "a_2"]) {
      await call(plane, "POST", "/variables/", { name, value: name, tags: name === "a_2" ? ["x"] : [] });
    }

    const like = await call(plane, "POST", "/variables/filter", { variables: { name: { like_: "a_" } }, sort: null });
    const tagged = await call(plane, "POST", "/variables/count", { variables: { tags: { all_: ["x"] } } });
    const tooMany = await call(plane, "POST", "/variables/filter", { limit: 201 });

    assert.deepEqual(
      like.body.map(({ name }: { name: string }) => name),
      ["a_1", "a_2"],
    );
    assert.equal(tagged.body, 1);
    assert.deepEqual([tooMany.status, tooMany.body.detail], [422, "Invalid limit: must be less than or equal to 200."]);
  });
});
