import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { TestPlane } from "../support/build-test-plane.ts";
import { buildTestPlane } from "../support/build-test-plane.ts";
import { call } from "./call.ts";
import { createPool, PARAMETER_SCHEMA } from "./resources.ts";

const SCOPE = { repository: "acme/etl", project_path: ".", environment: "production" };
const SHA = { one: "1".repeat(40), two: "2".repeat(40), three: "3".repeat(40) };

function wanted(name: string, deployment: Record<string, unknown> = {}, rest: Record<string, unknown> = {}) {
  return {
    flow_name: "etl",
    deployment: {
      name,
      work_pool_name: "pool",
      job_variables: { image: "etl:1" },
      parameters: { stars: 1 },
      parameter_openapi_schema: PARAMETER_SCHEMA,
      entrypoint: "flow.py:etl",
      schedules: [{ schedule: { cron: "0 6 * * *", timezone: "UTC" } }],
      ...deployment,
    },
    ...rest,
  };
}

interface Wishes {
  sha?: string;
  committedAt?: string;
  [key: string]: unknown;
}

function candidate(deployments: unknown[], { sha = SHA.one, committedAt, ...rest }: Wishes = {}) {
  return {
    scope: SCOPE,
    source: { event: "push", commit_sha: sha, ...(committedAt && { committed_at: committedAt }) },
    deployments,
    ...rest,
  };
}

async function apply(plane: TestPlane, release: unknown, planHash?: string) {
  return call(plane, "POST", "/flowyard/releases", { candidate: release, plan_hash: planHash });
}

async function plan(plane: TestPlane, release: unknown) {
  const { status, body } = await call(plane, "POST", "/flowyard/releases/plan", release);
  assert.equal(status, 200, JSON.stringify(body));
  return body;
}

async function read(plane: TestPlane, name: string) {
  return (await call(plane, "GET", `/deployments/name/${name}`)).body;
}

async function buildPlane() {
  const plane = await buildTestPlane();
  await createPool(plane);
  return plane;
}

test("a plane says that it takes releases", async () => {
  await using plane = await buildTestPlane();

  const { status, body } = await call(plane, "GET", "/flowyard/capabilities");

  assert.equal(status, 200);
  assert.ok(body.features.includes("releases"));
});

describe("applying", () => {
  test("the plan says what the release then does, and the second time there is nothing to do", async () => {
    await using plane = await buildPlane();
    const release = candidate([wanted("nightly"), wanted("hourly")]);

    const before = await plan(plane, release);
    const first = await apply(plane, release, before.plan_hash);
    const second = await apply(plane, release);

    assert.deepEqual(
      before.changes.map((change: { action: string; deployment: string }) => [change.action, change.deployment]),
      [
        ["create", "etl/nightly"],
        ["create", "etl/hourly"],
      ],
    );
    assert.equal(first.status, 201, JSON.stringify(first.body));
    assert.deepEqual(
      [first.body.changed, first.body.release.number, first.body.release.live, first.body.release.plan_hash],
      [true, 1, true, before.plan_hash],
    );
    assert.equal(first.body.deployments["etl/nightly"], (await read(plane, "etl/nightly")).id);
    assert.deepEqual(
      [second.status, second.body.changed, second.body.release.id, second.body.deployments],
      [200, false, first.body.release.id, first.body.deployments],
    );
  });
});
