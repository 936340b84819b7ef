import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { decideLate, decideTransition } from "../../src/orchestration/states/state-rules.ts";
import { buildState, type Decision } from "../../src/orchestration/states/transition.ts";
import { EmpiricalPolicy } from "../../src/prefect-api/flow-runs.ts";
import { STATE_TYPES, type StateType } from "../../src/prefect-api/states.ts";
import { addSeconds } from "../../src/prefect-api/timestamp.ts";
import { buildTransition, EARLIER, LATER, NOW } from "./build-transition.ts";

/*
 * A accepted, r rejected and kept, C rejected and CANCELLED written instead, x aborted. Columns in the order of
 * STATE_TYPES. Recorded from Prefect 3.9.1 for a run of a deployment; a * marks where we are stricter: there Prefect
 * accepts PENDING from a run that has ended, and so lets a stale poll list start it twice.
 */
const OUTCOMES: Record<StateType | "none", string> = {
  //         SCH PEN RUN PAU CLG COM FAI CND CRA
  none: "      A   A   A   x   A   A   A   A   A",
  SCHEDULED: " A   A   A   r   C   A   A   A   A",
  PENDING: "   A   x   A   r   A   A   A   A   A",
  RUNNING: "   A   x   A   A   A   A   A   A   A",
  PAUSED: "    A   r   A   r   A   A   A   A   A",
  CANCELLING: "r   r   r   r   r   r   r   A   r",
  COMPLETED: " A   x*  A   x   x   A   A   A   x",
  FAILED: "    A   x*  A   x   x   A   A   A   x",
  CANCELLED: " A   x   A   x   x   A   A   A   x",
  CRASHED: "   A   x*  A   x   x   A   A   A   x",
};

/** Terminal runs without a deployment cannot be scheduled again; nothing else differs. */
const ENDED: ReadonlySet<string> = new Set(["COMPLETED", "FAILED", "CANCELLED", "CRASHED"]);

function letterOf(decision: Decision): string {
  switch (decision.status) {
    case "ACCEPT":
      return "A";
    case "ABORT":
      return "x";
    case "WAIT":
      return "w";
    case "REJECT":
      return decision.change === null ? "r" : decision.change.state.type === "CANCELLED" ? "C" : "?";
  }
}

suite("every pair of state types", () => {
  for (const from of ["none", ...STATE_TYPES] as const) {
    const letters = OUTCOMES[from].trim().replaceAll("*", "").split(/\s+/);
    for (const [column, to] of STATE_TYPES.entries()) {
      const expected = letters[column];

      test(`${from} → ${to} is ${expected}`, () => {
        const transition = buildTransition(from === "none" ? null : from, to);

        const decision = decideTransition({ ...transition, force: false });

        assert.equal(letterOf(decision), expected);
        if (decision.status === "ACCEPT") {
          assert.equal(decision.change.state.type, to);
        }
      });

      test(`${from} → ${to} without a deployment`, () => {
        const transition = buildTransition(from === "none" ? null : from, to, { run: { deployment_id: null } });

        const decision = decideTransition({ ...transition, force: false });

        assert.equal(letterOf(decision), ENDED.has(from) && to === "SCHEDULED" ? "x" : expected);
      });

      test(`${from} → ${to} by force`, () => {
        const decision = decideTransition({ ...buildTransition(from === "none" ? null : from, to), force: true });

        assert.equal(letterOf(decision), from === "SCHEDULED" && to === "CANCELLING" ? "C" : "A");
      });
    }
  }
});

function decide(...args: Parameters<typeof buildTransition>): Decision {
  return decideTransition({ ...buildTransition(...args), force: false });
}

function assertStopped(decision: Decision, status: string, reasonCode: string): void {
  assert.equal(decision.status, status);
  assert.equal("reasonCode" in decision ? decision.reasonCode : null, reasonCode);
}

const PERSISTED = { type: "reference", storage_key: "k" };

