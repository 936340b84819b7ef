import assert from "node:assert/strict";
import { test } from "node:test";
import { addSeconds, timestampFromDate } from "../../src/prefect-api/timestamp.ts";
import { buildTestPlane, type TestPlane } from "../support/build-test-plane.ts";
import { call } from "./call.ts";
import { beat, codes, explain, kinds, setState } from "./explain-support.ts";
import { create, createDeployment, createPool, createRun, UNKNOWN_ID } from "./resources.ts";

function at(plane: TestPlane, seconds: number): string {
  return addSeconds(timestampFromDate(plane.now()), seconds);
}

function scheduledAt(plane: TestPlane, seconds: number) {
  return { state: { type: "SCHEDULED", state_details: { scheduled_time: at(plane, seconds) } } };
}

/** A worker that is online and has just asked for runs. */
async function serve(plane: TestPlane, queues?: string[]) {
  await beat(plane, "w1");
  const { status } = await call(plane, "POST", "/work_pools/pool/get_scheduled_flow_runs", {
    ...(queues && { work_queue_names: queues }),
    limit: 1,
  });
  assert.equal(status, 200);
}

/** A run that has been due for five minutes, of a deployment whose pool a worker serves. */
async function createServedRun(plane: TestPlane, deployment: Record<string, unknown> = {}) {
  const { id } = await createDeployment(plane, deployment);
  const run = await createRun(plane, id, scheduledAt(plane, -300));
  await serve(plane);
  return { deploymentId: id, run };
}

/** A run that is PENDING, and so holds its slots. */
async function createPending(plane: TestPlane, deploymentId: string, name: string) {
  const run = await createRun(plane, deploymentId, { name });
  await setState(plane, run.id, { type: "PENDING" });
  return run;
}

test("a run of the future says when, and what would hold it up then", async () => {
  await using plane = await buildTestPlane();
  const { id: deploymentId } = await createDeployment(plane);
  const run = await createRun(plane, deploymentId, { ...scheduledAt(plane, 3900), name: "later" });

  const answer = await explain(plane, run.id);

  assert.equal(answer.reason_code, "START_IN_FUTURE");
  assert.match(answer.sentence, /^The run is scheduled for \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, in 1 hour 5 minutes\.$/);
  assert.deepEqual(answer.flow_run, { id: run.id, name: "later", state_type: "SCHEDULED", state_name: "Scheduled" });
  assert.deepEqual(await codes(plane, run.id), ["START_IN_FUTURE", "NO_WORKER"]);
  assert.match(answer.others[0]?.sentence ?? "", /the run is due in 1 hour 5 minutes\.$/);
});

test("a run that a schedule made names it", async () => {
  await using plane = await buildTestPlane();
  const { id: deploymentId } = await createDeployment(plane);
  const { id } = await createRun(plane, deploymentId, scheduledAt(plane, 60));
  const run = await plane.store.flowRuns.get(id);
  const created_by = { id: UNKNOWN_ID, type: "SCHEDULE", display_value: "every morning" };
  await plane.store.transaction((tx) =>
    tx.flowRuns.insert({ ...run, id: UNKNOWN_ID, created_by, state: run.state && { ...run.state, id: UNKNOWN_ID } }),
  );

  const { sentence } = await explain(plane, UNKNOWN_ID);

  assert.match(sentence, /by schedule "every morning", in 1 minute\.$/);
});

test("a due run of a pool without workers names the pool and the command that helps", async () => {
  await using plane = await buildTestPlane();
  const run = await createRun(plane, (await createDeployment(plane)).id, scheduledAt(plane, -300));
  await createPool(plane, "gpu", { type: "process" });
  await beat(plane, "elsewhere", "gpu");

  const answer = await explain(plane, run.id);

  assert.equal(answer.reason_code, "NO_WORKER");
  assert.equal(
    answer.sentence,
    'Work pool "pool" of type "docker" has never had a worker; the run has been due for 5 minutes.',
  );
  assert.equal(answer.next_step, "Start one: flowyard worker start --pool pool");
  assert.equal(answer.since, at(plane, -300));
  assert.deepEqual(
    answer.evidence.map(({ text }) => text),
    ['1 worker online for work pool "gpu" of type "process"'],
  );
});

