import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ClaimedFlowRun, RenewedClaim } from "../../src/flowyard-api/claims.ts";
import { endExpiredClaims } from "../../src/orchestration/claims/end-expired-claims.ts";
import { silentLogger } from "../../src/shared/logger.ts";
import { buildTestPlane, type TestPlane } from "../support/build-test-plane.ts";
import { call } from "./call.ts";
import { createDeployment, createPool, createRun } from "./resources.ts";

/** More than a claim lasts before its run was started, and after. */
const LONG = 31;
const VERY_LONG = 301;

async function claim(plane: TestPlane, body: Record<string, unknown> = {}): Promise<ClaimedFlowRun[]> {
  const answer = await call(plane, "POST", "/flowyard/work_pools/pool/claim", {
    worker_name: "worker-a",
    worker_instance: "first start",
    capacity: 10,
    ...body,
  });
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  return answer.body.claimed;
}

async function claimOne(plane: TestPlane, body: Record<string, unknown> = {}): Promise<ClaimedFlowRun> {
  const [claimed, ...others] = await claim(plane, body);
  assert.ok(claimed);
  assert.equal(others.length, 0);
  return claimed;
}

async function renew(plane: TestPlane, claimed: ClaimedFlowRun, started: boolean): Promise<RenewedClaim> {
  const { id, fencing_token } = claimed.claim;
  const body = { worker_name: "worker-a", claims: [{ id, fencing_token, started }] };
  const answer = await call(plane, "POST", "/flowyard/work_pools/pool/claims/renew", body);
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  return answer.body.claims[0];
}

async function propose(plane: TestPlane, flowRunId: string, type: string, fencingToken?: number) {
  const answer = await plane.app.inject({
    method: "POST",
    url: `/api/flow_runs/${flowRunId}/set_state`,
    payload: { state: { type, message: "said by the test" } },
    headers: fencingToken === undefined ? {} : { "flowyard-fencing-token": String(fencingToken) },
  });
  return answer.json();
}

async function findRun(plane: TestPlane, id: string) {
  return (await call(plane, "GET", `/flow_runs/${id}`)).body;
}

function endExpired(plane: TestPlane) {
  return endExpiredClaims({ store: plane.store, bus: plane.bus, logger: silentLogger }, plane.now());
}

describe("claiming", () => {
  test("a claimed run is PENDING and comes with all that starting it asks for", async () => {
    await using plane = await buildTestPlane();
    const deployment = await createDeployment(plane);
    const run = await createRun(plane, deployment.id);

    const claimed = await claimOne(plane);

    assert.equal(claimed.flow_run.id, run.id);
    assert.equal(claimed.flow_run.state?.type, "PENDING");
    assert.equal(claimed.flow.name, "etl");
    assert.equal(claimed.deployment?.id, deployment.id);
    assert.equal(claimed.work_queue_name, "default");
    assert.deepEqual([claimed.claim.fencing_token, claimed.claim.lease_seconds], [1, 30]);
  });

  test("two workers never get the same run, and none gets more than its capacity", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createDeployment(plane);
    for (let run = 0; run < 12; run += 1) {
      await createRun(plane, id);
    }

    const names = ["a", "b", "c", "d"];
    const all = await Promise.all(names.map((worker_name) => claim(plane, { worker_name, capacity: 3 })));

    assert.deepEqual(
      all.map((claimed) => claimed.length),
      [3, 3, 3, 3],
    );
    assert.equal(new Set(all.flat().map(({ flow_run }) => flow_run.id)).size, 12);
  });

  test("the limits of deployment, queue and pool hold, and a blocked run hides nobody behind it", async () => {
    await using plane = await buildTestPlane();
    const limited = await createDeployment(plane, { name: "limited", concurrency_limit: 1 });
    const free = await createDeployment(plane, { name: "free" });
    for (const deployment of [limited, limited, limited, free]) {
      await createRun(plane, deployment.id);
    }

    const claimed = await claim(plane);
    assert.deepEqual(
      claimed.map(({ deployment }) => deployment?.name),
      ["limited", "free"],
    );

    await call(plane, "PATCH", "/work_pools/pool", { concurrency_limit: 2 });
    await createRun(plane, free.id);
    assert.deepEqual(await claim(plane, { worker_name: "worker-b" }), []);
  });

  test("a paused pool gives nothing, an unknown one is not found, and an unknown queue neither", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createDeployment(plane);
    await createRun(plane, id);
    const ask = (pool: string, body = {}) =>
      call(plane, "POST", `/flowyard/work_pools/${pool}/claim`, {
        worker_name: "a",
        worker_instance: "i",
        capacity: 1,
        ...body,
      });
    await call(plane, "PATCH", "/work_pools/pool", { is_paused: true });

    assert.deepEqual((await ask("pool")).body, { claimed: [], draining: false });
    assert.equal((await ask("nowhere")).status, 404);
    assert.equal((await ask("pool", { work_queue_names: ["nowhere"] })).status, 404);
    assert.equal((await ask("pool", { capacity: 0 })).status, 422);
    assert.equal((await ask("pool", { wait_seconds: 31 })).status, 422);
  });
});

