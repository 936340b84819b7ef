import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { buildTestPlane, type TestPlane } from "../support/build-test-plane.ts";
import { call } from "./call.ts";
import { createDeployment, createRun, UNKNOWN_ID } from "./resources.ts";

async function createRuns(plane: TestPlane, ...names: string[]) {
  const deployment = await createDeployment(plane);
  const runs = [];
  for (const name of names) {
    runs.push(await createRun(plane, deployment.id, { name }));
  }
  return { deployment, runs };
}

describe("pages", () => {
  test("say how many pages and runs there are", async () => {
    await using plane = await buildTestPlane();
    await createRuns(plane, "a", "b", "c");

    const { body } = await call(plane, "POST", "/flow_runs/paginate", { sort: "NAME_ASC", limit: 2, page: 2 });

    const { results, ...numbers } = body;
    assert.deepEqual(numbers, { count: 3, limit: 2, pages: 2, page: 2 });
    assert.deepEqual(
      results.map(({ name }: { name: string }) => name),
      ["c"],
    );
  });

  test("beyond any number are empty", async () => {
    await using plane = await buildTestPlane();
    await createRuns(plane, "a");

    for (const path of ["flow_runs", "task_runs", "flows", "deployments"]) {
      const { status, body } = await call(plane, "POST", `/${path}/paginate`, { page: Number.MAX_SAFE_INTEGER });

      assert.equal(status, 200);
      assert.deepEqual(body.results, []);
    }
  });

  test("of an order that no index has end at an offset, which the answer names", async () => {
    await using plane = await buildTestPlane();

    const deep = await call(plane, "POST", "/task_runs/filter", { sort: "DURATION_DESC", offset: 10_001 });
    const listed = await call(plane, "POST", "/task_runs/filter", {
      sort: "DURATION_DESC",
      offset: 10_001,
      task_runs: { flow_run_id: { any_: [UNKNOWN_ID] } },
    });

    assert.equal(deep.status, 422);
    assert.match(deep.body.detail, /less than or equal to 10000/);
    assert.deepEqual([listed.status, listed.body], [200, []]);
  });
});

describe("history", () => {
  const time = { history_start: "2026-01-01T00:00:00Z", history_end: "2026-01-03T12:00:00Z" };

  test("counts runs by the interval that they were to start in, and by state", async () => {
    await using plane = await buildTestPlane();
    const { deployment } = await createRuns(plane);
    for (const [name, scheduled_time] of [
      ["first", "2026-01-01T00:00:00Z"],
      ["last", "2026-01-01T23:59:59.999999Z"],
      ["other", "2026-01-02T00:00:00Z"],
      ["outside", "2025-12-31T23:59:59Z"],
    ]) {
      await createRun(plane, deployment.id, { name, state: { type: "SCHEDULED", state_details: { scheduled_time } } });
    }

    const { body } = await call(plane, "POST", "/flow_runs/history", { ...time, history_interval_seconds: 86_400 });

    assert.deepEqual(
      body.map(({ interval_start, interval_end }: Record<string, string>) => [interval_start, interval_end]),
      [
        ["2026-01-01T00:00:00.000000Z", "2026-01-02T00:00:00.000000Z"],
        ["2026-01-02T00:00:00.000000Z", "2026-01-03T00:00:00.000000Z"],
        ["2026-01-03T00:00:00.000000Z", "2026-01-04T00:00:00.000000Z"],
      ],
    );
    assert.deepEqual(
      body.map(({ states }: { states: { count_runs: number }[] }) => states.map(({ count_runs: count }) => count)),
      [[2], [1], []],
    );
    assert.equal(body[0].states[0].state_type, "SCHEDULED");
  });

  test("of more than 500 intervals ends with the 500th", async () => {
    await using plane = await buildTestPlane();

    const { body } = await call(plane, "POST", "/flow_runs/history", { ...time, history_interval_seconds: 1 });

    assert.equal(body.length, 500);
  });

  test("of intervals below a second is refused in Prefect's words", async () => {
    await using plane = await buildTestPlane();

    const { status, body } = await call(plane, "POST", "/task_runs/history", {
      ...time,
      history_interval_seconds: 0.9,
    });

    assert.deepEqual([status, body.detail], [422, "History interval must not be less than 1 second."]);
  });
});

describe("lateness", () => {
  test("is the average of how late runs started, or are to start", async () => {
    await using plane = await buildTestPlane();
    const { deployment } = await createRuns(plane);
    for (const seconds of [60, 120]) {
      const scheduled_time = new Date(plane.now().getTime() - seconds * 1000).toISOString();
      await createRun(plane, deployment.id, { state: { type: "SCHEDULED", state_details: { scheduled_time } } });
    }

    assert.equal((await call(plane, "POST", "/flow_runs/lateness", {})).body, 90);
    assert.equal((await call(plane, "POST", "/flow_runs/lateness", { flows: { name: { any_: ["zz"] } } })).body, null);
  });
});

