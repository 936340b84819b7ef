import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MAX_BODY_BYTES } from "../../src/server/errors.ts";
import { buildTestPlane } from "../support/build-test-plane.ts";
import { call } from "./call.ts";
import { UNKNOWN_ID } from "./resources.ts";

test("health, versions and settings are what Prefect's clients ask for", async () => {
  await using plane = await buildTestPlane();
  const read = async (path: string) => {
    const { status, body } = await call(plane, "GET", path);
    return [status, body];
  };

  assert.deepEqual(await read("/health"), [200, true]);
  assert.deepEqual(await read("/ready"), [200, { message: "OK" }]);
  assert.deepEqual(await read("/version"), [200, "0.8.4"]);
  assert.deepEqual(await read("/admin/version"), [200, "3.9.1"]);
  assert.deepEqual(await read("/csrf-token?client=x"), [422, { detail: "CSRF protection is disabled." }]);
  assert.deepEqual(await read("/admin/storage"), [200, { default_result_storage_block_id: null }]);
});

test("the default result storage is kept, and cleared", async () => {
  await using plane = await buildTestPlane();

  await call(plane, "PUT", "/admin/storage", { default_result_storage_block_id: UNKNOWN_ID });
  assert.deepEqual((await call(plane, "GET", "/admin/storage")).body, { default_result_storage_block_id: UNKNOWN_ID });

  assert.equal((await call(plane, "DELETE", "/admin/storage")).status, 204);
  assert.deepEqual((await call(plane, "GET", "/admin/storage")).body, { default_result_storage_block_id: null });
});

test("the collections view names every worker type with its template; another view is unknown", async () => {
  await using plane = await buildTestPlane();

  const { status, body } = await call(plane, "GET", "/collections/views/aggregate-worker-metadata");

  assert.equal(status, 200);
  assert.equal(body["prefect-docker"].docker.type, "docker");
  assert.deepEqual(Object.keys(body.prefect.process.default_base_job_configuration), [
    "job_configuration",
    "variables",
  ]);
  assert.equal((await call(plane, "GET", "/collections/views/others")).status, 404);
});

describe("paths", () => {
  test("every collection answers with and without a trailing slash", async () => {
    await using plane = await buildTestPlane();

    assert.equal((await call(plane, "POST", "/flows", { name: "one" })).status, 201);
    assert.equal((await call(plane, "POST", "/flows/", { name: "two" })).status, 201);
    assert.equal((await call(plane, "POST", "/flows/filter/", {})).status, 200);
    assert.equal((await call(plane, "GET", "/health/")).status, 200);
  });

  test("an unknown path and a malformed id are the same to a client", async () => {
    await using plane = await buildTestPlane();

    for (const path of ["/nothing", "/flows/abc", "/flow_runs/abc", "/deployments/abc/schedules"]) {
      const { status, body } = await call(plane, "GET", path);
      assert.deepEqual([status, body], [404, { detail: "Not Found", code: "NOT_FOUND" }], path);
    }
  });

  test("the worker channel is refused while it is still HTTP, so that workers fall back at once", async () => {
    await using plane = await buildTestPlane();

    const upgrade = plane.app.injectWS("/api/work_pools/pool/workers/connect", {
      headers: { "sec-websocket-protocol": "prefect" },
    });

    await assert.rejects(upgrade, /404/);
  });
});

