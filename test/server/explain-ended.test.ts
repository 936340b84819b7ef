import assert from "node:assert/strict";
import { test } from "node:test";
import { addSeconds, timestampFromDate } from "../../src/prefect-api/timestamp.ts";
import { buildTestPlane, type TestPlane } from "../support/build-test-plane.ts";
import { call } from "./call.ts";
import { beat, codes, explain, setState } from "./explain-support.ts";
import { createDeployment, createRun } from "./resources.ts";

async function createRunIn(plane: TestPlane, ...types: string[]) {
  const run = await createRun(plane, (await createDeployment(plane)).id);
  for (const type of types) {
    await setState(plane, run.id, { type });
  }
  return run;
}

async function log(plane: TestPlane, flowRunId: string, messages: string[]) {
  const start = timestampFromDate(plane.now());
  const logs = messages.map((message, index) => ({
    name: "flow",
    level: 20,
    message,
    timestamp: addSeconds(start, index),
    flow_run_id: flowRunId,
  }));
  assert.equal((await call(plane, "POST", "/logs/", logs)).status, 201);
}

test("a completed run says so, and is nobody's fault", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createRunIn(plane, "PENDING", "RUNNING");
  plane.moveClock(90);
  await setState(plane, id, { type: "COMPLETED" });

  const answer = await explain(plane, id);

  assert.deepEqual(
    [answer.reason_code, answer.blame, answer.since],
    ["COMPLETED", null, timestampFromDate(plane.now())],
  );
  assert.match(answer.sentence, /^The run completed at .* UTC after 1 minute 30 seconds\.$/);
});

test("a failed flow is its code's fault, with the message and the last lines", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createRunIn(plane, "PENDING", "RUNNING");
  await log(
    plane,
    id,
    Array.from({ length: 30 }, (_, index) => `line ${index}`),
  );
  await setState(plane, id, { type: "FAILED", message: "Flow run encountered an exception: ValueError: no such repo" });

  const answer = await explain(plane, id);

  assert.deepEqual([answer.reason_code, answer.blame], ["FLOW_FAILED", "user_code"]);
  assert.equal(answer.sentence, "The flow itself failed: Flow run encountered an exception: ValueError: no such repo.");
  assert.equal(answer.last_lines.length, 20);
  assert.deepEqual([answer.last_lines[0]?.message, answer.last_lines.at(-1)?.message], ["line 10", "line 29"]);
});

test("the last lines are bounded in bytes: the later ones are kept", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createRunIn(plane, "PENDING", "RUNNING");
  await log(plane, id, [...Array.from({ length: 10 }, () => "x".repeat(100_000)), "the end"]);
  await setState(plane, id, { type: "FAILED" });

  const { last_lines } = await explain(plane, id);

  assert.equal(last_lines.at(-1)?.message, "the end");
  const bytes = last_lines.reduce((sum, { message }) => sum + message.length, 0);
  assert.ok(bytes > 4000 && bytes <= 8192, String(bytes));
});

test("of a long message the end is kept, where a traceback has its error", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createRunIn(plane, "PENDING", "RUNNING");
  const message = `Flow run encountered an exception: ${"File x, line 1 ".repeat(500)} KeyError: 'days'`;
  await setState(plane, id, { type: "FAILED", message });

  const { sentence } = await explain(plane, id);

  assert.match(sentence, /Flow run encountered an exception: File x.*….*KeyError: 'days'/);
  assert.ok(sentence.length < 1200);
});

test("a run whose retries are used up says how often it was tried", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createRunIn(plane);
  await call(plane, "PATCH", `/flow_runs/${id}`, { empirical_policy: { retries: 1, retry_delay: 0 } });
  for (const type of ["PENDING", "RUNNING", "FAILED", "RUNNING", "FAILED"]) {
    await setState(plane, id, { type });
  }

  assert.deepEqual(await codes(plane, id), ["FLOW_FAILED", "RETRIES_EXHAUSTED"]);
  assert.equal((await explain(plane, id)).others[0]?.sentence, "It was tried 2 times: its 1 retry is used up.");
});

test("a pause that nobody ended in time is the operator's", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createRunIn(plane, "PENDING", "RUNNING");
  const pause_timeout = addSeconds(timestampFromDate(plane.now()), 60);
  await setState(plane, id, { type: "PAUSED", state_details: { pause_timeout, pause_key: "1" } });
  plane.moveClock(61);
  await setState(plane, id, { type: "RUNNING" });

  const answer = await explain(plane, id);

  assert.equal(answer.flow_run.state_type, "FAILED");
  assert.deepEqual([answer.reason_code, answer.blame], ["PAUSE_EXPIRED", "operator"]);
});