describe("waiting for work", () => {
  test("a run that is created meanwhile is answered at once", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createDeployment(plane);
    const startedAt = performance.now();

    const waiting = claim(plane, { wait_seconds: 20 });
    await createRun(plane, id);

    assert.equal((await waiting).length, 1);
    assert.ok(performance.now() - startedAt < 4000);
  });

  test("a slot that is given back wakes who waits for it", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createDeployment(plane, { concurrency_limit: 1 });
    await createRun(plane, id);
    await createRun(plane, id);
    const first = await claimOne(plane, { capacity: 1 });
    const startedAt = performance.now();

    const waiting = claim(plane, { wait_seconds: 20, held: [first.claim.id] });
    await propose(plane, first.flow_run.id, "CANCELLED", 1);

    assert.equal((await waiting).length, 1);
    assert.ok(performance.now() - startedAt < 4000);
  });

  test("nothing to do is an empty answer when the patience is over", async () => {
    await using plane = await buildTestPlane();
    await createPool(plane);

    assert.deepEqual(await claim(plane, { wait_seconds: 0.2 }), []);
  });

  test("a plane that stops lets its waiting workers go", async () => {
    const plane = await buildTestPlane();
    await createPool(plane);
    const startedAt = performance.now();

    const waiting = call(plane, "POST", "/flowyard/work_pools/pool/claim", {
      worker_name: "a",
      worker_instance: "i",
      capacity: 1,
      wait_seconds: 30,
    }).catch(() => undefined);
    await plane[Symbol.asyncDispose]();
    await waiting;

    assert.ok(performance.now() - startedAt < 5000);
  });
});

describe("a claim that is renewed", () => {
  test("is held for as long as its worker says so, and said to be cancelling when the run is", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createDeployment(plane);
    await createRun(plane, id);
    const claimed = await claimOne(plane);

    plane.moveClock(20);
    assert.equal((await renew(plane, claimed, false)).status, "held");
    plane.moveClock(20);
    assert.deepEqual(await endExpired(plane), { changed: 0, more: false });

    await propose(plane, claimed.flow_run.id, "RUNNING", 1);
    await propose(plane, claimed.flow_run.id, "CANCELLING");
    assert.equal((await renew(plane, claimed, true)).status, "cancelling");
  });

  test("is at its end with the run", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createDeployment(plane);
    await createRun(plane, id);
    const claimed = await claimOne(plane);

    await propose(plane, claimed.flow_run.id, "RUNNING", 1);
    await propose(plane, claimed.flow_run.id, "COMPLETED", 1);

    assert.equal((await renew(plane, claimed, true)).status, "ended");
  });

  test("tells which images were deployed lately", async () => {
    await using plane = await buildTestPlane();
    await createDeployment(plane, { job_variables: { image: "etl:7" } });

    const answer = await call(plane, "POST", "/flowyard/work_pools/pool/claims/renew", {
      worker_name: "a",
      claims: [],
    });

    assert.deepEqual(answer.body, { claims: [], images: ["etl:7"], draining: false });
  });
});