test("workers that are gone are named with the time of their last heartbeat", async () => {
  await using plane = await buildTestPlane();
  const run = await createRun(plane, (await createDeployment(plane)).id);
  await serve(plane);
  plane.moveClock(600);

  const answer = await explain(plane, run.id);

  assert.equal(answer.reason_code, "WORKERS_OFFLINE");
  assert.match(answer.sentence, /^No worker of work pool "pool" is online since .* UTC, when "w1" was last heard of; /);
  assert.deepEqual([answer.blame, kinds(answer)], ["infrastructure", ["worker"]]);
});

test("workers that take no more runs are told from such that are not there", async () => {
  await using plane = await buildTestPlane();
  const run = await createRun(plane, (await createDeployment(plane)).id);
  await beat(plane, "w1");
  await call(plane, "POST", "/flowyard/work_pools/pool/claims/renew", { worker_name: "w1", claims: [] });
  await call(plane, "POST", "/flowyard/work_pools/pool/workers/w1/drain", {});

  const answer = await explain(plane, run.id);

  assert.equal(answer.reason_code, "WORKERS_DRAINING");
  assert.match(answer.sentence, /^The only worker of work pool "pool" that is online takes no more runs: drained by /);
  assert.match(answer.next_step, /flowyard worker drain pool\/NAME --undo$/);
  await beat(plane, "w2");
  assert.notEqual((await explain(plane, run.id)).reason_code, "WORKERS_DRAINING");
});

test("workers that serve other queues are told from none", async () => {
  await using plane = await buildTestPlane();
  const run = await createRun(plane, (await createDeployment(plane)).id, { work_queue_name: "urgent" });
  await serve(plane, ["default"]);

  const answer = await explain(plane, run.id);

  assert.equal(answer.reason_code, "QUEUE_NOT_POLLED");
  assert.match(
    answer.sentence,
    /^1 worker is online for work pool "pool", but none has ever asked for runs of queue "urgent"/,
  );
  assert.match(answer.next_step, /--pool pool --work-queue urgent$/);
});

test("a paused pool comes before a paused queue, and both before what workers do", async () => {
  await using plane = await buildTestPlane();
  const { run } = await createServedRun(plane);
  await call(plane, "PATCH", "/work_pools/pool/queues/default", { is_paused: true });
  assert.deepEqual(await codes(plane, run.id), ["QUEUE_PAUSED"]);
  await call(plane, "PATCH", "/work_pools/pool", { is_paused: true });

  assert.deepEqual(await codes(plane, run.id), ["POOL_PAUSED", "QUEUE_PAUSED"]);
  const answer = await explain(plane, run.id);
  assert.equal(answer.next_step, "Resume it: flowyard work-pool resume pool");
  assert.equal(answer.others[0]?.next_step, "Resume it: flowyard work-queue resume default --pool pool");
});

test("a paused deployment is told, and that it does not hold the run back", async () => {
  await using plane = await buildTestPlane();
  const { run, deploymentId } = await createServedRun(plane);
  await call(plane, "PATCH", `/deployments/${deploymentId}`, { paused: true });

  assert.deepEqual(await codes(plane, run.id), ["RUN_DUE", "DEPLOYMENT_PAUSED"]);
});

test("a run that nothing holds back is taken with the next poll", async () => {
  await using plane = await buildTestPlane();
  const { run } = await createServedRun(plane);

  const answer = await explain(plane, run.id);

  assert.equal(answer.reason_code, "RUN_DUE");
  assert.match(answer.sentence, /^Nothing holds the run back: 1 worker is online for work pool "pool"/);
  assert.match(answer.next_step, /^Look at the workers' logs/);
});

test("a deployment without a work pool is served, or nobody takes its runs", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createDeployment(plane, { work_pool_name: null, name: "served" });
  const run = await createRun(plane, id);

  const answer = await explain(plane, run.id);

  assert.equal(answer.reason_code, "NO_WORK_POOL");
  assert.match(answer.sentence, /^Deployment "etl\/served" has no work pool: only a process that serves it/);
});

test("a run whose pool or queue was deleted says that it is in none", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createDeployment(plane);
  const inQueue = await createRun(plane, id, { work_queue_name: "urgent" });
  const run = await createRun(plane, id);

  await call(plane, "DELETE", "/work_pools/pool/queues/urgent");
  const queueGone = await explain(plane, inQueue.id);
  assert.equal(queueGone.reason_code, "NO_WORK_POOL");
  assert.match(queueGone.next_step, /flowyard deployment run etl\/nightly$/);

  await call(plane, "DELETE", "/work_pools/pool");
  assert.equal((await explain(plane, run.id)).reason_code, "NO_WORK_POOL");
});

