import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import {
  buildParentTaskState,
  enterState,
  NO_STATE,
  type RunTimes,
} from "../../src/orchestration/states/bookkeeping.ts";
import { decideTransition } from "../../src/orchestration/states/state-rules.ts";
import { buildState, type StateDraft, type TransitionRun } from "../../src/orchestration/states/transition.ts";
import { EmpiricalPolicy } from "../../src/prefect-api/flow-runs.ts";
import { isTerminal, STATE_TYPES, type StateType } from "../../src/prefect-api/states.ts";
import { addSeconds } from "../../src/prefect-api/timestamp.ts";
import { NOW } from "./build-transition.ts";

type Run = TransitionRun & RunTimes;

function buildRun(parts: Partial<Run> = {}): Run {
  return {
    id: "00000000-0000-4000-8000-000000000002",
    deployment_id: null,
    parent_task_run_id: null,
    infrastructure_pid: null,
    empirical_policy: EmpiricalPolicy.parse({}),
    state: null,
    ...NO_STATE,
    ...parts,
  };
}

function enter(run: Run, draft: StateDraft, now: string, policy = run.empirical_policy): Run {
  const write = { stateId: `${run.id.slice(0, -1)}s`, now, clientApiVersion: null };
  const entered = enterState(run, draft, policy, write);
  return { ...run, ...entered.times, state: entered.state, empirical_policy: entered.policy };
}

suite("what a state change writes on its run", () => {
  test("a run from SCHEDULED to COMPLETED", () => {
    const scheduledTime = addSeconds(NOW, 10);

    const scheduled = enter(buildRun(), buildState("SCHEDULED", { details: { scheduled_time: scheduledTime } }), NOW);
    const pending = enter(scheduled, buildState("PENDING"), addSeconds(NOW, 11));
    const running = enter(pending, buildState("RUNNING"), addSeconds(NOW, 15));
    const completed = enter(running, buildState("COMPLETED"), addSeconds(NOW, 18.5));

    assert.deepEqual(
      [scheduled.expected_start_time, scheduled.next_scheduled_start_time],
      [scheduledTime, scheduledTime],
    );
    assert.equal(pending.next_scheduled_start_time, null);
    assert.deepEqual([running.run_count, running.start_time], [1, addSeconds(NOW, 15)]);
    assert.deepEqual(
      [completed.start_time, completed.end_time, completed.total_run_time, completed.expected_start_time],
      [addSeconds(NOW, 15), addSeconds(NOW, 18.5), 3.5, scheduledTime],
    );
    assert.equal(completed.state?.state_details.flow_run_id, completed.id);
  });

  test("states within one clock tick get increasing timestamps", () => {
    const first = enter(buildRun(), buildState("PENDING"), NOW);
    const second = enter(first, buildState("RUNNING"), NOW);

    assert.equal(second.state_timestamp, "2026-11-24T12:00:00.000001Z");
  });

  test("a run that crashes before it ran starts and ends at that moment", () => {
    const crashed = enter(enter(buildRun(), buildState("PENDING"), NOW), buildState("CRASHED"), addSeconds(NOW, 1));

    assert.deepEqual([crashed.start_time, crashed.end_time], [addSeconds(NOW, 1), addSeconds(NOW, 1)]);
    assert.equal(crashed.run_count, 0);
  });

  test("leaving the end clears end_time and keeps the first start", () => {
    const failed = enter(enter(buildRun(), buildState("RUNNING"), NOW), buildState("FAILED"), addSeconds(NOW, 1));
    const again = enter(failed, buildState("RUNNING"), addSeconds(NOW, 60));

    assert.deepEqual([again.end_time, again.start_time, again.run_count, again.total_run_time], [null, NOW, 2, 1]);
  });

  test("resuming does not count as another attempt, and is over with RUNNING", () => {
    const paused = enter(enter(buildRun(), buildState("RUNNING"), NOW), buildState("PAUSED"), addSeconds(NOW, 1));
    const policy = { ...paused.empirical_policy, resuming: true };

    const resumed = enter(paused, buildState("RUNNING"), addSeconds(NOW, 2), policy);

    assert.equal(resumed.run_count, 1);
    assert.equal(resumed.empirical_policy.resuming, false);
  });

  test("a subflow's state is told to the task run that stands for it", () => {
    const subflow = enter(buildRun({ parent_task_run_id: "t" }), buildState("RUNNING"), NOW);
    assert.ok(subflow.state !== null);

    const mirrored = buildParentTaskState({ ...NO_STATE, id: "t", flow_run_id: "parent" }, subflow.state, {
      stateId: "s",
      now: NOW,
    });

    assert.equal(subflow.state.state_details.task_run_id, "t");
    assert.deepEqual(
      [mirrored.id, mirrored.type, mirrored.state_details.child_flow_run_id, mirrored.state_details.flow_run_id],
      ["s", "RUNNING", subflow.id, "parent"],
    );
  });
});