describe("a claim that its worker never heard of", () => {
  test("waits for another worker at once when that one stops, and counts for nothing", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createDeployment(plane);
    await createRun(plane, id);
    const heard = await claimOne(plane, { capacity: 1 });
    await createRun(plane, id);
    const unheard = await claimOne(plane, { capacity: 1, held: [heard.claim.id] });

    await call(plane, "POST", "/flowyard/work_pools/pool/claims/renew", {
      worker_name: "worker-a",
      worker_instance: "first start",
      stopping: true,
      claims: [{ id: heard.claim.id, fencing_token: 1, started: false }],
    });

    assert.equal((await findRun(plane, heard.flow_run.id)).state.type, "PENDING");
    assert.equal((await propose(plane, unheard.flow_run.id, "RUNNING", 1)).status, "ABORT");
    const again = await claimOne(plane, { worker_name: "worker-b" });
    assert.equal(again.flow_run.id, unheard.flow_run.id);
    const explained = await call(plane, "GET", `/flowyard/flow_runs/${unheard.flow_run.id}/explain`);
    assert.doesNotMatch(JSON.stringify(explained.body), /vanished/);
  });

  test("stays with a worker of the same name that was started since", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createDeployment(plane);
    await createRun(plane, id);
    const claimed = await claimOne(plane, { worker_instance: "second start" });

    const body = { worker_name: "worker-a", worker_instance: "first start", stopping: true, claims: [] };
    await call(plane, "POST", "/flowyard/work_pools/pool/claims/renew", body);

    assert.equal((await findRun(plane, claimed.flow_run.id)).state.type, "PENDING");
  });
});

describe("a claim that nobody renews", () => {
  test("puts a run that was not started back, frees its slot, and refuses the worker that comes too late", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createDeployment(plane, { concurrency_limit: 1 });
    await createRun(plane, id);
    const lost = await claimOne(plane);

    plane.moveClock(LONG);
    assert.deepEqual(await endExpired(plane), { changed: 1, more: false });
    const returned = await findRun(plane, lost.flow_run.id);
    assert.equal(returned.state.type, "SCHEDULED");
    assert.match(returned.state.message, /Worker 'worker-a' took this run and vanished/);
    const answer = await propose(plane, lost.flow_run.id, "RUNNING", lost.claim.fencing_token);
    assert.deepEqual([answer.status, answer.details.reason_code], ["ABORT", "STALE_CLAIM"]);
    assert.equal((await renew(plane, lost, true)).status, "lost");

    const again = await claimOne(plane, { worker_name: "worker-b" });
    assert.equal(again.flow_run.id, lost.flow_run.id);
    assert.ok(again.claim.fencing_token > lost.claim.fencing_token);
    assert.equal((await propose(plane, lost.flow_run.id, "RUNNING", again.claim.fencing_token)).status, "ACCEPT");
  });

  test("crashes a run that was started, with the reason", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createDeployment(plane, { concurrency_limit: 1 });
    await createRun(plane, id);
    const claimed = await claimOne(plane);
    await renew(plane, claimed, true);
    await propose(plane, claimed.flow_run.id, "RUNNING", 1);

    plane.moveClock(LONG);
    assert.equal((await endExpired(plane)).changed, 0);
    plane.moveClock(VERY_LONG);
    assert.equal((await endExpired(plane)).changed, 1);

    const run = await findRun(plane, claimed.flow_run.id);
    assert.equal(run.state.type, "CRASHED");
    assert.match(run.state.message, /'worker-a', which ran this flow run, has not been heard of for 300 s/);
    await createRun(plane, id);
    assert.equal((await claim(plane)).length, 1);
  });

  test("gives a run that has begun the longer time, also when its worker was cut off before it said that it started it", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createDeployment(plane);
    await createRun(plane, id);
    const claimed = await claimOne(plane);
    await propose(plane, claimed.flow_run.id, "RUNNING", 1);

    plane.moveClock(LONG);
    await endExpired(plane);
    assert.equal((await findRun(plane, claimed.flow_run.id)).state.type, "RUNNING");
    assert.equal((await propose(plane, claimed.flow_run.id, "COMPLETED", 1)).status, "ACCEPT");
  });

  test("ends a run that was cut off before its start was told and stays away", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createDeployment(plane);
    await createRun(plane, id);
    const claimed = await claimOne(plane);
    await propose(plane, claimed.flow_run.id, "RUNNING", 1);

    plane.moveClock(VERY_LONG);
    await endExpired(plane);
    await endExpired(plane);

    assert.equal((await findRun(plane, claimed.flow_run.id)).state.type, "CRASHED");
  });

  test("ends a run that was being cancelled as CANCELLED", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createDeployment(plane);
    await createRun(plane, id);
    const claimed = await claimOne(plane);
    await renew(plane, claimed, true);
    await propose(plane, claimed.flow_run.id, "RUNNING", 1);
    await propose(plane, claimed.flow_run.id, "CANCELLING");

    plane.moveClock(VERY_LONG);
    await endExpired(plane);

    assert.equal((await findRun(plane, claimed.flow_run.id)).state.type, "CANCELLED");
  });

  test("gives a run up that kills every worker that takes it", async () => {
    await using plane = await buildTestPlane();
    const { id } = await createDeployment(plane);
    const run = await createRun(plane, id);

    for (let attempt = 0; attempt < 5; attempt += 1) {
      assert.equal((await claim(plane, { worker_name: `worker-${attempt}` })).length, 1);
      plane.moveClock(LONG);
      await endExpired(plane);
    }

    const ended = await findRun(plane, run.id);
    assert.equal(ended.state.type, "CRASHED");
    assert.match(ended.state.message, /5 workers in a row took this run/);
  });
});

