import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { buildTestPlane, type TestPlane } from "../support/build-test-plane.ts";
import { call } from "./call.ts";
import { create, createDeployment, createPool, createRun, PARAMETER_SCHEMA, UNKNOWN_ID } from "./resources.ts";

async function read(plane: TestPlane, id: string) {
  return (await call(plane, "GET", `/deployments/${id}`)).body;
}

test("a new deployment is answered whole, in Prefect's order", async () => {
  await using plane = await buildTestPlane();

  const deployment = await createDeployment(plane);

  assert.deepEqual(Object.keys(deployment), [
    "id",
    "created",
    "updated",
    "name",
    "version",
    "description",
    "flow_id",
    "paused",
    "schedules",
    "concurrency_limit",
    "global_concurrency_limit",
    "concurrency_options",
    "job_variables",
    "parameters",
    "tags",
    "labels",
    "work_queue_name",
    "work_queue_id",
    "last_polled",
    "parameter_openapi_schema",
    "path",
    "pull_steps",
    "entrypoint",
    "storage_document_id",
    "infrastructure_document_id",
    "created_by",
    "updated_by",
    "work_pool_name",
    "status",
    "enforce_parameter_schema",
  ]);
  assert.deepEqual(
    [deployment.work_pool_name, deployment.work_queue_name, deployment.status, deployment.paused],
    ["pool", "default", "NOT_READY", false],
  );
  assert.deepEqual(deployment.labels, { "prefect.flow.id": deployment.flow_id });
  assert.deepEqual((await call(plane, "GET", "/deployments/name/etl/nightly")).body, deployment);
});

test("the same flow and name is the same deployment: what is given changes, what is not stays", async () => {
  await using plane = await buildTestPlane();
  const first = await createDeployment(plane, { description: "old", version: "1" });

  const { status, body: second } = await call(plane, "POST", "/deployments/", {
    name: "nightly",
    flow_id: first.flow_id,
    version: "2",
  });

  assert.equal(status, 200);
  assert.deepEqual(
    [second.id, second.version, second.description, second.work_pool_name],
    [first.id, "2", "old", "pool"],
  );
});

test("a queue that the deployment names is made when it is missing", async () => {
  await using plane = await buildTestPlane();

  const deployment = await createDeployment(plane, { work_queue_name: "fresh" });

  const queue = (await call(plane, "GET", "/work_pools/pool/queues/fresh")).body;
  assert.deepEqual([deployment.work_queue_id, deployment.work_queue_name], [queue.id, "fresh"]);
});

describe("a deployment is refused", () => {
  const cases = [
    {
      name: "for an unknown pool",
      body: { work_pool_name: "nope" },
      status: 404,
      text: /Work pool \\"nope\\" not found/,
    },
    { name: "for an unknown flow", body: { flow_id: UNKNOWN_ID }, status: 409, text: /constraint/ },
    {
      name: "for job variables that the pool's template refuses",
      body: { job_variables: { cpu: "many" } },
      status: 422,
      text: /Error creating deployment: .*'cpu'/,
    },
    {
      name: "for parameters that its own schema refuses",
      body: { enforce_parameter_schema: true, parameters: { stars: "many" } },
      status: 422,
      text: /'stars'.*'many'/,
    },
    {
      name: "for two schedules with one slug",
      body: { schedules: [1, 2].map(() => ({ schedule: { cron: "0 9 * * *" }, slug: "a" })) },
      status: 409,
      text: /unique/,
    },
    {
      name: "for a cron of nonsense",
      body: { schedules: [{ schedule: { cron: "every day" } }] },
      status: 422,
      text: /./,
    },
    {
      name: "for a cron out of range",
      body: { schedules: [{ schedule: { cron: "99 * * * *" } }] },
      status: 422,
      text: /99/,
    },
    {
      name: "for a timezone that does not exist",
      body: { schedules: [{ schedule: { cron: "0 9 * * *", timezone: "Mars/Base" } }] },
      status: 422,
      text: /Mars/,
    },
    {
      name: "for both kinds of concurrency limit",
      body: { concurrency_limit: 1, global_concurrency_limit_id: UNKNOWN_ID },
      status: 422,
      text: /both/,
    },
    { name: "for a key that Prefect does not know", body: { colour: "red" }, status: 422, text: /colour/ },
  ];
  for (const { name, body, status, text } of cases) {
    test(name, async () => {
      await using plane = await buildTestPlane();
      await createPool(plane);
      const flow = await create(plane, "/flows/", { name: "etl" });

      const answer = await call(plane, "POST", "/deployments/", {
        name: "nightly",
        flow_id: flow.id,
        work_pool_name: "pool",
        parameter_openapi_schema: PARAMETER_SCHEMA,
        ...body,
      });

      assert.equal(answer.status, status, JSON.stringify(answer.body));
      assert.match(JSON.stringify(answer.body), text);
      assert.deepEqual((await call(plane, "POST", "/deployments/filter", {})).body, []);
    });
  }
});

