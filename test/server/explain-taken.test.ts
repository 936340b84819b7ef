import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { IMAGE_PULL_EVENT } from "../../src/flowyard-api/run-events.ts";
import { endExpiredClaims } from "../../src/orchestration/claims/end-expired-claims.ts";
import { addSeconds, timestampFromDate } from "../../src/prefect-api/timestamp.ts";
import { silentLogger } from "../../src/shared/logger.ts";
import { buildTestPlane, type TestPlane } from "../support/build-test-plane.ts";
import { call } from "./call.ts";
import { beat, codes, explain, kinds, setState } from "./explain-support.ts";
import { create, createDeployment, createRun } from "./resources.ts";

/** A run that worker `w1` of the pool has taken, as Prefect's worker and ours say it. */
async function createTaken(plane: TestPlane, deployment: Record<string, unknown> = {}) {
  const run = await createRun(plane, (await createDeployment(plane, deployment)).id);
  await beat(plane, "w1");
  await setState(plane, run.id, { type: "PENDING" });
  await call(plane, "PATCH", `/flow_runs/${run.id}/labels`, { "prefect.worker.name": "w1" });
  return run;
}

async function createRunning(plane: TestPlane, deployment: Record<string, unknown> = {}) {
  const run = await createTaken(plane, deployment);
  await setState(plane, run.id, { type: "RUNNING" });
  return run;
}

/** Something that happened now and that the run is the resource of. */
async function emit(plane: TestPlane, flowRunId: string, event: string, payload: Record<string, unknown> = {}) {
  const occurred = timestampFromDate(plane.now());
  const resource = { "prefect.resource.id": `prefect.flow-run.${flowRunId}` };
  const { status } = await call(plane, "POST", "/events", [
    { id: randomUUID(), occurred, event, resource, related: [], payload },
  ]);
  assert.ok(status < 300);
}

test("a PENDING run says which worker has it and since when; Submitting goes on from Pending", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createTaken(plane);
  const taken = (await call(plane, "GET", `/flow_runs/${id}`)).body.state.timestamp;
  plane.moveClock(20);
  await setState(plane, id, { type: "PENDING", name: "Submitting", message: "making the container" });

  const answer = await explain(plane, id);

  assert.equal(answer.reason_code, "STARTING");
  assert.match(
    answer.sentence,
    /^The run was taken by worker "w1" at .* UTC and is being started; it says: making the container\.$/,
  );
  assert.deepEqual([answer.since, kinds(answer)], [taken, ["worker"]]);
});

test("a start that takes long is told with how long", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createTaken(plane);
  plane.moveClock(1800);
  await beat(plane, "w1");

  const answer = await explain(plane, id);

  assert.equal(answer.reason_code, "START_OVERDUE");
  assert.match(answer.sentence, /has been starting for 30 minutes\.$/);
});

test("an image that is pulled, and one that cannot be, is what a start waits for", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createTaken(plane);
  plane.moveClock(1);
  await emit(plane, id, IMAGE_PULL_EVENT, { image: "etl:1", status: "pulling", attempt: 1 });
  assert.deepEqual(await codes(plane, id), ["IMAGE_PULLING", "STARTING"]);

  plane.moveClock(5);
  const failing = {
    image: "etl:1",
    status: "failing",
    attempt: 2,
    code: "REGISTRY_UNREACHABLE",
    reason: "no route\u001b[0m to host",
  };
  await emit(plane, id, IMAGE_PULL_EVENT, failing);
  const answer = await explain(plane, id);
  assert.equal(answer.reason_code, "IMAGE_PULL_FAILING");
  assert.equal(
    answer.sentence,
    'The image "etl:1" cannot be pulled by worker "w1"; attempt 2 failed: no route to host',
  );
  assert.equal(answer.evidence[0]?.data["code"], "REGISTRY_UNREACHABLE");

  plane.moveClock(5);
  await emit(plane, id, IMAGE_PULL_EVENT, { image: "etl:1", status: "pulled", attempt: 3 });
  assert.deepEqual(await codes(plane, id), ["STARTING"]);
});

test("what an attempt before said about its image is no news of this one", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createTaken(plane);
  await emit(plane, id, IMAGE_PULL_EVENT, { image: "etl:1", status: "failing", attempt: 1 });
  plane.moveClock(5);
  await setState(plane, id, { type: "CRASHED" });
  await setState(plane, id, { type: "SCHEDULED" });
  await setState(plane, id, { type: "PENDING" });

  assert.deepEqual(await codes(plane, id), ["STARTING"]);
});