test("an answer that got lost is given again under a new token; what the worker knows of is not", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createDeployment(plane);
  await createRun(plane, id);
  const unheard = await claimOne(plane);

  const heard = await claimOne(plane);
  assert.equal(heard.flow_run.id, unheard.flow_run.id);
  assert.equal(heard.claim.fencing_token, 2);
  assert.deepEqual(await claim(plane, { held: [heard.claim.id] }), []);
  await renew(plane, heard, true);
  assert.deepEqual(await claim(plane), []);
});

test("two workers of one name do not take each other's claims", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createDeployment(plane);
  await createRun(plane, id);
  const first = await claimOne(plane);

  assert.deepEqual(await claim(plane, { worker_instance: "another start" }), []);
  assert.equal((await renew(plane, first, true)).status, "held");
});

test("a run that a person starts anew is closed to the attempt before", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createDeployment(plane);
  await createRun(plane, id);
  const { flow_run } = await claimOne(plane);
  await propose(plane, flow_run.id, "RUNNING", 1);
  await propose(plane, flow_run.id, "FAILED", 1);
  await propose(plane, flow_run.id, "SCHEDULED");

  assert.equal((await propose(plane, flow_run.id, "RUNNING", 1)).details.reason_code, "STALE_CLAIM");
  assert.equal((await claimOne(plane)).claim.fencing_token, 3);
});

test("a fencing token that is no number is refused, and one of a run that nobody claimed is old", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createDeployment(plane);
  const run = await createRun(plane, id);

  const answer = await plane.app.inject({
    method: "POST",
    url: `/api/flow_runs/${run.id}/set_state`,
    payload: { state: { type: "PENDING" } },
    headers: { "flowyard-fencing-token": "one" },
  });
  assert.equal(answer.statusCode, 422);
  assert.equal((await propose(plane, run.id, "PENDING", 1)).details.reason_code, "STALE_CLAIM");
});