describe("a change", () => {
  test("touches the keys that are there and nothing else", async () => {
    await using plane = await buildTestPlane();
    const before = await createDeployment(plane, { description: "d", entrypoint: "a.py:f" });

    assert.equal((await call(plane, "PATCH", `/deployments/${before.id}`, { version: "7" })).status, 204);

    const { updated, version, ...after } = await read(plane, before.id);
    assert.equal(version, "7");
    assert.deepEqual({ ...before, ...after }, before);
  });

  test("of parameters is checked against the schema, given or kept", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createDeployment(plane);
    const patch = (body: unknown) => call(plane, "PATCH", `/deployments/${id}`, body);

    const wrong = await patch({ parameters: { stars: "many" } });
    assert.equal(wrong.status, 409);
    assert.match(wrong.body.detail, /^Error updating deployment: Validation failed for field 'stars'\./);
    assert.equal((await patch({ parameters: {} })).status, 204);
    assert.equal((await patch({ parameters: { stars: "many" }, enforce_parameter_schema: false })).status, 204);
    assert.deepEqual((await read(plane, id)).parameters, { stars: "many" });
  });

  test("of job variables alone always passes, and the next run is refused", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createDeployment(plane);

    assert.equal((await call(plane, "PATCH", `/deployments/${id}`, { job_variables: { cpu: "many" } })).status, 204);

    const run = await call(plane, "POST", `/deployments/${id}/create_flow_run`, {});
    assert.equal(run.status, 422);
    assert.match(run.body.detail, /^Error creating flow run: /);
  });

  test("of an empty map empties the job variables", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createDeployment(plane);

    await call(plane, "PATCH", `/deployments/${id}`, { job_variables: {} });

    assert.deepEqual((await read(plane, id)).job_variables, {});
  });

  test("of the pool moves the deployment to that pool's default queue, and null to none", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createDeployment(plane, { work_queue_name: "fresh" });
    await createPool(plane, "other");
    const patch = (body: unknown) => call(plane, "PATCH", `/deployments/${id}`, body);

    await patch({ work_pool_name: "other", work_queue_name: null });
    assert.deepEqual(
      [(await read(plane, id)).work_pool_name, (await read(plane, id)).work_queue_name],
      ["other", "default"],
    );
    await patch({ work_pool_name: null });
    assert.equal((await read(plane, id)).work_pool_name, null);
    assert.equal((await patch({ work_pool_name: "nope" })).status, 404);
  });

  test("of an unknown deployment is 404", async () => {
    await using plane = await buildTestPlane();

    assert.equal((await call(plane, "PATCH", `/deployments/${UNKNOWN_ID}`, {})).status, 404);
    assert.equal((await call(plane, "DELETE", `/deployments/${UNKNOWN_ID}`)).status, 404);
    assert.equal((await call(plane, "GET", "/deployments/name/etl/nightly")).body.detail, "Deployment not found");
  });
});

