import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decideAccess } from "../../../worker/relay/relay-access.ts";
import { buildRunAuthString, parseRunAuthString } from "../../../worker/relay/run-token.ts";

const identity = { flow_run_id: "0190a8a5-0000-7000-8000-000000000001", fencing_token: 3 };

test("a run's credentials say for which attempt of which run it speaks", () => {
  const workers = { ...identity, use: "worker" as const };

  assert.deepEqual(parseRunAuthString("secret", buildRunAuthString("secret", identity)), { ...identity, use: "run" });
  assert.deepEqual(parseRunAuthString("secret", buildRunAuthString("secret", workers)), workers);
});

test("credentials of another secret, changed ones and anything else are refused", () => {
  const authString = buildRunAuthString("secret", identity);
  const forged = Buffer.from(JSON.stringify({ ...identity, fencing_token: 4 })).toString("base64url");

  assert.equal(parseRunAuthString("other", authString), undefined);
  assert.equal(parseRunAuthString("secret", `run:${forged}.${authString.split(".")[1]}`), undefined);
  for (const text of ["", "run:", "run:.", "admin:pass", "run:e30.e30", `${authString}=`]) {
    assert.equal(parseRunAuthString("secret", text), undefined, text);
  }
});

const OWN = "0190a8a5-0000-7000-8000-000000000001";

function decide(method: string, url: string, more: { isSocket?: boolean; use?: "worker"; reach?: "all" } = {}) {
  const access = decideAccess({ method, url, isSocket: false, use: "run", reach: "own", ...more });
  return access.kind === "refused" ? `${access.refusal.status} ${access.refusal.body.code}` : access.kind;
}

const REFUSED = "403 RUN_TOKEN_REFUSED";