suite("a run that has ended", () => {
  test("a COMPLETED run with a stored result cannot be started again", () => {
    const from = buildState("COMPLETED", { data: PERSISTED });

    assertStopped(decide(from, "RUNNING"), "REJECT", "RUN_ENDED");
    assertStopped(decide(from, "SCHEDULED"), "REJECT", "RUN_ENDED");
  });

  test("a COMPLETED run whose result was not stored can be executed again", () => {
    for (const data of [null, {}, { type: "unpersisted" }, ["a"], "text"]) {
      assert.equal(decide(buildState("COMPLETED", { data }), "RUNNING").status, "ACCEPT");
    }
  });

  test("a stored result is kept even when a bare COMPLETED is forced over it", () => {
    const transition = buildTransition(buildState("COMPLETED", { data: PERSISTED }), "COMPLETED");

    assertStopped(decideTransition({ ...transition, force: false }), "REJECT", "RESULT_KEPT");
    assertStopped(decideTransition({ ...transition, force: true }), "REJECT", "RESULT_KEPT");
  });

  test("leaving the end forgets pauses and says how the run starts again", () => {
    const empirical_policy = EmpiricalPolicy.parse({ pause_keys: ["a"], resuming: true, retry_type: "in_process" });

    const scheduled = decide("FAILED", "SCHEDULED", { run: { empirical_policy } });
    const running = decide("FAILED", "RUNNING", { run: { empirical_policy } });

    assert.ok(scheduled.status === "ACCEPT" && running.status === "ACCEPT");
    assert.deepEqual(scheduled.change.policy, {
      ...empirical_policy,
      pause_keys: [],
      resuming: false,
      retry_type: "reschedule",
    });
    assert.equal(running.change.policy.retry_type, null);
  });
});

suite("a repeated proposal", () => {
  const transitionId = "00000000-0000-4000-8000-00000000000a";
  const from = buildState("RUNNING", { details: { transition_id: transitionId } });

  test("with the transition id of the current state is refused and changes nothing", () => {
    const decision = decide(from, buildState("RUNNING", { details: { transition_id: transitionId } }));

    assertStopped(decision, "REJECT", "SAME_TRANSITION");
    assert.equal(decision.status === "REJECT" && decision.change, null);
  });

  test("with another transition id is judged on its own", () => {
    assert.equal(decide(from, buildState("COMPLETED", { details: { transition_id: null } })).status, "ACCEPT");
  });
});

suite("cancelling", () => {
  test("a scheduled run that has infrastructure goes through CANCELLING", () => {
    const parts = { run: { infrastructure_pid: "4711" } };

    assert.equal(decide("SCHEDULED", "CANCELLING", parts).status, "ACCEPT");
  });

  test("a Resuming or Suspended run has no infrastructure and is CANCELLED at once", () => {
    const resuming = buildState("SCHEDULED", { name: "Resuming", details: { scheduled_time: EARLIER } });
    const suspended = buildState("PAUSED", { name: "Suspended", details: { pause_reschedule: true } });
    const parts = { run: { infrastructure_pid: "4711" } };

    for (const from of [resuming, suspended]) {
      const decision = decide(from, "CANCELLING", parts);

      assertStopped(decision, "REJECT", "NO_INFRASTRUCTURE");
      assert.equal(letterOf(decision), "C");
    }
  });
});

suite("PENDING is entered once", () => {
  test("a worker's sub-state follows Pending and keeps its time and lease", () => {
    const lease = "00000000-0000-4000-8000-00000000000b";
    const from = buildState("PENDING", {
      details: { scheduled_time: EARLIER, deployment_concurrency_lease_id: lease },
    });

    const decision = decide(from, buildState("PENDING", { name: "Submitting" }));

    assert.ok(decision.status === "ACCEPT");
    assert.equal(decision.change.state.name, "Submitting");
    assert.equal(decision.change.state.state_details.scheduled_time, EARLIER);
    assert.equal(decision.change.state.state_details.deployment_concurrency_lease_id, lease);
  });

  test("neither the same sub-state nor Pending again is accepted", () => {
    const submitting = buildState("PENDING", { name: "Submitting" });

    assertStopped(decide(submitting, submitting), "ABORT", "ALREADY_TAKEN");
    assertStopped(decide(submitting, "PENDING"), "ABORT", "ALREADY_TAKEN");
  });

  test("the scheduled time is copied, unless PENDING brings its own", () => {
    const copied = decide("SCHEDULED", "PENDING");
    const own = decide("SCHEDULED", buildState("PENDING", { details: { scheduled_time: NOW } }));

    assert.ok(copied.status === "ACCEPT" && own.status === "ACCEPT");
    assert.equal(copied.change.state.state_details.scheduled_time, EARLIER);
    assert.equal(own.change.state.state_details.scheduled_time, NOW);
  });
});