test("a run that failed before its flow began is not the flow's fault", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createRunIn(plane, "PENDING");
  await setState(plane, id, { type: "FAILED", message: "Submission failed. OSError: no space" });

  const answer = await explain(plane, id);

  assert.deepEqual([answer.reason_code, answer.blame], ["START_FAILED", "infrastructure"]);
});

const CRASHES: [message: string, hasRun: boolean, code: string, blame: string | null][] = [
  ["The run could not be started. IMAGE_NOT_FOUND: There is no image etl:1.", false, "START_FAILED", "operator"],
  ["The run could not be started. DOCKER_UNREACHABLE: The engine is away.", false, "START_FAILED", "infrastructure"],
  ["The run could not be started. Cannot read properties of undefined.", false, "START_FAILED", "flowyard"],
  ["Failed to submit flow run to infrastructure: RuntimeError: no docker", false, "START_FAILED", "infrastructure"],
  [
    'Container "x" ran out of memory: the kernel killed a process of it at its memory limit (mem_limit 64m). Exit code 137.',
    true,
    "OUT_OF_MEMORY",
    "infrastructure",
  ],
  [
    'Container "x" ended with exit code 127: its command was not found (is Prefect installed there?).',
    false,
    "INFRASTRUCTURE_ENDED",
    "operator",
  ],
  [
    'Container "x" ended with exit code 137: it was killed from outside (SIGKILL), and not for want of memory.',
    true,
    "INFRASTRUCTURE_ENDED",
    "infrastructure",
  ],
  [
    'Container "x" ended with exit code 0, but its flow run had reported no final state.',
    true,
    "INFRASTRUCTURE_ENDED",
    "user_code",
  ],
  ["Flow run infrastructure exited with non-zero status code 1. An error.", false, "INFRASTRUCTURE_ENDED", "operator"],
  ["Process exited with status code: -9. It was killed.", true, "INFRASTRUCTURE_ENDED", "infrastructure"],
  ['The container "x" was removed by somebody before it had ended.', true, "INFRASTRUCTURE_ENDED", "operator"],
  ["Execution was aborted by a termination signal.", true, "INTERRUPTED", "infrastructure"],
  ["something else", true, "CRASHED", null],
];

for (const [message, hasRun, code, blame] of CRASHES) {
  test(`a crash that says "${message}" is ${code}, of ${blame}`, async () => {
    await using plane = await buildTestPlane();
    const { id } = await createRunIn(plane, "PENDING", ...(hasRun ? ["RUNNING"] : []));
    await beat(plane, "w1");
    await setState(plane, id, { type: "CRASHED", message });

    const answer = await explain(plane, id);

    assert.deepEqual([answer.reason_code, answer.blame], [code, blame]);
    assert.ok(answer.sentence.includes(message.slice(0, 30)), answer.sentence);
    assert.notEqual(answer.next_step, "");
  });
}

test("a cancelled run says when that was asked for, and whether its flow had begun", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createRunIn(plane, "PENDING", "RUNNING");
  await setState(plane, id, { type: "CANCELLING" });
  plane.moveClock(3);
  await setState(plane, id, { type: "CANCELLED", message: 'Cancelled; container "x" has ended.' });

  const answer = await explain(plane, id);

  assert.deepEqual([answer.reason_code, answer.blame], ["CANCELLED", "operator"]);
  assert.match(
    answer.sentence,
    /^Somebody cancelled the run while its flow was running; that was asked for at .* UTC: Cancelled; container/,
  );
});

test("a run that a full limit cancelled is told from one that a person cancelled", async () => {
  await using plane = await buildTestPlane();
  const options = { concurrency_limit: 1, concurrency_options: { collision_strategy: "CANCEL_NEW" } };
  const { id: deploymentId } = await createDeployment(plane, options);
  const [holder, run] = [await createRun(plane, deploymentId), await createRun(plane, deploymentId)];
  await setState(plane, holder.id, { type: "PENDING" });
  await setState(plane, run.id, { type: "PENDING" });

  assert.deepEqual(await codes(plane, run.id), ["CANCELLED_BY_LIMIT"]);
});

test("a subflow that was cancelled with its parent says so", async () => {
  await using plane = await buildTestPlane();
  const { id } = await createRunIn(plane, "PENDING", "RUNNING");
  await setState(plane, id, { type: "CANCELLED", message: "The parent flow run was cancelled." }, true);

  assert.deepEqual(await codes(plane, id), ["CANCELLED_WITH_PARENT"]);
});

test("a run that a worker cancelled for want of its deployment says so", async () => {
  await using plane = await buildTestPlane();
  const { id, deployment_id } = await createRunIn(plane);
  await setState(plane, id, { type: "CANCELLED", message: `Deployment ${deployment_id} no longer exists.` }, true);

  assert.deepEqual(await codes(plane, id), ["CANCELLED_WITHOUT_DEPLOYMENT"]);
});
