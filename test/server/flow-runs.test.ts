import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { buildTestPlane } from "../support/build-test-plane.ts";
import { call } from "./call.ts";
import { create, createDeployment, createPool, createRun, UNKNOWN_ID } from "./resources.ts";

const FLOW_RUN_KEYS = [
  "id",
  "created",
  "updated",
  "name",
  "flow_id",
  "state_id",
  "deployment_id",
  "deployment_version",
  "work_queue_id",
  "work_queue_name",
  "flow_version",
  "parameters",
  "idempotency_key",
  "context",
  "empirical_policy",
  "tags",
  "labels",
  "parent_task_run_id",
  "state_type",
  "state_name",
  "run_count",
  "expected_start_time",
  "next_scheduled_start_time",
  "start_time",
  "end_time",
  "total_run_time",
  "estimated_run_time",
  "estimated_start_time_delta",
  "auto_scheduled",
  "infrastructure_document_id",
  "infrastructure_pid",
  "created_by",
  "work_pool_id",
  "work_pool_name",
  "state",
  "job_variables",
];

describe("a run of a deployment", () => {
  test("takes over what the deployment has, and is answered as it is read", async () => {
    await using plane = await buildTestPlane();
    const deployment = await createDeployment(plane, { version: "3" });

    const run = await createRun(plane, deployment.id, { parameters: { note: "n" }, tags: ["extra"], labels: { a: 1 } });

    assert.deepEqual(Object.keys(run), FLOW_RUN_KEYS);
    assert.deepEqual(run.parameters, { stars: 1, note: "n" });
    assert.deepEqual(run.tags, ["team-a", "extra"]);
    assert.deepEqual(run.labels, {
      a: 1,
      "prefect.flow.id": deployment.flow_id,
      "prefect.deployment.id": deployment.id,
    });
    assert.deepEqual(
      [run.deployment_version, run.work_queue_name, run.work_pool_name, run.work_queue_id],
      ["3", "default", "pool", deployment.work_queue_id],
    );
    assert.deepEqual([run.state_type, run.state.name, run.run_count], ["SCHEDULED", "Scheduled", 0]);
    assert.equal(run.state.state_details.flow_run_id, run.id);
    assert.equal(run.next_scheduled_start_time, run.state.state_details.scheduled_time);
    assert.match(run.name, /^[a-z]+(-[a-z]+)+$/);
    assert.deepEqual((await call(plane, "GET", `/flow_runs/${run.id}`)).body, run);
  });

  test("starts when it is told to, in each way that clients write a time", async () => {
    await using plane = await buildTestPlane();
    const deployment = await createDeployment(plane);

    for (const time of [
      "2030-01-02T03:04:05.5Z",
      "2030-01-02 03:04:05.500000+00:00",
      "2030-01-02T03:04:05.5",
      1893553445.5,
    ]) {
      const state = { type: "SCHEDULED", state_details: { scheduled_time: time } };
      const run = await createRun(plane, deployment.id, { state });
      assert.equal(run.next_scheduled_start_time, "2030-01-02T03:04:05.500000Z", String(time));
    }
  });

  test("is made once for one idempotency key", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createDeployment(plane);

    const first = await createRun(plane, id, { idempotency_key: "k" });
    const second = await call(plane, "POST", `/deployments/${id}/create_flow_run`, { idempotency_key: "k" });

    assert.deepEqual([second.status, second.body.id], [200, first.id]);
    assert.equal((await call(plane, "POST", "/flow_runs/count", {})).body, 1);
  });

  test("announces itself with an event that names everything around it", async () => {
    await using plane = await buildTestPlane();
    const deployment = await createDeployment(plane);
    const seen: string[] = [];
    plane.bus.subscribeToEvents((event) =>
      seen.push(event.event, ...event.related.map((each) => String(each["prefect.resource.role"]))),
    );

    await createRun(plane, deployment.id);

    assert.deepEqual(seen, ["prefect.flow-run.Scheduled", "flow", "deployment", "work-queue", "work-pool", "tag"]);
  });

  test("can name another queue of the pool, which is made when it is missing", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createDeployment(plane);

    const run = await createRun(plane, id, { work_queue_name: "express" });

    assert.deepEqual([run.work_queue_name, run.work_pool_name], ["express", "pool"]);
    assert.equal((await call(plane, "GET", "/work_pools/pool/queues/express")).body.id, run.work_queue_id);
  });

  const refusals = [
    {
      name: "parameters that do not fit",
      body: { parameters: { stars: "many" } },
      status: 409,
      text: "Error creating flow run: Validation failed for field 'stars'. Failure reason: 'many' is not of type 'integer'",
    },
    {
      name: "job variables that do not fit",
      body: { job_variables: { cpu: "many" } },
      status: 422,
      text: "Error creating flow run: Validation failed for field 'cpu'. Failure reason: 'many' is not valid under any of the given schemas",
    },
    {
      name: "a template without its value",
      body: { parameters: { note: { __prefect_kind: "none" } } },
      status: 400,
      text: "Error hydrating flow run parameters: Missing 'value' key in __prefect object",
    },
    {
      name: "an unknown variable",
      body: { parameters: { note: { __prefect_kind: "workspace_variable", variable_name: "v" } } },
      status: 400,
      text: "Error hydrating flow run parameters: Variable 'v' not found in workspace.",
    },
  ];
  for (const { name, body, status, text } of refusals) {
    test(`is refused for ${name}`, async () => {
      await using plane = await buildTestPlane();
      const { id } = await createDeployment(plane);

      const answer = await call(plane, "POST", `/deployments/${id}/create_flow_run`, body);

      assert.deepEqual([answer.status, answer.body.detail], [status, text]);
      assert.equal((await call(plane, "POST", "/flow_runs/count", {})).body, 0);
    });
  }

  test("is refused when a required parameter or job variable is missing everywhere", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createDeployment(plane, { parameters: {} });

    const noStars = await call(plane, "POST", `/deployments/${id}/create_flow_run`, {});
    assert.deepEqual([noStars.status, noStars.body.detail.endsWith("'stars' is a required property")], [409, true]);
    await call(plane, "PATCH", `/deployments/${id}`, { job_variables: {} });
    const noImage = await call(plane, "POST", `/deployments/${id}/create_flow_run`, { parameters: { stars: 1 } });
    assert.deepEqual([noImage.status, noImage.body.detail.endsWith("'image' is a required property")], [422, true]);
    assert.equal(
      (await createRun(plane, id, { parameters: { stars: 1 }, job_variables: { image: "x" } })).job_variables.image,
      "x",
    );
  });

  test("can leave the schema aside when it says so", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createDeployment(plane);

    const run = await createRun(plane, id, { parameters: { stars: "many" }, enforce_parameter_schema: false });

    assert.equal(run.parameters.stars, "many");
  });

  test("has its templates filled before the parameters are checked", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createDeployment(plane);
    await create(plane, "/variables/", { name: "how_many", value: 7 });

    const run = await createRun(plane, id, {
      parameters: {
        stars: { __prefect_kind: "workspace_variable", variable_name: "how_many" },
        note: { __prefect_kind: "json", value: '"text"' },
      },
    });

    assert.deepEqual(run.parameters, { stars: 7, note: "text" });
  });

  test("follows a changed schema and a changed pool at once", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createDeployment(plane);
    await createRun(plane, id);
    plane.moveClock(1);

    await call(plane, "PATCH", `/deployments/${id}`, {
      parameter_openapi_schema: { type: "object", properties: {}, required: ["new"] },
    });
    assert.equal((await call(plane, "POST", `/deployments/${id}/create_flow_run`, {})).status, 409);
    await call(plane, "PATCH", `/deployments/${id}`, { parameter_openapi_schema: {} });
    plane.moveClock(1);
    await call(plane, "PATCH", "/work_pools/pool", {
      base_job_template: {
        job_configuration: { a: "{{ a }}" },
        variables: { properties: { a: { type: "string" } }, required: ["a"] },
      },
    });
    assert.equal((await call(plane, "POST", `/deployments/${id}/create_flow_run`, {})).status, 422);
  });

  test("of an unknown deployment is 404", async () => {
    await using plane = await buildTestPlane();

    const { status, body } = await call(plane, "POST", `/deployments/${UNKNOWN_ID}/create_flow_run`, {});

    assert.deepEqual([status, body.detail], [404, "Deployment not found"]);
  });
});