test("a run without a deployment is its program's own", async () => {
  await using plane = await buildTestPlane();
  const flow = (await call(plane, "POST", "/flows/", { name: "local" })).body;
  const run = await create(plane, "/flow_runs/", { flow_id: flow.id, ...scheduledAt(plane, -1) });

  const answer = await explain(plane, run.id);

  assert.equal(answer.reason_code, "NO_WORK_POOL");
  assert.match(answer.sentence, /only the program that made it runs it/);
});

test("a run whose deployment was deleted cannot be started any more", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createDeployment(plane);
  const run = await createRun(plane, id);
  // Deleting removes the runs that wait; one that a worker gave back meanwhile is left.
  await setState(plane, run.id, { type: "PENDING" });
  await call(plane, "DELETE", `/deployments/${id}`);
  await setState(plane, run.id, { type: "SCHEDULED" }, true);

  assert.equal((await explain(plane, run.id)).reason_code, "DEPLOYMENT_GONE");
});

test("a pool of a type that only Prefect Cloud serves says so", async () => {
  await using plane = await buildTestPlane();
  await createPool(plane, "push", { type: "ecs:push" });
  const run = await createRun(plane, (await createDeployment(plane, { work_pool_name: "push" })).id);

  const answer = await explain(plane, run.id);

  assert.equal(answer.reason_code, "POOL_TYPE_UNSERVED");
  assert.match(answer.sentence, /"push" is of type "ecs:push", whose runs only Prefect Cloud starts/);
});

test("full limits of pool and queue name who holds the slots, some of many", async () => {
  await using plane = await buildTestPlane();
  const { run, deploymentId } = await createServedRun(plane);
  for (let index = 0; index < 7; index += 1) {
    await createPending(plane, deploymentId, `holder-${index}`);
    plane.moveClock(1);
  }
  await call(plane, "PATCH", "/work_pools/pool/queues/default", { concurrency_limit: 7 });
  await call(plane, "PATCH", "/work_pools/pool", { concurrency_limit: 5 });

  assert.deepEqual(await codes(plane, run.id), ["POOL_LIMIT_FULL", "QUEUE_LIMIT_FULL"]);
  const { sentence, evidence, others } = await explain(plane, run.id);
  assert.match(
    sentence,
    /^Work pool "pool" has reached its concurrency limit: 7\/5, held by "holder-0", "holder-1", "holder-2", "holder-3", "holder-4" and 2 more; /,
  );
  assert.deepEqual(evidence[0]?.data, { limit: 5, taken: 7 });
  assert.equal(evidence.length, 6);
  assert.match(others[0]?.sentence ?? "", /^Work queue "default" has reached its concurrency limit: 7\/7/);
  await call(plane, "PATCH", "/work_pools/pool", { concurrency_limit: 0 });
  assert.match((await explain(plane, run.id)).sentence, /has concurrency limit 0, so none of its runs is ever started/);
});

test("a full limit of the deployment names the holders and their leases", async () => {
  await using plane = await buildTestPlane();
  const { run, deploymentId } = await createServedRun(plane, { concurrency_limit: 1 });
  const holder = await createPending(plane, deploymentId, "first");

  const before = await explain(plane, run.id);
  assert.equal(before.reason_code, "DEPLOYMENT_LIMIT_FULL");
  assert.match(
    before.sentence,
    /^Deployment "etl\/nightly" has reached its concurrency limit: 1\/1, held by "first"; /,
  );
  assert.equal(before.evidence[1]?.data["flow_run_id"], holder.id);
  assert.equal(typeof before.evidence[1]?.data["lease_until"], "string");

  await setState(plane, run.id, { type: "PENDING" });
  const asked = await explain(plane, run.id);
  assert.deepEqual(
    [asked.flow_run.state_name, asked.reason_code],
    ["AwaitingConcurrencySlot", "DEPLOYMENT_LIMIT_FULL"],
  );

  await setState(plane, holder.id, { type: "CANCELLED" }, true);
  assert.notEqual((await explain(plane, run.id)).reason_code, "DEPLOYMENT_LIMIT_FULL");
});

