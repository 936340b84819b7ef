import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, suite, test } from "node:test";
import { addSeconds, timestampFromDate, timestampToMs } from "../../src/prefect-api/timestamp.ts";
import { buildTestPlane, type TestPlane } from "../support/build-test-plane.ts";
import { call } from "./call.ts";

let plane: TestPlane;
/** A plane for each test of a suite. Hooks outside of suites would run for the tests of all files. */
function usePlane(): void {
  beforeEach(async () => {
    plane = await buildTestPlane();
  });
  afterEach(() => plane[Symbol.asyncDispose]());
}

async function createRun(state: unknown, parts: Record<string, unknown> = {}): Promise<string> {
  const flow = await call(plane, "POST", "/flows/", { name: "f" });
  const run = await call(plane, "POST", "/flow_runs/", { flow_id: flow.body.id, state, ...parts });
  plane.moveClock(1);
  return run.body.id;
}

function setState(id: string, state: unknown, force = false) {
  return call(plane, "POST", `/flow_runs/${id}/set_state`, { state, force });
}

suite("POST /flow_runs/{id}/set_state", () => {
  usePlane();

  test("answers 201 when a state was written, accepted or instead of a rejected one", async () => {
    const accepted = await setState(await createRun({ type: "SCHEDULED" }), { type: "PENDING" });
    const replaced = await setState(await createRun({ type: "SCHEDULED" }), { type: "CANCELLING" });

    assert.deepEqual([accepted.status, accepted.body.status], [201, "ACCEPT"]);
    assert.deepEqual(accepted.body.details, { type: "accept_details" });
    assert.deepEqual([replaced.status, replaced.body.status, replaced.body.state.type], [201, "REJECT", "CANCELLED"]);
  });

  test("answers 200 with the kept state for REJECT, WAIT and ABORT", async () => {
    const cancelling = await setState(await createRun({ type: "CANCELLING" }), { type: "RUNNING" });
    const in20s = addSeconds(timestampFromDate(plane.now()), 21);
    const early = await createRun({ type: "SCHEDULED", state_details: { scheduled_time: in20s } });
    const waiting = await setState(early, { type: "RUNNING" });
    const taken = await setState(await createRun({ type: "PENDING" }), { type: "PENDING" });

    assert.deepEqual(
      [cancelling, waiting, taken].map(({ status, body }) => [status, body.status, body.state.type, body.details.type]),
      [
        [200, "REJECT", "CANCELLING", "reject_details"],
        [200, "WAIT", "SCHEDULED", "wait_details"],
        [200, "ABORT", "PENDING", "abort_details"],
      ],
    );
    assert.equal(waiting.body.details.delay_seconds, 20);
    assert.equal(taken.body.details.reason_code, "ALREADY_TAKEN");
  });

  test("an unknown run is 404 in the words of Prefect's models; a malformed id is Not Found", async () => {
    const id = randomUUID();

    assert.deepEqual(
      (await setState(id, { type: "PENDING" })).body.exception_message,
      `Flow run with id ${id} not found`,
    );
    assert.equal((await setState("not-a-uuid", { type: "PENDING" })).status, 404);
  });

  test("a state of no known type is 422 and changes nothing", async () => {
    const id = await createRun({ type: "SCHEDULED" });

    const answer = await setState(id, { type: "RESTING" });

    assert.equal(answer.status, 422);
    assert.equal((await call(plane, "GET", `/flow_runs/${id}`)).body.state_type, "SCHEDULED");
  });

  test("times come in five shapes and go out in one", async () => {
    const at = addSeconds(timestampFromDate(plane.now()), 3600);
    const shapes = [
      at,
      at.replace("Z", "+00:00"),
      at.replace("T", " ").replace("Z", "+00:00"),
      at.replace("Z", ""),
      timestampToMs(at) / 1000,
    ];

    for (const scheduled_time of shapes) {
      const id = await createRun({ type: "PENDING" });
      const answer = await setState(id, { type: "SCHEDULED", state_details: { scheduled_time } });

      assert.equal(answer.body.state.state_details.scheduled_time, at);
    }
  });

  test("a whole run is told on the run itself", async () => {
    const id = await createRun({ type: "SCHEDULED" });
    for (const type of ["PENDING", "RUNNING", "COMPLETED"]) {
      plane.moveClock(2);
      assert.equal((await setState(id, { type })).status, 201);
    }

    const { body } = await call(plane, "GET", `/flow_runs/${id}`);

    assert.deepEqual([body.state_name, body.run_count, body.total_run_time], ["Completed", 1, 2]);
    assert.equal(body.next_scheduled_start_time, null);
    assert.equal(body.estimated_start_time_delta, 5);
  });
});

suite("POST /flow_runs/{id}/resume", () => {
  usePlane();

  test("a run that is not paused is ABORT", async () => {
    const answer = await call(plane, "POST", `/flow_runs/${await createRun({ type: "RUNNING" })}/resume`);

    assert.deepEqual([answer.status, answer.body.status], [200, "ABORT"]);
  });

  test("input must fit the schema that the flow left, and is kept for the flow", async () => {
    const keyset = { schema: "k-schema", response: "k-response" };
    const id = await createRun({ type: "RUNNING" });
    await setState(id, { type: "PAUSED", state_details: { pause_key: "k", run_input_keyset: keyset } });
    const schema = { type: "object", properties: { value: { type: "integer" } }, required: ["value"] };
    await call(plane, "POST", `/flow_runs/${id}/input`, { key: "k-schema", value: JSON.stringify(schema) });
    plane.moveClock(1);

    const bad = await call(plane, "POST", `/flow_runs/${id}/resume`, { run_input: { value: "x" } });
    const good = await call(plane, "POST", `/flow_runs/${id}/resume`, { run_input: { value: 7 } });
    const stored = await call(plane, "GET", `/flow_runs/${id}/input/k-response`);

    assert.deepEqual([bad.status, bad.body.status, bad.body.state.type], [200, "REJECT", "PAUSED"]);
    assert.deepEqual([good.status, good.body.status, good.body.state.type], [201, "ACCEPT", "RUNNING"]);
    assert.deepEqual(stored.body, { value: 7 });
  });
});