describe("a run of a flow", () => {
  test("is PENDING and has no pool, unless it says otherwise", async () => {
    await using plane = await buildTestPlane();
    const flow = await create(plane, "/flows/", { name: "f" });
    await createPool(plane);

    const run = await create(plane, "/flow_runs/", { flow_id: flow.id, name: "r" });
    assert.deepEqual(Object.keys(run), FLOW_RUN_KEYS);
    assert.deepEqual(
      [run.state_type, run.work_pool_name, run.labels],
      ["PENDING", null, { "prefect.flow.id": flow.id }],
    );
    const queued = await create(plane, "/flow_runs/", {
      flow_id: flow.id,
      work_pool_name: "pool",
      state: { type: "SCHEDULED" },
    });
    assert.deepEqual([queued.work_pool_name, queued.work_queue_name], ["pool", "default"]);
    assert.equal((await call(plane, "POST", "/flow_runs/", { flow_id: flow.id, work_pool_name: "nope" })).status, 404);
    assert.equal((await call(plane, "POST", "/flow_runs/", { flow_id: UNKNOWN_ID })).status, 409);
  });
});

describe("changes of a run", () => {
  test("touch the keys that are there; labels are merged", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createRun(plane, (await createDeployment(plane)).id, { name: "old" });
    const read = async () => (await call(plane, "GET", `/flow_runs/${id}`)).body;

    await call(plane, "PATCH", `/flow_runs/${id}`, {
      infrastructure_pid: "docker:1",
      empirical_policy: { retries: 2 },
    });
    assert.deepEqual([(await read()).name, (await read()).infrastructure_pid], ["old", "docker:1"]);
    assert.deepEqual((await read()).empirical_policy, {
      max_retries: 0,
      retry_delay_seconds: 0,
      retries: 2,
      retry_delay: null,
      pause_keys: [],
      resuming: false,
      retry_type: null,
    });
    assert.equal((await call(plane, "PATCH", `/flow_runs/${id}/labels`, { "prefect.worker.name": "w" })).status, 204);
    assert.equal((await read()).labels["prefect.worker.name"], "w");
    assert.ok((await read()).labels["prefect.deployment.id"]);
  });

  test("of job variables are checked, and too late once it has started", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createRun(plane, (await createDeployment(plane)).id);
    const patch = (variables: unknown) => call(plane, "PATCH", `/flow_runs/${id}`, { job_variables: variables });

    assert.equal((await patch({ cpu: "many" })).status, 422);
    assert.equal((await patch({ cpu: 2 })).status, 204);
    await call(plane, "POST", `/flow_runs/${id}/set_state`, { state: { type: "PENDING" } });
    assert.equal((await patch({ cpu: 3 })).status, 409);
  });

  test("of an unknown run are 404", async () => {
    await using plane = await buildTestPlane();

    assert.equal((await call(plane, "GET", `/flow_runs/${UNKNOWN_ID}`)).body.detail, "Flow run not found");
    assert.equal((await call(plane, "PATCH", `/flow_runs/${UNKNOWN_ID}`, { name: "x" })).status, 404);
    assert.equal((await call(plane, "DELETE", `/flow_runs/${UNKNOWN_ID}`)).status, 404);
    const labels = await call(plane, "PATCH", `/flow_runs/${UNKNOWN_ID}/labels`, {});
    assert.deepEqual([labels.status, typeof labels.body.exception_message], [404, "string"]);
  });

  test("end with its removal", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createRun(plane, (await createDeployment(plane)).id);

    assert.equal((await call(plane, "DELETE", `/flow_runs/${id}`)).status, 204);
    assert.equal((await call(plane, "GET", `/flow_runs/${id}`)).status, 404);
    assert.deepEqual((await call(plane, "GET", `/flow_run_states/?flow_run_id=${id}`)).body, []);
  });
});

