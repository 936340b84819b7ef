import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { createPrefectClient } from "../../src/client/prefect-client.ts";
import { hasCode } from "../../src/shared/errors.ts";
import { buildTestPlane } from "../support/build-test-plane.ts";

const scope = { repository: "acme/etl", project_path: ".", environment: "production" };

function buildCandidate(version: string, deployment: Record<string, unknown> = {}) {
  return {
    scope,
    source: { event: "cli" },
    deployments: [{ flow_name: "etl", deployment: { name: "nightly", version, ...deployment } }],
  };
}

async function listen() {
  const plane = await buildTestPlane();
  const address = await plane.app.listen({ host: "127.0.0.1", port: 0 });
  return { plane, client: createPrefectClient({ apiUrl: `${address}/api` }) };
}

test("plan, apply, look, go back: every answer is read by its schema", async () => {
  const { plane, client } = await listen();
  await using _ = plane;
  const { releases } = client;

  const planned = await releases.plan(buildCandidate("1"));
  const first = await releases.apply({ candidate: buildCandidate("1"), plan_hash: planned.plan_hash });
  const second = await releases.apply({ candidate: buildCandidate("2") });
  const back = await releases.rollBack({ scope, source: { event: "cli" } });
  const list = await releases.list({ scope });

  assert.ok((await releases.findCapabilities())?.features.includes("releases"));
  assert.deepEqual([first.outcome, second.outcome, back.outcome], ["applied", "applied", "applied"]);
  assert.deepEqual(
    list.map(({ number }) => number),
    [3, 2, 1],
  );
  const [last] = list;
  assert.ok(last !== undefined);
  assert.deepEqual(await releases.find(last.id), last);
  assert.equal((await releases.diff(last.id, list[2]?.id)).changes.length, 0);
  assert.deepEqual(
    (await releases.diff(last.id)).changes.map(({ action }) => action),
    ["update"],
  );
  assert.deepEqual((await releases.findDrift(scope)).changes, []);
  assert.equal((await releases.planRollback({ scope, to: "2", source: { event: "cli" } })).changes.length, 1);
});

test("a refusal is a result with its code and the plan as it is now", async () => {
  const { plane, client } = await listen();
  await using _ = plane;

  const result = await client.releases.apply({ candidate: buildCandidate("1"), plan_hash: "old" });

  assert.ok(result.outcome === "refused");
  assert.deepEqual([result.code, result.plan.changes.length], ["PLAN_CHANGED", 1]);
});

test("a release that does not fit the plane is an error that names what does not", async () => {
  const { plane, client } = await listen();
  await using _ = plane;

  const wrong = client.releases.apply({ candidate: buildCandidate("1", { work_pool_name: "nowhere" }) });

  await assert.rejects(
    wrong,
    (error) => hasCode(error, "PLANE_REFUSED") && /etl\/nightly.*nowhere/.test(String(error)),
  );
});

test("a server that knows no capabilities is stock Prefect", async () => {
  const server = createServer((_request, response) => response.writeHead(404).end('{"detail":"Not Found"}'));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" ? address?.port : undefined;

  const capabilities = await createPrefectClient({
    apiUrl: `http://127.0.0.1:${port}/api`,
  }).releases.findCapabilities();

  assert.equal(capabilities, undefined);
  server.close();
});