const command = fc.record({
  type: fc.constantFrom(...STATE_TYPES),
  name: fc.constantFrom(null, "Late", "AwaitingRetry", "Submitting", "Resuming", "Suspended"),
  force: fc.boolean(),
  seconds: fc.integer({ min: 0, max: 120 }),
  persisted: fc.boolean(),
});

suite("any sequence of proposals", () => {
  test("keeps timestamps increasing, the ends of runs, and the columns that polling reads, true", () => {
    const start = fc.record({
      retries: fc.constantFrom(null, 0, 2),
      deployment: fc.boolean(),
      infrastructure: fc.boolean(),
    });
    fc.assert(
      fc.property(start, fc.array(command, { maxLength: 30 }), ({ retries, deployment, infrastructure }, commands) => {
        let run = buildRun({
          deployment_id: deployment ? "d" : null,
          infrastructure_pid: infrastructure ? "pid" : null,
          empirical_policy: EmpiricalPolicy.parse({ retries }),
        });
        let now = NOW;
        for (const { type, name, force, seconds, persisted } of commands) {
          now = addSeconds(now, seconds);
          const proposed = buildState(type, {
            ...(name === null ? {} : { name }),
            data: persisted ? { type: "reference" } : null,
            details: type === "SCHEDULED" ? { scheduled_time: now } : {},
          });
          const decision = decideTransition({
            run,
            proposed,
            clientApiVersion: null,
            concurrency: null,
            gates: [],
            now,
            force,
          });
          const change = decision.status === "ACCEPT" || decision.status === "REJECT" ? decision.change : null;
          if (change === null) {
            continue;
          }
          const before = run;
          run = enter(run, change.state, now, change.policy);
          assertConsistent(before, run, force);
        }
      }),
      { numRuns: 300 },
    );
  });
});

function assertConsistent(before: Run, after: Run, force: boolean): void {
  const type: StateType | null = after.state_type;
  assert.ok(type !== null && after.state_timestamp !== null);
  assert.ok(before.state_timestamp === null || before.state_timestamp < after.state_timestamp);
  assert.equal(after.end_time !== null, isTerminal(type));
  assert.equal(after.next_scheduled_start_time !== null, type === "SCHEDULED");
  assert.ok(after.run_count - before.run_count <= (type === "RUNNING" ? 1 : 0));
  assert.ok(after.total_run_time >= before.total_run_time);
  assert.ok(after.start_time === null || after.start_time === (before.start_time ?? after.start_time));
  if (!force && before.state_type !== null && isTerminal(before.state_type)) {
    assert.ok(!["PENDING", "PAUSED", "CANCELLING", "CRASHED"].includes(type), `${before.state_type} → ${type}`);
  }
  if (!force && before.state_type === "CANCELLING") {
    assert.equal(type, "CANCELLED");
  }
}
