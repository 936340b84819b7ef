import assert from "node:assert/strict";
import { test } from "node:test";
import { buildTestPlane, type TestPlane } from "../support/build-test-plane.ts";
import { call } from "./call.ts";

interface Told {
  event: string;
  resource: Record<string, string>;
  payload: Record<string, unknown>;
}

async function listTold(plane: TestPlane, prefix: string): Promise<Told[]> {
  const filter = { event: { prefix: [prefix] }, order: "ASC" };
  return (await call(plane, "POST", "/events/filter", { filter, limit: 50 })).body.events;
}

const names = (told: readonly Told[]) =>
  told.map(({ event, resource }) => `${event} ${resource["prefect.resource.name"]}`);

async function createDeployment(plane: TestPlane, more: Record<string, unknown> = {}): Promise<string> {
  await call(plane, "POST", "/work_pools/", { name: "pool", type: "process" });
  const flow = await call(plane, "POST", "/flows/", { name: "hello" });
  const body = { name: "d", flow_id: flow.body.id, work_pool_name: "pool", ...more };
  return (await call(plane, "POST", "/deployments/", body)).body.id;
}

test("what is made, changed and removed is told once each, and a change of nothing is not told", async () => {
  await using plane = await buildTestPlane();
  const id = await createDeployment(plane, { description: "one" });
  await createDeployment(plane, { description: "one" });
  await call(plane, "PATCH", `/deployments/${id}`, { description: "two" });
  await call(plane, "PATCH", `/deployments/${id}`, { description: "two" });
  await call(plane, "DELETE", `/deployments/${id}`);
  await call(plane, "PATCH", "/work_pools/pool", { concurrency_limit: 3 });
  await call(plane, "DELETE", "/work_pools/pool");

  const told = await listTold(plane, "prefect.deployment.");
  assert.deepEqual(names(told), [
    "prefect.deployment.created d",
    "prefect.deployment.updated d",
    "prefect.deployment.deleted d",
  ]);
  assert.deepEqual(told[1]?.payload, {
    updated_fields: ["description"],
    updates: { description: { from: "one", to: "two" } },
  });
  assert.deepEqual(names(await listTold(plane, "prefect.flow.")), ["prefect.flow.created hello"]);
  assert.deepEqual(names(await listTold(plane, "prefect.work-pool.")), [
    "prefect.work-pool.created pool",
    "prefect.work-pool.updated pool",
    "prefect.work-pool.deleted pool",
  ]);
  assert.deepEqual(names(await listTold(plane, "prefect.work-queue.")), [
    "prefect.work-queue.created default",
    "prefect.work-queue.deleted default",
  ]);
});

test("values that may be secret are told as changed, not shown", async () => {
  await using plane = await buildTestPlane();
  const id = await createDeployment(plane, { job_variables: { image: "a", env: { DB: "hunter2" } } });
  await call(plane, "PATCH", `/deployments/${id}`, { job_variables: { image: "b", env: { DB: "hunter3" } } });

  const [, told] = await listTold(plane, "prefect.deployment.");
  assert.deepEqual(told?.payload["updates"], {
    infra_overrides: {
      from: { image: "a", env: { DB: "********" } },
      to: { image: "b", env: { DB: "********" } },
    },
  });
});

test("what is refused is not told", async () => {
  await using plane = await buildTestPlane();
  await call(plane, "POST", "/variables/", { name: "v", value: 1 });
  await call(plane, "POST", "/variables/", { name: "v", value: 2 });
  await call(plane, "PATCH", "/variables/name/nothing", { value: 2 });

  const told = await listTold(plane, "prefect.variable.");
  assert.deepEqual(names(told), ["prefect.variable.created v"]);
  assert.deepEqual(told[0]?.payload, { name: "v", value: 1, tags: [] });
});