test("runs are filtered, counted and paged across flows, deployments, pools and queues", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createDeployment(plane);
  await createRun(plane, id, { name: "a" });
  await createRun(plane, id, { name: "b", work_queue_name: "express" });
  const list = async (filter: unknown) =>
    (await call(plane, "POST", "/flow_runs/filter", filter)).body.map((run: { name: string }) => run.name).sort();

  assert.deepEqual(await list({ deployments: { id: { any_: [id] } }, work_pools: { name: { any_: ["pool"] } } }), [
    "a",
    "b",
  ]);
  assert.deepEqual(await list({ work_pool_queues: { name: { any_: ["express"] } } }), ["b"]);
  assert.deepEqual(await list({ flow_runs: { work_queue_name: { any_: ["default"] } } }), ["a"]);
  assert.deepEqual(await list({ flows: { name: { like_: "ET" } }, limit: 1, sort: "NAME_DESC" }), ["b"]);
  assert.equal((await call(plane, "POST", "/flow_runs/count", { flow_runs: { name: { any_: ["a"] } } })).body, 1);
  const page = (await call(plane, "POST", "/flow_runs/paginate", { limit: 1, page: 2, sort: "NAME_ASC" })).body;
  assert.deepEqual([page.results[0].name, page.count, page.pages], ["b", 2, 2]);
  assert.equal((await call(plane, "POST", "/flow_runs/filter", { flow_runs: { nope: {} } })).status, 422);
});

describe("inputs of a run", () => {
  test("are written once per key, read as they were sent, listed by prefix and removed", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createRun(plane, (await createDeployment(plane)).id);
    const path = `/flow_runs/${id}/input`;

    await create(plane, path, { key: "q-1", value: '{"a":1}', sender: "me" });
    await create(plane, path, { key: "q-2", value: "2" });
    await create(plane, path, { key: "other", value: "3" });
    assert.equal((await call(plane, "POST", path, { key: "q-1", value: "x" })).status, 409);
    assert.equal((await plane.app.inject({ method: "GET", url: `/api${path}/q-1` })).payload, '{"a":1}');
    const listed = (await call(plane, "POST", `${path}/filter`, { prefix: "q-", exclude_keys: ["q-2"] })).body;
    assert.deepEqual(
      listed.map((input: { key: string; sender: string }) => [input.key, input.sender]),
      [["q-1", "me"]],
    );
    assert.equal((await call(plane, "DELETE", `${path}/q-1`)).status, 204);
    assert.equal((await call(plane, "DELETE", `${path}/q-1`)).status, 404);
    assert.equal((await call(plane, "POST", `/flow_runs/${UNKNOWN_ID}/input`, { key: "k", value: "v" })).status, 404);
  });
});
