import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
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

const DEPLOYMENT = randomUUID();
const OWNER = `prefect.deployment.${DEPLOYMENT}`;

function buildBody(name: string, owner: string | null = null) {
  return {
    name,
    trigger: {
      type: "event",
      match: { "prefect.resource.id": "prefect.flow-run.*" },
      match_related: { "prefect.resource.id": ["prefect.flow.1"] },
      expect: ["foo"],
    },
    actions: [{ type: "run-deployment", source: "selected", deployment_id: DEPLOYMENT }],
    owner_resource: owner,
  };
}

suite("automations", () => {
  usePlane();

  test("are kept as they were sent, changed, switched off and removed", async () => {
    const { status, body } = await call(plane, "POST", "/automations/", buildBody("a"));
    const { owner_resource: _, ...changed } = { ...buildBody("b"), description: "new" };

    const put = await call(plane, "PUT", `/automations/${body.id}`, changed);
    const patch = await call(plane, "PATCH", `/automations/${body.id}`, { enabled: false });
    const read = await call(plane, "GET", `/automations/${body.id}`);
    const removed = await call(plane, "DELETE", `/automations/${body.id}`);
    const gone = await call(plane, "GET", `/automations/${body.id}`);

    assert.deepEqual([status, put.status, patch.status, removed.status, gone.status], [201, 204, 204, 204, 404]);
    assert.deepEqual(body.trigger, buildBody("a").trigger);
    assert.deepEqual([read.body.name, read.body.description, read.body.enabled], ["b", "new", false]);
    assert.equal(gone.body.exception_message, "Automation not found");
  });

  test("are found by the resources that they name, and removed with their owner", async () => {
    const owned = await call(plane, "POST", "/automations/", buildBody("owned", OWNER));
    const other = await call(plane, "POST", "/automations/", buildBody("other"));

    const related = await call(plane, "GET", `/automations/related-to/${OWNER}`);
    const byFlow = await call(plane, "GET", "/automations/related-to/prefect.flow.1");
    const removed = await call(plane, "DELETE", `/automations/owned-by/${OWNER}`);
    const again = await call(plane, "DELETE", `/automations/owned-by/${OWNER}`);
    const left = await call(plane, "POST", "/automations/filter", {});

    const ids = (answer: { body: { id: string }[] }) => answer.body.map(({ id }) => id).sort();
    assert.deepEqual(ids(related), [owned.body.id, other.body.id].sort());
    assert.deepEqual(ids(byFlow), [owned.body.id, other.body.id].sort());
    assert.deepEqual([removed.status, again.status], [202, 202]);
    assert.deepEqual(ids(left), [other.body.id]);
    assert.equal((await call(plane, "POST", "/automations/count", {})).body, 1);
  });
});