describe("what a run may ask for", () => {
  for (const [method, path] of [
    ["GET", "/api/work_pools/pool"],
    ["POST", "/api/work_pools/filter"],
    ["POST", "/api/work_pools/pool/queues/filter"],
    ["POST", "/api/work_pools/pool/workers/filter"],
    ["POST", "/api/work_queues/filter"],
    ["GET", "/api/admin/storage"],
    ["GET", "/api/flowyard/capabilities"],
    ["GET", `/api/flow_runs/${OWN}`],
    ["POST", "/api/flow_runs/filter"],
    ["POST", "/api/flow_runs/count"],
    ["POST", "/api/flow_runs/paginate"],
    ["POST", `/api/flow_runs/${OWN}/input`],
    ["POST", `/api/flow_runs/${OWN}/input/filter`],
    ["POST", "/api/task_runs/filter"],
    ["POST", "/api/artifacts/"],
    ["PATCH", `/api/artifacts/${OWN}`],
    ["POST", "/api/variables/"],
    ["DELETE", "/api/variables/name/bulk_x"],
    ["POST", "/api/block_documents/"],
    ["DELETE", `/api/block_documents/${OWN}`],
    ["POST", "/api/deployments/"],
    ["POST", "/api/flows/"],
    ["POST", "/api/v2/concurrency_limits/increment-with-lease"],
    ["POST", "/api/v2/concurrency_limits/decrement-with-lease"],
    ["POST", `/api/v2/concurrency_limits/leases/${OWN}/renew`],
    ["POST", "/api/concurrency_limits/increment"],
    ["POST", "/api/automations/filter"],
    ["POST", "/api/logs/"],
    ["POST", "/api/events"],
  ] as const) {
    test(`${method} ${path} is open`, () => assert.equal(decide(method, path), "open"));
  }

  for (const [method, path] of [
    ["POST", `/api/flow_runs/${OWN}/set_state`],
    ["POST", `/api/flow_runs/${OWN}/resume`],
    ["PATCH", `/api/flow_runs/${OWN}`],
    ["PATCH", `/api/flow_runs/${OWN}/labels`],
    ["DELETE", `/api/flow_runs/${OWN}/`],
    ["DELETE", `/api/flow_runs/${OWN}/input/key`],
    ["POST", `/api/flow_runs/${OWN}/anything`],
    ["POST", `/api/task_runs/${OWN}/set_state`],
    ["PATCH", `/api/task_runs/${OWN}`],
    ["DELETE", `/api/%74ask_runs/${OWN}`],
  ] as const) {
    test(`${method} ${path} is for its own`, () => assert.equal(decide(method, path), "own"));
  }

  for (const path of ["/flow_runs/", "/task_runs", `/deployments/${OWN}/create_flow_run`]) {
    test(`POST ${path} depends on whom it is for`, () => assert.equal(decide("POST", `/api${path}`), "creates"));
  }

  for (const [method, path] of [
    ["POST", "/api/flow_runs/bulk_set_state"],
    ["POST", "/api/flow_runs/bulk_delete"],
    ["POST", "/api/deployments/bulk_delete"],
    ["DELETE", `/api/deployments/${OWN}`],
    ["DELETE", `/api/flows/${OWN}`],
    ["DELETE", "/api/v2/concurrency_limits/limit"],
    ["POST", "/api/concurrency_limits/tag/t/reset"],
    ["POST", "/api/automations/"],
    ["PATCH", `/api/automations/${OWN}`],
    ["POST", "/api/flow_runs/0190a8a5000070008000000000000001/set_state"],
    ["POST", `/api/flow_runs/urn:uuid:${OWN}/set_state`],
    ["POST", `/api/flow_runs/%7B${OWN}%7D/set_state`],
  ] as const) {
    test(`${method} ${path} is for those whom the operator lets`, () => {
      assert.equal(decide(method, path), REFUSED);
      assert.equal(decide(method, path, { reach: "all" }), "open");
    });
  }

  for (const [method, path] of [
    ["POST", "/api/flowyard/releases"],
    ["POST", "/api/flowyard/work_pools/pool/claim"],
    ["POST", "/api/work_pools/"],
    ["PATCH", "/api/work_pools/pool"],
    ["DELETE", "/api/work_pools/pool"],
    ["POST", "/api/work_pools/pool/queues"],
    ["DELETE", "/api/work_pools/pool/queues/default"],
    ["POST", "/api/work_pools/pool/get_scheduled_flow_runs"],
    ["POST", "/api/work_pools/pool/workers/heartbeat"],
    ["POST", "/api/work_queues/"],
    ["PATCH", `/api/work_queues/${OWN}`],
    ["POST", `/api/work_queues/${OWN}/get_runs`],
    ["POST", "/api/deployments/get_scheduled_flow_runs"],
    ["PUT", "/api/admin/storage"],
    ["POST", "/api/admin/database/clear"],
  ] as const) {
    test(`${method} ${path} is for no run`, () => {
      assert.equal(decide(method, path), REFUSED);
      assert.equal(decide(method, path, { reach: "all" }), REFUSED);
    });
  }

  test("sockets are those that flows open", () => {
    for (const path of ["/api/events/in", "/api/events/out", "/api/logs/out"]) {
      assert.equal(decide("GET", path, { isSocket: true }), "open", path);
    }
    for (const path of ["/api/work_pools/p/workers/connect", "/api/flows", "/api/flowyard/status"]) {
      assert.equal(decide("GET", path, { isSocket: true }), REFUSED, path);
    }
  });

  test("a worker's token leaves lines and does nothing else", () => {
    assert.equal(decide("POST", "/api/logs/", { use: "worker" }), "open");
    for (const [method, path] of [
      ["GET", "/api/flows/x"],
      ["POST", `/api/flow_runs/${OWN}/set_state`],
      ["POST", "/api/events"],
    ] as const) {
      assert.equal(decide(method, path, { use: "worker" }), REFUSED, path);
    }
  });
});

test("a closed route stays closed however its path is spelt", () => {
  const refused = [
    ["GET", "/api/%66lowyard/status"],
    ["HEAD", "/api/flowyard/status"],
    ["GET", "/api/./flowyard/status"],
    ["GET", "/api/x/../flowyard/status"],
    ["GET", "/api/x/%2e%2E/flowyard/status"],
    ["GET", "/api/x\\..\\flowyard/status"],
    ["GET", "/api//flowyard/status"],
    ["GET", "/api/%E0%A4%A/flowyard"],
    ["GET", "http://elsewhere/api/flows"],
    ["GET", "//elsewhere/api/flows"],
    ["GET", "/%61pi/flows/x"],
    ["GET", "*"],
    ["DELETE", "/api/%77ork_pools/pool?x=1"],
    ["POST", "/api/work_pools/a%2Fb/get_scheduled_flow_runs"],
  ] as const;

  for (const [method, url] of refused) {
    assert.equal(decide(method, url), REFUSED, url);
  }
  for (const url of ["/api/deployments/name/my%20flow/a%2Fb", "/api/flows/?limit=../..", "/api/variables/name/a.b"]) {
    assert.equal(decide("GET", url), "open", url);
  }
});