describe("bodies", () => {
  test("JSON is read whatever the content type says", async () => {
    await using plane = await buildTestPlane();
    const post = (headers: Record<string, string>) =>
      plane.app.inject({ method: "POST", url: "/api/flows/", payload: Buffer.from('{"name":"f"}'), headers });

    assert.equal((await post({})).statusCode, 201);
    assert.equal((await post({ "content-type": "text/plain" })).statusCode, 200);
  });

  test("a body that is no JSON is named in the answer", async () => {
    await using plane = await buildTestPlane();

    const answer = await plane.app.inject({ method: "POST", url: "/api/flows/", payload: "name=f" });

    assert.equal(answer.statusCode, 422);
    assert.equal(answer.json().exception_message, "Invalid request received.");
    assert.match(answer.json().exception_detail[0].msg, /^JSON decode error: /);
  });

  test("no body at all is an empty one", async () => {
    await using plane = await buildTestPlane();

    assert.deepEqual((await call(plane, "POST", "/flows/filter")).body, []);
    assert.equal((await call(plane, "POST", "/flows/")).status, 422);
  });

  test("each wrong key is named with what is allowed, and the body is repeated", async () => {
    await using plane = await buildTestPlane();
    const body = { tags: "x", colour: "red" };

    const answer = await call(plane, "POST", "/flows/", body);

    assert.equal(answer.status, 422);
    assert.deepEqual(answer.body, {
      exception_message: "Invalid request received.",
      exception_detail: [
        { type: "missing", loc: ["body", "name"], msg: "Field required", input: body },
        { type: "list_type", loc: ["body", "tags"], msg: "Input should be a valid list", input: "x" },
        { type: "extra_forbidden", loc: ["body", "colour"], msg: "Extra inputs are not permitted", input: "red" },
      ],
      request_body: body,
      code: "INVALID_REQUEST",
    });
  });

  test("a long wrong body is not repeated, and of many problems the first are told", async () => {
    await using plane = await buildTestPlane();

    const { status, body } = await call(
      plane,
      "POST",
      "/logs/",
      Array.from({ length: 5000 }, () => ({ name: 1 })),
    );

    assert.equal(status, 422);
    assert.equal(body.exception_detail.length, 100);
    assert.ok(JSON.stringify(body).length < 20_000);
  });

  test("a body of 10 MB is refused with the limit in the message, and the plane goes on", async () => {
    await using plane = await buildTestPlane();
    const payload = JSON.stringify([{ name: "n", level: 20, message: "x".repeat(10_000_000), timestamp: 0 }]);

    const answer = await plane.app.inject({
      method: "POST",
      url: "/api/logs/",
      payload,
      headers: { "content-type": "application/json" },
    });

    assert.equal(answer.statusCode, 413);
    assert.equal(answer.json().code, "BODY_TOO_LARGE");
    assert.match(answer.json().detail, new RegExp(String(MAX_BODY_BYTES)));
    assert.equal((await call(plane, "GET", "/health")).status, 200);
  });

  test("keys that would reach into objects of the server are data like any other", async () => {
    await using plane = await buildTestPlane();

    const payload = '{"name":"f","labels":{"__proto__":"x","constructor":"y"}}';
    const answer = await plane.app.inject({ method: "POST", url: "/api/flows/", payload });

    assert.equal(answer.statusCode, 201);
    assert.equal(Object.hasOwn(Object.prototype, "x"), false);
  });
});

describe("limits of lists", () => {
  for (const [limit, detail] of [
    [201, "Invalid limit: must be less than or equal to 200."],
    [-1, "Invalid limit: must be greater than or equal to 0."],
  ]) {
    for (const path of [
      "/flows/filter",
      "/flow_runs/filter",
      "/work_pools/filter",
      "/logs/filter",
      "/flow_runs/paginate",
    ]) {
      test(`${path} refuses ${limit}`, async () => {
        await using plane = await buildTestPlane();

        const { status, body } = await call(plane, "POST", path, { limit });

        assert.deepEqual([status, body.detail], [422, detail]);
      });
    }
  }

  test("null means the default", async () => {
    await using plane = await buildTestPlane();

    assert.equal((await call(plane, "POST", "/flows/filter", { limit: null, offset: null })).status, 200);
  });
});

describe("the client's API version", () => {
  const cases = [
    { version: "0.8.4", status: 404 },
    { version: "0.8.0", status: 404 },
    { version: "1.0.0", status: 404 },
    { version: "0.7.9", status: 400 },
    { version: "latest", status: 400 },
    { version: "0.8", status: 400 },
  ];
  for (const { version, status } of cases) {
    test(`${version} is answered ${status}`, async () => {
      await using plane = await buildTestPlane();

      const headers = { "x-prefect-api-version": version };
      const answer = await plane.app.inject({ method: "GET", url: `/api/flows/${UNKNOWN_ID}`, headers });

      assert.equal(answer.statusCode, status);
      assert.equal(typeof answer.json().detail, "string");
    });
  }
});