describe("latest artifacts", () => {
  test("are one of each key, the last", async () => {
    await using plane = await buildTestPlane();
    for (const [key, data] of [
      ["a", 1],
      ["a", 2],
      ["b", 3],
      [null, 4],
    ]) {
      await call(plane, "POST", "/artifacts/", { key, data });
    }

    const { body } = await call(plane, "POST", "/artifacts/latest/filter", { sort: "KEY_ASC" });

    assert.deepEqual(
      body.map(({ key, data }: Record<string, unknown>) => [key, data]),
      [
        ["a", 2],
        ["b", 3],
      ],
    );
    assert.equal((await call(plane, "POST", "/artifacts/latest/count", {})).body, 2);
    const only = { artifacts: { latest_id: { any_: [body[1].latest_id] } } };
    assert.equal((await call(plane, "POST", "/artifacts/latest/count", only)).body, 1);
  });
});

describe("changes in bulk", () => {
  test("remove up to the limit of what the filter matches", async () => {
    await using plane = await buildTestPlane();
    await createRuns(plane, "a1", "a2", "b");

    const named = { flow_runs: { name: { like_: "a" } } };
    const first = await call(plane, "POST", "/flow_runs/bulk_delete", { ...named, limit: 1 });
    const rest = await call(plane, "POST", "/flow_runs/bulk_delete", named);

    assert.deepEqual([first.body.deleted.length, rest.body.deleted.length], [1, 1]);
    assert.equal((await call(plane, "POST", "/flow_runs/count", {})).body, 1);
  });

  test("remove deployments with what waits for them, and flows with all they have", async () => {
    await using plane = await buildTestPlane();
    const { deployment } = await createRuns(plane, "a");

    const removed = await call(plane, "POST", "/deployments/bulk_delete", {
      deployments: { name: { any_: ["nightly"] } },
    });
    assert.deepEqual(removed.body, { deleted: [deployment.id] });
    assert.equal((await call(plane, "POST", "/flow_runs/count", {})).body, 0);

    const flows = await call(plane, "POST", "/flows/bulk_delete", {});
    assert.deepEqual(flows.body, { deleted: [deployment.flow_id] });
  });

  test("propose a state to each run, and say what each came to", async () => {
    await using plane = await buildTestPlane();
    const { runs } = await createRuns(plane, "a", "b");

    const { body } = await call(plane, "POST", "/flow_runs/bulk_set_state", { state: { type: "CANCELLED" } });

    assert.deepEqual(
      body.results.map(({ flow_run_id: id, status }: Record<string, string>) => [id, status]).sort(),
      runs.map(({ id }) => [id, "ACCEPT"]).sort(),
    );
  });

  test("make each run that can be made, and say why another cannot", async () => {
    await using plane = await buildTestPlane();
    const { deployment } = await createRuns(plane);
    const path = `/deployments/${deployment.id}/create_flow_run/bulk`;

    const { body } = await call(plane, "POST", path, [{ name: "good" }, { parameters: { stars: "many" } }]);

    assert.deepEqual(
      body.results.map(({ status }: { status: string }) => status),
      ["CREATED", "FAILED"],
    );
    assert.match(body.results[1].error, /stars/);
    const many = await call(plane, "POST", path, Array(101).fill({}));
    assert.deepEqual([many.status, many.body.code], [400, "TOO_MANY_FLOW_RUNS"]);
    assert.equal((await call(plane, "POST", `/deployments/${UNKNOWN_ID}/create_flow_run/bulk`, [])).status, 404);
  });
});

describe("filters with long lists", () => {
  const ids = (count: number) =>
    Array.from({ length: count }, (_, index) => `${UNKNOWN_ID.slice(0, 24)}${String(index).padStart(12, "0")}`);
  const filters: Record<string, (any_: string[]) => object> = {
    "flow_runs/filter": (any_) => ({ flow_runs: { id: { any_ } } }),
    "flow_runs/count": (any_) => ({ flow_runs: { deployment_id: { any_ }, name: { any_ } } }),
    "task_runs/filter": (any_) => ({ task_runs: { flow_run_id: { any_ } } }),
    "deployments/filter": (any_) => ({ deployments: { id: { not_any_: any_ } }, flows: { id: { any_ } } }),
    "logs/filter": (any_) => ({ logs: { flow_run_id: { any_ } } }),
    "artifacts/filter": (any_) => ({ artifacts: { id: { any_ } } }),
  };

  test("are answered up to 20,000 values", async () => {
    await using plane = await buildTestPlane();
    const { runs } = await createRuns(plane, "a");

    for (const [path, build] of Object.entries(filters)) {
      assert.equal((await call(plane, "POST", `/${path}`, build(ids(20_000)))).status, 200, path);
    }
    const any_ = [...ids(19_999), runs[0].id];
    assert.equal((await call(plane, "POST", "/flow_runs/filter", { flow_runs: { id: { any_ } } })).body.length, 1);
  });

  test("and beyond that are refused in a sentence", async () => {
    await using plane = await buildTestPlane();

    for (const [path, build] of Object.entries(filters)) {
      const { status, body } = await call(plane, "POST", `/${path}`, build(ids(20_001)));

      assert.equal(status, 422, path);
      assert.match(body.exception_detail[0].msg, /at most 20000 items: ask in several requests/);
    }
  });
});
