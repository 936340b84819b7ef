import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { buildTestPlane, type TestPlane } from "../support/build-test-plane.ts";
import { call } from "./call.ts";
import { openAuthenticated, openTestSocket } from "./test-socket.ts";

let plane: TestPlane;
let flowId: string;

async function sendText(path: string, text: string) {
  const answer = await plane.app.inject({ method: "POST", url: `/api${path}`, payload: text });
  return { status: answer.statusCode, body: answer.json() };
}

function repeat<T>(count: number, build: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => build(index));
}

describe("a hostile client", () => {
  before(async () => {
    plane = await buildTestPlane();
    flowId = (await call(plane, "POST", "/flows/", { name: "f" })).body.id;
  });
  after(() => plane[Symbol.asyncDispose]());

  for (const [path, depth] of [
    ["/flows/", 1_000_000],
    ["/flows/filter", 100_000],
    ["/work_pools/", 501],
  ] as const) {
    test(`gets 422 on ${path} for ${depth} nested lists, in a sentence`, async () => {
      const { status, body } = await sendText(path, `{"name":${"[".repeat(depth)}${"]".repeat(depth)}}`);

      assert.equal(status, 422);
      assert.match(body.exception_detail[0].msg, /nested more than 500 levels/);
    });
  }

  test("may nest as deeply as parameters are, and write brackets in texts", async () => {
    const deep = `${"[".repeat(400)}"${"[".repeat(2000)}\\"${"{".repeat(2000)}"${"]".repeat(400)}`;

    const { status } = await sendText("/flow_runs/", `{"flow_id":"${flowId}","parameters":{"a":${deep}}}`);

    assert.equal(status, 201);
  });

  const ids = repeat(40_000, (index) => `00000000-0000-4000-8000-${String(index).padStart(12, "0")}`);
  for (const [what, path, body, status] of [
    ["40,000 ids", "/flow_runs/filter", { flow_runs: { id: { any_: ids } } }, 422],
    ["40,000 ids not to be", "/flow_runs/filter", { flow_runs: { id: { not_any_: ids } } }, 422],
    ["20,000 ids not to be", "/flow_runs/filter", { flow_runs: { id: { not_any_: ids.slice(0, 20_000) } } }, 200],
    ["40,000 tags", "/flow_runs/filter", { flow_runs: { tags: { all_: ids } } }, 422],
    ["2,000 beginnings", "/work_queues/filter", { work_queues: { name: { startswith_: ids.slice(0, 2000) } } }, 422],
    ["2,000 makers", "/flow_runs/filter", { flow_runs: { created_by: { type_: ids.slice(0, 2000) } } }, 422],
    ["400,000 wrong log lines", "/logs/", repeat(400_000, () => ({})), 422],
    ["400,000 wrong tags", "/deployments/", { tags: repeat(400_000, () => 0) }, 422],
    ["a long text to find", "/flows/filter", { flows: { name: { like_: "%_".repeat(50_000) } } }, 200],
    ["40,000 beginnings of events", "/events/filter", { filter: { event: { prefix: ids } } }, 422],
    ["5,000 resources", "/events/filter", { filter: { related: ids.slice(0, 5000).map((id) => ({ id: [id] })) } }, 422],
    ["40,000 limits", "/v2/concurrency_limits/increment", { slots: 1, names: ids }, 422],
    ["the last page of all", "/flows/paginate", { limit: 200, page: Number.MAX_SAFE_INTEGER }, 200],
    ["an offset of 1e308", "/flows/filter", { offset: 1e308 }, 422],
    ["slots whose sum is beyond 2^53", "/v2/concurrency_limits/increment", { slots: 1e15, names: ["a"] }, 422],
    ["slots beyond 2^53", "/v2/concurrency_limits/increment", { slots: 2 ** 60, names: ["a"] }, 422],
  ] as const) {
    test(`gets ${status} for ${what}`, async () => {
      const answer = await call(plane, "POST", path, body);

      assert.equal(answer.status, status);
    });
  }

  for (const [what, schedules] of [
    ["20,000 schedules", repeat(20_000, () => ({ schedule: { interval: 60 } }))],
    ["a cron text of 2 MB", [{ schedule: { cron: `${"*,".repeat(1_000_000)}* * * * *` } }]],
    ["an interval of 1e308 s", [{ schedule: { interval: 1e308 } }]],
    ["an interval of 1e-300 s", [{ schedule: { interval: 1e-300 } }]],
  ] as const) {
    test(`gets 422 for a deployment with ${what}`, async () => {
      const { status } = await call(plane, "POST", "/deployments/", { name: "d", flow_id: flowId, schedules });

      assert.equal(status, 422);
    });
  }

  for (const retryDelay of [1e15, -1e15, 1e308]) {
    test(`cannot keep a run from failing by a retry delay of ${retryDelay} s`, async () => {
      const state = { type: "RUNNING" };
      const policy = { retries: 3, retry_delay: retryDelay };
      const run = await call(plane, "POST", "/flow_runs/", { flow_id: flowId, state, empirical_policy: policy });

      const failed = await call(plane, "POST", `/flow_runs/${run.body.id}/set_state`, { state: { type: "FAILED" } });

      assert.deepEqual([failed.status, failed.body.status, failed.body.state.type], [201, "REJECT", "SCHEDULED"]);
    });
  }

  test("may call things what it wants, and finds them under that name", async () => {
    for (const name of [
      "a\u0000b",
      "a\r\nX-Header: y",
      "🙂",
      "a'; drop table flows; --",
      "__proto__",
      "constructor",
      "%",
    ]) {
      const made = await call(plane, "POST", "/work_pools/", { name, type: "process" });
      const found = await call(plane, "GET", `/work_pools/${encodeURIComponent(name)}`);

      const isRefused = name === "%" || name.includes("\0");
      assert.equal(made.status, isRefused ? 422 : 201, name);
      assert.equal(found.body.name, isRefused ? undefined : name);
    }
  });

  test("gets back the numbers that it sent, digit by digit", async () => {
    const sent =
      '{"id":12345678901234567890,"deep":[{"least":-9223372036854775808}],"near":9007199254740993,"half":0.5}';
    const schema = '{"type":"object","properties":{"id":{"type":"integer","maximum":18446744073709551615}}}';
    const deployment = await sendText(
      "/deployments/",
      `{"name":"numbers","flow_id":"${flowId}","parameter_openapi_schema":${schema}}`,
    );

    const run = await sendText(`/deployments/${deployment.body.id}/create_flow_run`, `{"parameters":${sent}}`);
    const stored = await plane.app.inject({ method: "GET", url: `/api/flow_runs/${run.body.id}` });
    const refused = await sendText(
      `/deployments/${deployment.body.id}/create_flow_run`,
      '{"parameters":{"id":18446744073709551616000}}',
    );

    assert.ok(stored.payload.includes(`"parameters":${sent}`), stored.payload);
    assert.deepEqual([run.status, refused.status], [201, 409]);
  });

  test("gets no other route by dots and slashes in a name, nor an answer by bad escapes", async () => {
    for (const [path, status] of [
      ["..%2f..%2fflows", 404],
      ["%2e%2e%2fflows%2ffilter", 404],
      ["%zz", 400],
      ["%ff", 400],
      ["a".repeat(3000), 414],
    ] as const) {
      const answer = await call(plane, "GET", `/work_pools/${path}`);

      assert.deepEqual([answer.status, typeof answer.body.detail], [status, "string"], path);
    }
  });

  const endless = {
    "a pattern that backtracks": [
      { properties: { a: { type: "string", pattern: "^(a+)+$" } } },
      { a: `${"a".repeat(60)}!` },
    ],
    "references that double": [
      {
        properties: { a: { $ref: "#/definitions/d0" } },
        definitions: Object.fromEntries(
          repeat(50, (index) => [
            `d${index}`,
            { anyOf: repeat(2, () => (index === 49 ? { type: "integer" } : { $ref: `#/definitions/d${index + 1}` })) },
          ]),
        ),
      },
      { a: "x" },
    ],
    "100,000 unique items": [
      { properties: { a: { uniqueItems: true } } },
      { a: repeat(100_000, (index) => ({ index })) },
    ],
  } as const;
  for (const [what, [schema, parameters]] of Object.entries(endless)) {
    test(`cannot hold up the plane by ${what}`, async () => {
      const body = { name: what, flow_id: flowId, parameter_openapi_schema: schema };
      const deployment = await call(plane, "POST", "/deployments/", body);
      const asked = performance.now();

      const run = await call(plane, "POST", `/deployments/${deployment.body.id}/create_flow_run`, { parameters });

      assert.equal(run.status, 409);
      assert.match(run.body.detail, /takes longer than 250 ms/);
      assert.ok(performance.now() - asked < 3000);
    });
  }

  test("loses its socket by a frame that is nested too deeply", async () => {
    const socket = await openAuthenticated(plane.app, "/api/events/in");

    socket.sendText("[".repeat(100_000));

    assert.equal(await socket.closed, 1002);
  });

  test("is not read further than its frames are dealt with", async () => {
    const socket = await openTestSocket(plane.app, "/api/events/out");
    for (let index = 0; index < 20; index += 1) {
      socket.sendText("x".repeat(1024 * 1024));
    }

    assert.equal(await socket.closed, 1008);
  });
});