test("concurrency_limit is kept as a limit of its own: made, changed and taken away", async () => {
  await using plane = await buildTestPlane();
  const options = { collision_strategy: "CANCEL_NEW", grace_period_seconds: 90 };
  const { id } = await createDeployment(plane, { concurrency_limit: 2, concurrency_options: options });

  const limited = await read(plane, id);
  assert.equal(limited.concurrency_limit, null);
  assert.deepEqual(
    [limited.global_concurrency_limit.name, limited.global_concurrency_limit.limit, limited.concurrency_options],
    [`deployment:${id}`, 2, options],
  );

  await call(plane, "PATCH", `/deployments/${id}`, { concurrency_limit: 5 });
  const changed = await read(plane, id);
  assert.deepEqual(
    [changed.global_concurrency_limit.id, changed.global_concurrency_limit.limit],
    [limited.global_concurrency_limit.id, 5],
  );

  await call(plane, "PATCH", `/deployments/${id}`, { concurrency_limit: null });
  assert.equal((await read(plane, id)).global_concurrency_limit, null);
  assert.equal((await call(plane, "GET", `/v2/concurrency_limits/deployment:${id}`)).status, 404);
});

describe("schedules", () => {
  const cron = (hour: number, more: Record<string, unknown> = {}) => ({
    schedule: { cron: `0 ${hour} * * *` },
    ...more,
  });
  const listCrons = async (plane: TestPlane, id: string): Promise<[string, string][]> => {
    const { body } = await call(plane, "GET", `/deployments/${id}/schedules`);
    return body
      .map((each: { slug: string; schedule: { cron: string } }) => [each.slug, each.schedule.cron])
      .sort((one: string[], other: string[]) => String(one).localeCompare(String(other)));
  };

  test("with slugs are merged by slug; others stay, and replaces renames", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createDeployment(plane, { schedules: [cron(1, { slug: "a" }), cron(2, { slug: "b" })] });

    await call(plane, "PATCH", `/deployments/${id}`, { schedules: [cron(7, { slug: "b" }), cron(3, { slug: "c" })] });
    assert.deepEqual(await listCrons(plane, id), [
      ["a", "0 1 * * *"],
      ["b", "0 7 * * *"],
      ["c", "0 3 * * *"],
    ]);

    await call(plane, "PATCH", `/deployments/${id}`, {
      schedules: [cron(1, { slug: "b", replaces: "a" }), cron(7, { slug: "a", replaces: "b" })],
    });
    assert.deepEqual(await listCrons(plane, id), [
      ["a", "0 7 * * *"],
      ["b", "0 1 * * *"],
      ["c", "0 3 * * *"],
    ]);

    await call(plane, "PATCH", `/deployments/${id}`, { schedules: [] });
    assert.equal((await listCrons(plane, id)).length, 3);
  });

  test("without slugs are replaced as a whole", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createDeployment(plane, { schedules: [cron(1), cron(2)] });

    await call(plane, "PATCH", `/deployments/${id}`, { schedules: [cron(3)] });
    assert.deepEqual(await listCrons(plane, id), [[null, "0 3 * * *"]]);
    await call(plane, "PATCH", `/deployments/${id}`, { schedules: [] });
    assert.deepEqual(await listCrons(plane, id), []);
    await call(plane, "PATCH", `/deployments/${id}`, { description: "kept" });
  });

  test("that lack a slug among slugged ones are refused, and nothing changes", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createDeployment(plane, { schedules: [cron(1, { slug: "a" })] });
    const patch = (schedules: unknown[]) => call(plane, "PATCH", `/deployments/${id}`, { schedules, version: "9" });

    assert.equal((await patch([cron(2)])).status, 422);
    assert.equal((await patch([cron(2, { slug: "a", replaces: "zz" })])).status, 422);
    assert.equal((await patch(["x", "y"].map((slug) => cron(2, { slug, replaces: "a" })))).status, 422);
    assert.deepEqual(await listCrons(plane, id), [["a", "0 1 * * *"]]);
    assert.equal((await read(plane, id)).version, null);
  });

  test("are added, changed and removed one by one", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createDeployment(plane);
    const path = `/deployments/${id}/schedules`;

    const [made] = await create(plane, path, [
      { schedule: { interval: 3600 }, slug: "hourly", parameters: { stars: 2 } },
    ]);
    assert.deepEqual(Object.keys(made), [
      "id",
      "created",
      "updated",
      "deployment_id",
      "schedule",
      "active",
      "max_scheduled_runs",
      "parameters",
      "slug",
    ]);
    assert.deepEqual([made.schedule.interval, made.schedule.timezone, made.active], [3600, "UTC", true]);
    assert.equal(made.schedule.anchor_date, made.created);
    assert.equal((await call(plane, "POST", path, [cron(1, { slug: "hourly" })])).status, 409);

    assert.equal((await call(plane, "PATCH", `${path}/${made.id}`, { active: false })).status, 204);
    const [paused] = (await call(plane, "GET", path)).body;
    assert.deepEqual([paused.active, paused.schedule], [false, made.schedule]);

    assert.equal((await call(plane, "DELETE", `${path}/${made.id}`)).status, 204);
    assert.equal((await call(plane, "DELETE", `${path}/${made.id}`)).status, 404);
    assert.equal((await call(plane, "PATCH", `${path}/${made.id}`, { active: true })).status, 404);
    assert.equal((await call(plane, "GET", `/deployments/${UNKNOWN_ID}/schedules`)).status, 404);
  });
});

