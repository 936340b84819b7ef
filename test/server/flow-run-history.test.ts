import assert from "node:assert/strict";
import { test } from "node:test";
import { markLateRuns } from "../../src/orchestration/states/mark-late-runs.ts";
import { silentLogger } from "../../src/shared/logger.ts";
import { buildTestPlane } from "../support/build-test-plane.ts";
import { call } from "./call.ts";
import { createDeployment, createRun, UNKNOWN_ID } from "./resources.ts";

test("the history of a run says who wrote each state", async () => {
  await using plane = await buildTestPlane();
  const { id: deploymentId } = await createDeployment(plane);
  const { id } = await createRun(plane, deploymentId);
  plane.moveClock(60);
  const deps = { store: plane.store, bus: plane.bus, logger: silentLogger };
  await markLateRuns(deps, plane.now(), { afterSeconds: 15, most: 50 });
  const propose = (body: unknown, agent: string) =>
    plane.app.inject({
      method: "POST",
      url: `/api/flow_runs/${id}/set_state`,
      payload: JSON.stringify(body),
      headers: { "content-type": "application/json", "user-agent": agent },
    });
  await propose({ state: { type: "PENDING" } }, "prefect/3.9.1 (API 0.8.4)");
  await propose({ state: { type: "COMPLETED" }, force: true }, "curl/8");

  const { status, body } = await call(plane, "GET", `/flowyard/flow_runs/${id}/history`);

  assert.equal(status, 200);
  assert.deepEqual(
    body.map((entry: Record<string, unknown>) => [entry["name"], entry["written_by"]]),
    [
      ["Scheduled", null],
      ["Late", "loop mark-late-runs"],
      ["Pending", "prefect/3.9.1 (API 0.8.4)"],
      ["Completed", "curl/8 (forced)"],
    ],
  );
  assert.deepEqual(Object.keys(body[0]), ["id", "timestamp", "type", "name", "message", "written_by"]);
  assert.equal((await call(plane, "GET", `/flowyard/flow_runs/${UNKNOWN_ID}/history`)).status, 404);
});
