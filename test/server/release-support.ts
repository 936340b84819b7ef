import assert from "node:assert/strict";
import { buildTestPlane, type TestPlane } from "../support/build-test-plane.ts";
import { call } from "./call.ts";
import { createPool, PARAMETER_SCHEMA } from "./resources.ts";

export const SCOPE = { repository: "acme/etl", project_path: ".", environment: "production" };
export const SHA = { one: "1".repeat(40), two: "2".repeat(40), three: "3".repeat(40) };

export function wanted(name: string, deployment: Record<string, unknown> = {}, rest: Record<string, unknown> = {}) {
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

export function candidate<T>(deployments: T[], { sha = SHA.one, committedAt, ...rest }: Wishes = {}) {
  return {
    scope: SCOPE,
    source: { event: "push", commit_sha: sha, ...(committedAt && { committed_at: committedAt }) },
    deployments,
    ...rest,
  };
}

export async function apply(plane: TestPlane, release: unknown, planHash?: string) {
  return call(plane, "POST", "/flowyard/releases", { candidate: release, plan_hash: planHash });
}

export async function plan(plane: TestPlane, release: unknown) {
  const { status, body } = await call(plane, "POST", "/flowyard/releases/plan", release);
  assert.equal(status, 200, JSON.stringify(body));
  return body;
}

export async function read(plane: TestPlane, name: string) {
  return (await call(plane, "GET", `/deployments/name/${name}`)).body;
}

export async function buildPlane() {
  const plane = await buildTestPlane();
  await createPool(plane);
  return plane;
}

/** Applies what must be accepted. */
export async function applied(plane: TestPlane, release: unknown) {
  const { status, body } = await apply(plane, release);
  assert.ok(status === 200 || status === 201, JSON.stringify(body));
  return body;
}

export function listActions(changes: { action: string; deployment: string }[]): string[] {
  return changes.map(({ action, deployment }) => `${action} ${deployment}`);
}