test("a deployment is paused and resumed", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createDeployment(plane);

  const paused = await call(plane, "POST", `/deployments/${id}/pause_deployment`);
  assert.deepEqual([paused.status, paused.body, (await read(plane, id)).paused], [200, null, true]);
  await call(plane, "POST", `/deployments/${id}/resume_deployment`);
  assert.equal((await read(plane, id)).paused, false);
  assert.equal((await call(plane, "POST", `/deployments/${UNKNOWN_ID}/pause_deployment`)).status, 404);
});

test("a deleted deployment takes its waiting runs and its limit with it, and leaves the others", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createDeployment(plane, { concurrency_limit: 1 });
  const waiting = await createRun(plane, id);
  const started = await createRun(plane, id);
  await call(plane, "POST", `/flow_runs/${started.id}/set_state`, { state: { type: "PENDING" } });

  assert.equal((await call(plane, "DELETE", `/deployments/${id}`)).status, 204);

  assert.equal((await call(plane, "GET", `/flow_runs/${waiting.id}`)).status, 404);
  assert.equal((await call(plane, "GET", `/flow_runs/${started.id}`)).body.deployment_id, id);
  assert.equal((await call(plane, "GET", `/v2/concurrency_limits/deployment:${id}`)).status, 404);
});

test("deployments are found by their pool, flow, tags and limit", async () => {
  await using plane = await buildTestPlane();
  await createDeployment(plane, { name: "a", concurrency_limit: 3 });
  await createDeployment(plane, { name: "b", tags: ["team-b"], paused: true });
  const list = async (filter: unknown) =>
    (await call(plane, "POST", "/deployments/filter", filter)).body.map((each: { name: string }) => each.name);

  assert.deepEqual(await list({}), ["a", "b"]);
  assert.deepEqual(await list({ deployments: { tags: { all_: ["team-b"] } } }), ["b"]);
  assert.deepEqual(await list({ deployments: { paused: { eq_: false } } }), ["a"]);
  assert.deepEqual(await list({ deployments: { concurrency_limit: { ge_: 2 } } }), ["a"]);
  assert.deepEqual(await list({ deployments: { flow_or_deployment_name: { like_: "ET" } } }), ["a", "b"]);
  assert.deepEqual(await list({ work_pools: { name: { any_: ["pool"] } }, sort: "NAME_DESC" }), ["b", "a"]);
  assert.deepEqual(await list({ flows: { name: { any_: ["other"] } } }), []);
  assert.equal((await call(plane, "POST", "/deployments/count", {})).body, 2);
  assert.equal((await call(plane, "POST", "/deployments/paginate", { limit: 1 })).body.pages, 2);
});
