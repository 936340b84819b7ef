import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { PoolWorkerDetails } from "../../src/flowyard-api/workers.ts";
import { createDeployment, startTestPlane, type TestPlane } from "./test-plane.ts";

let plane: TestPlane;

describe("workers that run elsewhere", () => {
  before(async () => {
    plane = await startTestPlane();
    await createDeployment(plane.client);
    await plane.client.workPools.sendHeartbeat("pool", { name: "ours", heartbeat_interval_seconds: 30 });
    await plane.client.claims.renew("pool", { worker_name: "ours", claims: [] });
    await plane.client.workPools.sendHeartbeat("pool", { name: "a stock/one", heartbeat_interval_seconds: 30 });
  });

  after(() => plane[Symbol.asyncDispose]());

  test("are listed with what they have in hand, where the plane knows", async () => {
    const { stdout, code } = await plane.cli(["worker", "ls"]);

    assert.equal(code, 0);
    assert.match(stdout, /^pool\/ours\tONLINE\t0\t/m);
    assert.match(stdout, /^pool\/a stock\/one\tONLINE\tnot known\t/m);
    assert.equal(JSON.parse((await plane.cli(["worker", "ls", "--pool", "pool", "--json"])).stdout).length, 2);
  });

  test("take no more runs once they are drained, and more when that is undone", async () => {
    await plane.cli(["deployment", "run", "get-repo-info/my-deployment", "--flow-run-name", "first"]);
    const { claimed } = await plane.client.claims.take("pool", {
      worker_name: "ours",
      worker_instance: "1",
      capacity: 1,
    });
    assert.equal(claimed.length, 1);

    const drained = await plane.cli(["worker", "drain", "pool/ours"]);

    assert.deepEqual([drained.code, drained.stderr], [0, 'Worker "ours" takes no more runs; it has 1 in hand.\n']);
    const inspected = await plane.cli(["worker", "inspect", "pool/ours"]);
    assert.match(inspected.stdout, /^status +DRAINING$/m);
    assert.match(inspected.stdout, /^first\tPending\t/m);
    const late = await plane.cli(["worker", "drain", "pool/ours", "--wait", "--timeout", "0.1"]);
    assert.equal(late.code, 1);
    assert.match(late.stderr, /still has 1 runs in hand/);
    await plane.client.flowRuns.setState(claimed[0]?.flow_run.id ?? "", { state: { type: "COMPLETED" }, force: true });
    const waited = await plane.cli(["worker", "drain", "pool/ours", "--wait", "--json"]);
    assert.equal(PoolWorkerDetails.parse(JSON.parse(waited.stdout)).runs_in_hand, 0);
    const undone = await plane.cli(["worker", "drain", "pool/ours", "--undo"]);
    assert.match(undone.stderr, /takes runs again/);
  });

  test("are told from others by pool and name, and a worker that polls is not drained", async () => {
    const nameless = await plane.cli(["worker", "drain", "ours"]);
    const unknown = await plane.cli(["worker", "inspect", "pool/our"]);
    const stock = await plane.cli(["worker", "drain", "pool/a stock/one"]);

    assert.match(nameless.stderr, /names no worker: write POOL\/NAME/);
    assert.match(unknown.stderr, /Did you mean "ours"\?/);
    assert.match(stock.stderr, /asks for runs as Prefect.s workers do/);
    assert.deepEqual([nameless.code, unknown.code, stock.code], [1, 1, 1]);
  });

  test("a run's timeline is printed step by step", async () => {
    const id = (await plane.cli(["deployment", "run", "get-repo-info/my-deployment"])).stdout.trim();

    const { stdout, code } = await plane.cli(["flow-run", "timeline", id]);

    assert.equal(code, 0);
    assert.match(stdout, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}\t\tscheduled\tplane\t/);
  });
});