test("runs of more urgent queues and earlier ones come first; those that a limit blocks do not", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createDeployment(plane);
  const blockedId = (await createDeployment(plane, { name: "limited", concurrency_limit: 1 })).id;
  await create(plane, "/work_pools/pool/queues", { name: "urgent", priority: 1 });
  await createPending(plane, blockedId, "holder");
  await createRun(plane, blockedId, { ...scheduledAt(plane, -900), name: "blocked" });
  await createRun(plane, id, { ...scheduledAt(plane, -20), name: "earlier" });
  await createRun(plane, id, { ...scheduledAt(plane, -1), name: "urgent one", work_queue_name: "urgent" });
  await createRun(plane, id, { ...scheduledAt(plane, 50), name: "not due" });
  const run = await createRun(plane, id, scheduledAt(plane, -10));
  await serve(plane);

  const answer = await explain(plane, run.id);

  assert.equal(answer.reason_code, "RUNS_AHEAD");
  assert.match(answer.sentence, /^2 runs of work pool "pool", more urgent or due earlier, come first; /);
  assert.deepEqual(
    answer.evidence.slice(1).map(({ data }) => data["name"]),
    ["urgent one", "earlier"],
  );
});

test("a retry in its own process says when it begins, and when it should have", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createRun(plane, (await createDeployment(plane)).id);
  await call(plane, "PATCH", `/flow_runs/${id}`, { empirical_policy: { retries: 3, retry_delay: 90 } });
  for (const type of ["PENDING", "RUNNING", "FAILED"]) {
    await setState(plane, id, { type });
  }

  const waiting = await explain(plane, id);
  assert.deepEqual(await codes(plane, id), ["RETRY_IN_PROCESS"]);
  assert.match(waiting.sentence, /^The last attempt failed; retry 1 of 3 begins in 1 minute 30 seconds, at /);
  plane.moveClock(600);
  assert.match((await explain(plane, id)).sentence, /retry 1 of 3 should have begun 8 minutes 30 seconds ago/);
});

test("a retry that a worker takes says when, and then waits as any other run", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createRun(plane, (await createDeployment(plane)).id);
  await call(plane, "PATCH", `/flow_runs/${id}`, { empirical_policy: { retries: 3 } });
  for (const type of ["PENDING", "RUNNING", "CRASHED"]) {
    await setState(plane, id, { type });
  }
  await setState(plane, id, { ...scheduledAt(plane, 60).state, name: "AwaitingRetry" });

  assert.deepEqual(await codes(plane, id), ["RETRY_WAITING", "NO_WORKER"]);
  plane.moveClock(61);
  assert.deepEqual(await codes(plane, id), ["NO_WORKER"]);
});

test("a run without a state is told from one that waits", async () => {
  await using plane = await buildTestPlane();
  const flow = (await call(plane, "POST", "/flows/", { name: "local" })).body;
  const run = await create(plane, "/flow_runs/", { flow_id: flow.id });
  const stored = await plane.store.flowRuns.get(run.id);
  const noState = { state: null, state_id: null, state_type: null, state_name: null };
  await plane.store.transaction((tx) => tx.flowRuns.insert({ ...stored, ...noState, id: UNKNOWN_ID }));

  const answer = await explain(plane, UNKNOWN_ID);

  assert.deepEqual([answer.reason_code, answer.flow_run.state_type], ["NO_STATE", null]);
});

test("hostile names stay text of one line, cut where they are too long", async () => {
  await using plane = await buildTestPlane();
  await createPool(plane, "evil\u001b[2J\u0007\n\u202epool");
  const { id } = await createDeployment(plane, {
    work_pool_name: "evil\u001b[2J\u0007\n\u202epool",
    name: "x".repeat(500),
  });
  const run = await createRun(plane, id);
  await call(plane, "PATCH", `/deployments/${id}`, { paused: true });

  const answer = await explain(plane, run.id);

  assert.match(answer.sentence, /^Work pool "evil pool" of type "docker" has never had a worker/);
  assert.equal(answer.next_step, "Start one: flowyard worker start --pool 'evil pool'");
  assert.match(answer.others[0]?.sentence ?? "", /^Deployment "etl\/x{95}…" is paused/);
});

test("an unknown run and a malformed id are 404, as everywhere", async () => {
  await using plane = await buildTestPlane();

  const unknown = await call(plane, "GET", `/flowyard/flow_runs/${UNKNOWN_ID}/explain`);
  assert.deepEqual([unknown.status, unknown.body.code], [404, "NOT_FOUND"]);
  assert.equal((await call(plane, "GET", "/flowyard/flow_runs/nonsense/explain")).status, 404);
});

test("a run whose flow was deleted is gone with it", async () => {
  await using plane = await buildTestPlane();
  const { id, flow_id } = await createDeployment(plane);
  const run = await createRun(plane, id);
  await call(plane, "DELETE", `/flows/${flow_id}`);

  assert.equal((await call(plane, "GET", `/flowyard/flow_runs/${run.id}/explain`)).status, 404);
});
