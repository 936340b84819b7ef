import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { decideTransition } from "../../src/orchestration/states/state-rules.ts";
import { buildState, type Decision } from "../../src/orchestration/states/transition.ts";
import { EmpiricalPolicy } from "../../src/prefect-api/flow-runs.ts";
import { buildTransition, EARLIER, LATER } from "./build-transition.ts";

function decide(...args: Parameters<typeof buildTransition>): Decision {
  return decideTransition({ ...buildTransition(...args), force: false });
}

function assertStopped(decision: Decision, status: string, reasonCode: string): void {
  assert.equal(decision.status, status);
  assert.equal("reasonCode" in decision ? decision.reasonCode : null, reasonCode);
}

suite("pausing", () => {
  test("each pause fires once and leaves its key and its stale inputs", () => {
    const pause = buildState("PAUSED", {
      details: { pause_key: "k", run_input_keyset: { schema: "k-schema", response: "k-response" } },
    });

    const first = decide("RUNNING", pause);
    const second = decide("RUNNING", pause, {
      run: { empirical_policy: EmpiricalPolicy.parse({ pause_keys: ["k"] }) },
    });

    assert.ok(first.status === "ACCEPT");
    assert.deepEqual(first.change.policy.pause_keys, ["k"]);
    assert.deepEqual(first.change.staleInputKeys, ["k-schema", "k-response"]);
    assertStopped(second, "REJECT", "PAUSE_ALREADY_FIRED");
  });

  test("a flow without deployment or a subflow cannot be suspended", () => {
    const suspend = buildState("PAUSED", { name: "Suspended", details: { pause_reschedule: true } });

    assertStopped(decide("RUNNING", suspend, { run: { deployment_id: null } }), "ABORT", "NO_DEPLOYMENT");
    assertStopped(decide("RUNNING", suspend, { run: { parent_task_run_id: "t" } }), "ABORT", "SUBFLOW_CANNOT_SUSPEND");
    assert.equal(decide("RUNNING", suspend).status, "ACCEPT");
  });
});

suite("resuming", () => {
  const expired = buildState("PAUSED", { details: { pause_timeout: EARLIER } });

  test("marks the run as resuming, so that the attempt is not counted again", () => {
    const decision = decide(buildState("PAUSED", { details: { pause_timeout: LATER } }), "RUNNING");

    assert.ok(decision.status === "ACCEPT");
    assert.equal(decision.change.policy.resuming, true);
  });

  test("after the timeout the run fails instead", () => {
    const decision = decide(expired, "RUNNING");

    assertStopped(decision, "REJECT", "PAUSE_TIMED_OUT");
    assert.ok(decision.status === "REJECT");
    assert.equal(decision.change?.state.type, "FAILED");
  });

  test("a cancellation is accepted even after the timeout", () => {
    assert.equal(decide(expired, "CANCELLING").status, "ACCEPT");
  });

  test("a suspended run without a deployment cannot go on", () => {
    const suspended = buildState("PAUSED", { name: "Suspended", details: { pause_reschedule: true } });

    assertStopped(decide(suspended, "SCHEDULED", { run: { deployment_id: null } }), "REJECT", "NO_DEPLOYMENT");
  });

  test("a blocking pause that is rescheduled starts a new attempt from the top", () => {
    const empirical_policy = EmpiricalPolicy.parse({ pause_keys: ["k"] });

    const current = decide("PAUSED", "SCHEDULED", { run: { empirical_policy }, clientApiVersion: "0.8.4" });
    const older = decide("PAUSED", "SCHEDULED", { run: { empirical_policy }, clientApiVersion: "0.8.3" });

    assert.ok(current.status === "ACCEPT" && older.status === "ACCEPT");
    assert.deepEqual(
      [current.change.policy.resuming, current.change.policy.pause_keys, current.change.policy.retry_type],
      [false, [], "reschedule"],
    );
    assert.deepEqual([older.change.policy.resuming, older.change.policy.pause_keys], [true, ["k"]]);
  });

  test("a suspended run that is rescheduled keeps its pauses and resumes", () => {
    const suspended = buildState("PAUSED", { name: "Suspended", details: { pause_reschedule: true } });
    const empirical_policy = EmpiricalPolicy.parse({ pause_keys: ["k"] });

    const decision = decide(suspended, buildState("SCHEDULED", { name: "Resuming" }), { run: { empirical_policy } });

    assert.ok(decision.status === "ACCEPT");
    assert.deepEqual([decision.change.policy.resuming, decision.change.policy.pause_keys], [true, ["k"]]);
  });
});
