import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { buildTestPlane } from "../support/build-test-plane.ts";
import { call } from "./call.ts";
import { setState } from "./explain-support.ts";
import { createDeployment, createRun } from "./resources.ts";

describe("the plane's metrics", () => {
  test("count requests, accepted state changes, and runs that have not ended", async () => {
    await using plane = await buildTestPlane();
    const { id: deploymentId } = await createDeployment(plane);
    const first = await createRun(plane, deploymentId);
    await createRun(plane, deploymentId);
    await setState(plane, first.id, { type: "PENDING" });
    await setState(plane, first.id, { type: "RUNNING" });
    await setState(plane, first.id, { type: "COMPLETED" });
    await call(plane, "DELETE", "/flows/00000000-0000-0000-0000-000000000000");

    const answer = await plane.app.inject({ method: "GET", url: "/api/flowyard/metrics" });

    assert.equal(answer.statusCode, 200);
    assert.match(String(answer.headers["content-type"]), /^text\/plain; version=0\.0\.4/);
    for (const line of [
      'flowyard_plane_requests_total{method="DELETE",status="4xx"} 1',
      'flowyard_plane_transitions_total{to="SCHEDULED"} 2',
      'flowyard_plane_transitions_total{to="RUNNING"} 1',
      'flowyard_plane_transitions_total{to="COMPLETED"} 1',
      'flowyard_plane_flow_runs{state_type="SCHEDULED"} 1',
      'flowyard_plane_flow_runs{state_type="RUNNING"} 0',
    ]) {
      assert.ok(answer.payload.includes(line), `${line} is missing in\n${answer.payload}`);
    }
    assert.match(answer.payload, /^flowyard_plane_request_seconds_count\{method="POST"\} \d+$/m);
    const again = await plane.app.inject({ method: "GET", url: "/api/flowyard/metrics" });
    assert.ok(again.payload.includes('flowyard_plane_transitions_total{to="COMPLETED"} 1'), "counted twice");
  });

  test("need the plane's credentials, as they tell what runs", async () => {
    await using plane = await buildTestPlane({ authString: "a:b" });

    const answer = await plane.app.inject({ method: "GET", url: "/api/flowyard/metrics" });

    assert.equal(answer.statusCode, 401);
  });
});