test("a worker that is gone is told for a run that starts and one that runs", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createTaken(plane);
  plane.moveClock(120);

  const starting = await explain(plane, id);
  assert.deepEqual(await codes(plane, id), ["WORKER_OFFLINE", "STARTING"]);
  assert.match(
    starting.sentence,
    /^Worker "w1", which was starting the run, has not been heard of for 2 minutes\. Its container may/,
  );
  await setState(plane, id, { type: "RUNNING" });
  assert.match((await explain(plane, id)).sentence, /The container goes on without it/);
  await call(plane, "DELETE", "/work_pools/pool/workers/w1");
  assert.match((await explain(plane, id)).sentence, /is not known to work pool "pool" any more/);
});

async function claim(plane: TestPlane, run: { id: string; work_pool_id: string }, worker_name: string) {
  const claimed_at = timestampFromDate(plane.now());
  const worker = { worker_name, worker_instance: "first start", work_pool_id: run.work_pool_id };
  const taken = { flow_run_id: run.id, id: randomUUID(), ...worker, claimed_at };
  await plane.store.transaction((tx) => tx.flowRunClaims.take({ ...taken, expires_at: addSeconds(claimed_at, 60) }));
}

test("a claim tells who has the run, and that it is not renewed any more", async () => {
  await using plane = await buildTestPlane();
  const run = await createTaken(plane);
  await beat(plane, "w2");
  await claim(plane, run, "w2");

  const held = await explain(plane, run.id);
  assert.match(held.sentence, /^The run was taken by worker "w2" at /);
  assert.deepEqual(kinds(held), ["worker", "claim"]);
  plane.moveClock(61);
  assert.deepEqual(await codes(plane, run.id), ["CLAIM_EXPIRED", "STARTING"]);
});

test("a run that was given back says so while it waits, and in the end that its worker vanished", async () => {
  await using plane = await buildTestPlane();
  const run = await createTaken(plane);
  await claim(plane, run, "w1");
  plane.moveClock(61);
  await endExpiredClaims({ store: plane.store, bus: plane.bus, logger: silentLogger }, plane.now());

  assert.deepEqual(await codes(plane, run.id), ["QUEUE_NOT_POLLED", "GIVEN_BACK"]);
  await setState(plane, run.id, { type: "PENDING" });
  await setState(plane, run.id, { type: "RUNNING" });
  await claim(plane, run, "w1");
  plane.moveClock(400);
  await endExpiredClaims({ store: plane.store, bus: plane.bus, logger: silentLogger }, plane.now());

  const ended = await explain(plane, run.id);
  assert.deepEqual([ended.reason_code, ended.blame], ["WORKER_VANISHED", "infrastructure"]);
  assert.match(
    ended.sentence,
    /^The worker vanished while the flow was running: Worker 'w1', which ran this flow run, /,
  );
});

test("a PENDING run without a pool is begun by its own program", async () => {
  await using plane = await buildTestPlane();
  const flow = (await call(plane, "POST", "/flows/", { name: "local" })).body;
  const run = await create(plane, "/flow_runs/", { flow_id: flow.id, state: { type: "PENDING" } });

  assert.deepEqual(await codes(plane, run.id), ["STARTING_ELSEWHERE"]);
});

test("a RUNNING run says since when, and in which attempt", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createRunning(plane);
  await call(plane, "PATCH", `/flow_runs/${id}`, { empirical_policy: { retries: 2 } });
  plane.moveClock(60);

  const answer = await explain(plane, id);

  assert.equal(answer.reason_code, "IN_PROGRESS");
  assert.equal(answer.sentence, 'The run has been running for 1 minute, attempt 1 of 3, started by worker "w1".');
});

test("an engine whose heartbeats stop is told; one that never sent any is not", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createRunning(plane);
  plane.moveClock(600);
  await beat(plane, "w1");
  assert.deepEqual(await codes(plane, id), ["IN_PROGRESS"]);
  await emit(plane, id, "prefect.flow-run.heartbeat");
  plane.moveClock(80);
  await beat(plane, "w1");
  assert.deepEqual(await codes(plane, id), ["IN_PROGRESS"]);
  plane.moveClock(20);

  const answer = await explain(plane, id);
  assert.deepEqual([answer.reason_code, kinds(answer)], ["HEARTBEAT_LOST", ["heartbeat", "worker"]]);
  assert.match(answer.sentence, /has sent no heartbeat for 1 minute 40 seconds/);
});

