import assert from "node:assert/strict";
import { test } from "node:test";
import { decideAccess } from "../../../worker/relay/relay-access.ts";
import { buildRunAuthString, parseRunAuthString } from "../../../worker/relay/run-token.ts";

const identity = { flow_run_id: "0190a8a5-0000-7000-8000-000000000001", fencing_token: 3 };

test("a run's credentials say for which attempt of which run it speaks", () => {
  assert.deepEqual(parseRunAuthString("secret", buildRunAuthString("secret", identity)), identity);
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

test("a run may do what flows do, and nothing that is the worker's or the operator's", () => {
  const allowed = [
    ["POST", "/api/flow_runs/0190a8a5-0000-7000-8000-000000000001/set_state"],
    ["POST", "/api/deployments/0190a8a5-0000-7000-8000-000000000001/create_flow_run"],
    ["GET", "/api/work_pools/pool"],
    ["GET", "/api/admin/storage"],
    ["GET", "/api/flowyard/capabilities"],
  ] as const;
  const refused = [
    ["POST", "/api/flowyard/releases"],
    ["POST", "/api/flowyard/work_pools/pool/claim"],
    ["PATCH", "/api/work_pools/pool"],
    ["DELETE", "/api/work_pools/pool"],
    ["POST", "/api/work_pools/pool/get_scheduled_flow_runs"],
    ["PUT", "/api/admin/storage"],
  ] as const;

  for (const [method, path] of allowed) {
    assert.equal(decideAccess(method, path), undefined, path);
  }
  for (const [method, path] of refused) {
    assert.equal(decideAccess(method, path)?.status, 403, path);
  }
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
    ["DELETE", "/api/%77ork_pools/pool?x=1"],
    ["POST", "/api/work_pools/a%2Fb/get_scheduled_flow_runs"],
  ] as const;

  for (const [method, url] of refused) {
    assert.equal(decideAccess(method, url)?.status, 403, url);
  }
  for (const url of ["/api/deployments/name/my%20flow/a%2Fb", "/api/flows/?limit=../..", "/api/variables/name/a.b"]) {
    assert.equal(decideAccess("GET", url), undefined, url);
  }
});