describe("a page in a browser", () => {
  async function ask(headers: Record<string, string>, authString: string | null = null) {
    await using asked = await buildTestPlane({ authString });
    const answer = await asked.app.inject({ method: "POST", url: "/api/flows/", headers, payload: '{"name":"f"}' });
    return { status: answer.statusCode, code: answer.json().code };
  }

  for (const origin of [
    "https://evil.example",
    "null",
    "http://127.0.0.1:9999",
    "http://127.0.0.1.evil.example:4200",
  ]) {
    test(`of ${origin} is refused`, async () => {
      const headers = { host: "127.0.0.1:4200", origin, "content-type": "text/plain" };

      assert.deepEqual(await ask(headers), { status: 403, code: "FOREIGN_ORIGIN" });
    });
  }

  test("of the plane's own is served", async () => {
    assert.equal((await ask({ host: "127.0.0.1:4200", origin: "http://127.0.0.1:4200" })).status, 201);
  });

  test("whose name was made to point here is refused, unless the plane asks for credentials", async () => {
    const headers = { host: "evil.example:4200", origin: "http://evil.example:4200" };

    assert.deepEqual(await ask(headers), { status: 403, code: "FOREIGN_HOST" });
    assert.deepEqual(await ask(headers, "a:b"), { status: 401, code: "UNAUTHORIZED" });
  });

  test("gets no socket of another site's", async () => {
    await using asked = await buildTestPlane();
    const headers = { host: "127.0.0.1:4200", origin: "https://evil.example", "sec-websocket-protocol": "prefect" };

    await assert.rejects(openTestSocket(asked.app, "/api/events/out", headers), /403/);
  });
});

test("clients that are no browsers reach a plane without credentials by every address and private name", async () => {
  await using asked = await buildTestPlane();
  for (const host of [
    "127.0.0.1:4200",
    "[::1]:4200",
    "localhost",
    "LOCALHOST:1",
    "10.0.0.7",
    "plane:4200",
    "host.docker.internal:4200",
    "nas.local",
    "localhost.:1",
  ]) {
    const answer = await asked.app.inject({ method: "GET", url: "/api/version", headers: { host } });

    assert.equal(answer.statusCode, 200, host);
  }
});
