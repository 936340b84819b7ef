import assert from "node:assert/strict";
import type { TestPlane } from "../support/build-test-plane.ts";
import { call } from "./call.ts";

export const UNKNOWN_ID = "00000000-0000-4000-8000-000000000000";

export const TEMPLATE = {
  job_configuration: { image: "{{ image }}", cpu: "{{ cpu }}" },
  variables: {
    type: "object",
    properties: { image: { type: "string" }, cpu: { type: "integer", default: 1 } },
    required: ["image"],
  },
};

/** One parameter that is required and one that is not. */
export const PARAMETER_SCHEMA = {
  title: "Parameters",
  type: "object",
  properties: { stars: { title: "stars", type: "integer", position: 0 }, note: { title: "note", type: "string" } },
  required: ["stars"],
};

/** POSTs, and answers the new resource. */
export async function create(plane: TestPlane, path: string, body: unknown) {
  const answer = await call(plane, "POST", path, body);
  assert.equal(answer.status, 201, JSON.stringify(answer.body));
  return answer.body;
}

export function createPool(plane: TestPlane, name = "pool", body: Record<string, unknown> = {}) {
  return create(plane, "/work_pools/", { name, type: "docker", base_job_template: TEMPLATE, ...body });
}

/** The deployment `etl/nightly` in the pool `pool`, which is made with it. */
export async function createDeployment(plane: TestPlane, body: Record<string, unknown> = {}) {
  const flow = (await call(plane, "POST", "/flows/", { name: "etl" })).body;
  if ((await call(plane, "GET", "/work_pools/pool")).status === 404) {
    await createPool(plane);
  }
  return create(plane, "/deployments/", {
    name: "nightly",
    flow_id: flow.id,
    work_pool_name: "pool",
    job_variables: { image: "etl:1" },
    parameters: { stars: 1 },
    parameter_openapi_schema: PARAMETER_SCHEMA,
    tags: ["team-a"],
    ...body,
  });
}

export async function createRun(plane: TestPlane, deploymentId: string, body: Record<string, unknown> = {}) {
  return create(plane, `/deployments/${deploymentId}/create_flow_run`, body);
}