test("a lease on a slot that the engine does not renew is told", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createRunning(plane, { concurrency_limit: 1 });
  assert.deepEqual(await codes(plane, id), ["IN_PROGRESS"]);
  plane.moveClock(301);
  await beat(plane, "w1");

  assert.deepEqual(await codes(plane, id), ["SLOT_LEASE_ENDED", "IN_PROGRESS"]);
});

test("tasks that wait for a full limit on their tag are told", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createRunning(plane);
  await create(plane, "/v2/concurrency_limits/", { name: "tag:database", limit: 1 });
  await create(plane, "/task_runs/", {
    flow_run_id: id,
    name: "load-1",
    task_key: "load",
    dynamic_key: "1",
    tags: ["database"],
    state: { type: "PENDING" },
  });
  assert.deepEqual(await codes(plane, id), ["IN_PROGRESS"]);
  const taken = await call(plane, "POST", "/v2/concurrency_limits/increment", { names: ["tag:database"], slots: 1 });
  assert.equal(taken.status, 200);

  const answer = await explain(plane, id);
  assert.equal(answer.reason_code, "TAG_LIMIT_FULL");
  assert.equal(
    answer.sentence,
    'The run goes on, but 1 task of it waits for a slot of the task limit on tag "database" (1/1): "load-1".',
  );
});

test("a paused run says how long it waits and how to resume it", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createRunning(plane);
  const pause_timeout = addSeconds(timestampFromDate(plane.now()), 300);
  await setState(plane, id, { type: "PAUSED", state_details: { pause_timeout, pause_key: "1" } });

  const answer = await explain(plane, id);
  assert.equal(answer.reason_code, "RESUME_AWAITED");
  assert.match(answer.sentence, /and waits to be resumed; its process waits; it fails if that has not happened by /);
  assert.equal(answer.next_step, `Resume it: POST /api/flow_runs/${id}/resume`);
  plane.moveClock(301);
  assert.deepEqual(await codes(plane, id), ["PAUSE_OVERDUE"]);
});

test("a suspended run that waits for input names its fields", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createRunning(plane);
  const keyset = { schema: "suspend-1-schema", response: "suspend-1-response" };
  await setState(plane, id, {
    type: "PAUSED",
    name: "Suspended",
    state_details: { pause_reschedule: true, pause_key: "1", run_input_keyset: keyset },
  });
  const schema = {
    title: "Approval",
    type: "object",
    properties: { approve: { type: "boolean" }, note: { type: "string" } },
  };
  const stored = await call(plane, "POST", `/flow_runs/${id}/input`, {
    key: keyset.schema,
    value: JSON.stringify(schema),
  });
  assert.equal(stored.status, 201);

  const answer = await explain(plane, id);

  assert.equal(answer.reason_code, "INPUT_AWAITED");
  assert.match(
    answer.sentence,
    /^The run is suspended for .* and waits for input \("approve", "note"\); its container is gone/,
  );
  assert.match(answer.next_step, /with the input as "run_input"\.$/);
});

test("a schema of input that is no JSON is left out", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createRunning(plane);
  await setState(plane, id, { type: "PAUSED", state_details: { pause_key: "1", run_input_keyset: { schema: "s" } } });
  await call(plane, "POST", `/flow_runs/${id}/input`, { key: "s", value: "{no json" });

  assert.match((await explain(plane, id)).sentence, /and waits for input; its process waits\.$/);
});

test("a run that is being cancelled says who must end it, by when, and when that has passed", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createRunning(plane);
  await setState(plane, id, { type: "CANCELLING" });
  plane.moveClock(30);

  const answer = await explain(plane, id);
  assert.equal(answer.reason_code, "CANCEL_IN_PROGRESS");
  assert.match(
    answer.sentence,
    /^The run has been CANCELLING for 30 seconds: its engine must stop, or else worker "w1" ends it; at .* UTC the plane ends it\.$/,
  );
  plane.moveClock(600);
  assert.deepEqual(await codes(plane, id), ["WORKER_OFFLINE", "CANCEL_OVERDUE"]);
  await beat(plane, "w1");
  assert.deepEqual(await codes(plane, id), ["CANCEL_OVERDUE"]);
});