suite("Late", () => {
  const late = buildState("SCHEDULED", { name: "Late", details: { scheduled_time: EARLIER } });

  test("only a scheduled run turns late, and once", () => {
    assert.equal(decideLate(buildTransition("SCHEDULED", late)).status, "ACCEPT");
    assertStopped(decideLate(buildTransition("PENDING", late)), "REJECT", "NOT_SCHEDULED");
    assertStopped(decideLate(buildTransition(late, late)), "REJECT", "SAME_TRANSITION");
    assertStopped(decide("RUNNING", late), "REJECT", "NOT_SCHEDULED");
  });

  test("a late run is still taken by a worker", () => {
    assert.equal(decide(late, "PENDING").status, "ACCEPT");
  });

  test("a run behind a full limit that cancels new runs is cancelled instead", () => {
    const concurrency = {
      limit: 1,
      takenByOthers: 1,
      leaseHeld: false,
      collisionStrategy: "CANCEL_NEW" as const,
      graceSeconds: 300,
    };

    assert.equal(letterOf(decideLate(buildTransition("SCHEDULED", late, { concurrency }))), "C");
    assert.equal(
      decideLate(buildTransition("SCHEDULED", late, { concurrency: { ...concurrency, collisionStrategy: "ENQUEUE" } }))
        .status,
      "ACCEPT",
    );
  });
});

suite("starting before the time", () => {
  test("RUNNING waits for the whole seconds that are left", () => {
    for (const type of ["SCHEDULED", "PENDING"] as const) {
      const from = buildState(type, { details: { scheduled_time: LATER } });

      const decision = decide(from, "RUNNING");

      assertStopped(decision, "WAIT", "TOO_EARLY");
      assert.equal(decision.status === "WAIT" && decision.delaySeconds, 60);
    }
  });

  test("less than half a second counts as now", () => {
    const from = buildState("PENDING", { details: { scheduled_time: addSeconds(NOW, 0.4) } });

    assert.equal(decide(from, "RUNNING").status, "ACCEPT");
  });

  test("an AwaitingRetry run waits for its delay too", () => {
    const from = buildState("SCHEDULED", { name: "AwaitingRetry", details: { scheduled_time: LATER } });

    assertStopped(decide(from, "RUNNING"), "WAIT", "TOO_EARLY");
  });
});

suite("retries", () => {
  const empirical_policy = EmpiricalPolicy.parse({ retries: 2, retry_delay: 30, pause_keys: ["a"], resuming: true });
  const failed = buildState("FAILED", { message: "boom", data: PERSISTED });

  test("a failed attempt with retries left becomes AwaitingRetry after the delay", () => {
    const decision = decide("RUNNING", failed, { run: { empirical_policy, run_count: 2 } });

    assertStopped(decision, "REJECT", "RETRYING");
    assert.ok(decision.status === "REJECT" && decision.change !== null);
    const { state, policy } = decision.change;
    assert.equal(state.type, "SCHEDULED");
    assert.equal(state.name, "AwaitingRetry");
    assert.equal(state.message, "boom");
    assert.deepEqual(state.data, PERSISTED);
    assert.equal(state.state_details.scheduled_time, addSeconds(NOW, 30));
    assert.deepEqual(policy, { ...empirical_policy, resuming: false, pause_keys: [], retry_type: "in_process" });
  });

  test("the attempt after the last retry stays FAILED", () => {
    const decision = decide("RUNNING", failed, { run: { empirical_policy, run_count: 3 } });

    assert.ok(decision.status === "ACCEPT");
    assert.equal(decision.change.state.type, "FAILED");
    assert.equal(decision.change.policy.retry_type, null);
  });

  test("CRASHED is not retried", () => {
    assert.equal(decide("RUNNING", "CRASHED", { run: { empirical_policy, run_count: 1 } }).status, "ACCEPT");
  });
});
