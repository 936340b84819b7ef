import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { buildTestPlane, type TestPlane } from "../support/build-test-plane.ts";
import { listRoutes, type Route } from "../support/list-routes.ts";
import { buildBody, buildRandom, pick, type Random } from "./arbitrary-body.ts";
import { call } from "./call.ts";

const ROUNDS = 20;
const SEED = 20_261_124;

function fillPath(path: string, ids: readonly string[], random: Random): string {
  const names = ["a", "b-1", "default", "%00", "%F0%9F%92%A5", "__proto__", "..", "x%27%20or%201=1--"];
  return path.replaceAll(/:\w+/g, () => (random() < 0.7 ? pick(random, ids) : pick(random, names)));
}

/** Objects that some requests find, and others remove. */
async function makeObjects(plane: TestPlane): Promise<string[]> {
  const flow = await call(plane, "POST", "/flows/", { name: "a" });
  const pool = await call(plane, "POST", "/work_pools/", { name: "a", type: "process" });
  const body = { name: "a", flow_id: flow.body.id, work_pool_name: "a", schedules: [{ schedule: { interval: 60 } }] };
  const deployment = await call(plane, "POST", "/deployments/", body);
  const run = await call(plane, "POST", `/deployments/${deployment.body.id}/create_flow_run`, {});
  const taskRun = await call(plane, "POST", "/task_runs/", {
    task_key: "a",
    dynamic_key: "0",
    flow_run_id: run.body.id,
  });
  return [flow, pool, deployment, run, taskRun]
    .flatMap(({ body: made }) => [made?.id, made?.default_queue_id, made?.schedules?.[0]?.id])
    .filter((id) => typeof id === "string");
}

describe("every route", () => {
  let plane: TestPlane;
  let routes: Route[];

  before(async () => {
    plane = await buildTestPlane();
    routes = await listRoutes(plane);
  });
  after(() => plane[Symbol.asyncDispose]());

  test("is looked at here", () => {
    assert.ok(routes.length > 100, `${routes.length} routes`);
    assert.ok(routes.filter(({ body }) => body !== undefined).length > 60);
  });

  test("answers whatever it is sent, soon and never with a 5xx", async () => {
    const random = buildRandom(SEED);
    const answers = new Map<number, number>();
    for (let round = 0; round < ROUNDS; round += 1) {
      const ids = await makeObjects(plane);
      for (const { method, path, body } of routes) {
        const url = fillPath(path, ids, random);
        const sent = body === undefined ? undefined : JSON.stringify(fillIds(buildBody(body, random), ids, random));
        const asked = performance.now();

        const answer = await plane.app.inject({ method, url, ...(sent === undefined ? {} : { payload: sent }) });

        const what = `${method} ${url} ${sent} answered ${answer.statusCode} ${answer.payload.slice(0, 500)}`;
        assert.ok(answer.statusCode < 500, what);
        assert.ok(performance.now() - asked < 2000, `${what} after ${performance.now() - asked} ms`);
        answers.set(answer.statusCode, (answers.get(answer.statusCode) ?? 0) + 1);
      }
    }
    // Were all refused, nothing behind the parsers had been reached.
    assert.ok((answers.get(200) ?? 0) + (answers.get(201) ?? 0) + (answers.get(204) ?? 0) > 300, String([...answers]));
  });
});

/** Ids of nobody become those of objects, most of the time. */
function fillIds(body: unknown, ids: readonly string[], random: Random): unknown {
  return JSON.parse(
    (JSON.stringify(body) ?? "null").replaceAll(/00000000-0000-4000-8000-000000000000/g, (id) =>
      random() < 0.8 ? pick(random, ids) : id,
    ),
  );
}

test("no route but the probes answers without the credentials, whatever the method and the header", async () => {
  await using plane = await buildTestPlane({ authString: "admin:secret" });
  const routes = await listRoutes(plane);
  const headers = [
    undefined,
    "",
    "Basic",
    "Basic ",
    `Basic ${Buffer.from("admin:secret\u0000").toString("base64")}`,
    `Basic ${Buffer.from("admin").toString("base64")}`,
    "Bearer",
    "Bearer null",
    "admin:secret",
    `Basic ${"A".repeat(8000)}`,
  ];
  for (const { method, path } of [...routes, { method: "GET" as const, path: "/nothing" }]) {
    for (const authorization of headers) {
      const answer = await plane.app.inject({
        method,
        url: path.replaceAll(/:\w+/g, "00000000-0000-4000-8000-000000000000"),
        headers: authorization === undefined ? {} : { authorization },
      });

      const isProbe = method === "GET" && ["/api/health", "/api/ready"].includes(path.replace(/\/$/, ""));
      assert.equal(answer.statusCode, isProbe ? 200 : 401, `${method} ${path} ${authorization}`);
    }
  }
});
