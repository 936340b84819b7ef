import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { decideTransition } from "../../src/orchestration/states/state-rules.ts";
import { buildState, type Decision, type DeploymentConcurrency } from "../../src/orchestration/states/transition.ts";
import { EmpiricalPolicy } from "../../src/prefect-api/flow-runs.ts";
import { addSeconds } from "../../src/prefect-api/timestamp.ts";
import { buildTransition, NOW } from "./build-transition.ts";

const LEASE = "00000000-0000-4000-8000-00000000000b";
const FREE: DeploymentConcurrency = {
  limit: 1,
  takenByOthers: 0,
  leaseHeld: false,
  collisionStrategy: "ENQUEUE",
  graceSeconds: 120,
};
const FULL: DeploymentConcurrency = { ...FREE, takenByOthers: 1 };

function decide(...args: Parameters<typeof buildTransition>): Decision {
  return decideTransition({ ...buildTransition(...args), force: false });
}

function withLease(type: "PENDING" | "RUNNING" | "CANCELLING") {
  return buildState(type, { details: { deployment_concurrency_lease_id: LEASE } });
}

suite("a deployment with a concurrency limit", () => {
  test("a run takes a slot with PENDING", () => {
    const decision = decide("SCHEDULED", "PENDING", { concurrency: FREE });

    assert.ok(decision.status === "ACCEPT");
    assert.deepEqual(decision.change.slot, { action: "take", leaseSeconds: 120 });
  });

  test("a run before a full limit waits 30 s, or is cancelled, as the deployment says", () => {
    const waits = decide("SCHEDULED", "PENDING", { concurrency: FULL });
    const cancelled = decide("SCHEDULED", "PENDING", { concurrency: { ...FULL, collisionStrategy: "CANCEL_NEW" } });

    assert.ok(waits.status === "REJECT" && cancelled.status === "REJECT");
    assert.equal(waits.reasonCode, "CONCURRENCY_LIMIT_REACHED");
    assert.equal(waits.change?.state.name, "AwaitingConcurrencySlot");
    assert.equal(waits.change?.state.state_details.scheduled_time, addSeconds(NOW, 30));
    assert.equal(cancelled.change?.state.type, "CANCELLED");
  });

  test("a limit of 0 aborts, because no slot will ever be free", () => {
    const decision = decide("SCHEDULED", "PENDING", { concurrency: { ...FREE, limit: 0 } });

    assert.ok(decision.status === "ABORT");
    assert.equal(decision.reasonCode, "CONCURRENCY_LIMIT_ZERO");
  });

  test("an AwaitingConcurrencySlot run is taken when a slot is free", () => {
    const from = buildState("SCHEDULED", { name: "AwaitingConcurrencySlot", details: { scheduled_time: NOW } });

    assert.equal(decide(from, "PENDING", { concurrency: FREE }).status, "ACCEPT");
  });

  test("Submitting takes no second slot", () => {
    const decision = decide(withLease("PENDING"), buildState("PENDING", { name: "Submitting" }), { concurrency: FULL });

    assert.ok(decision.status === "ACCEPT");
    assert.deepEqual(decision.change.slot, { action: "keep" });
  });

  test("a lease that ended while infrastructure was made is taken again, or the run stops", () => {
    const held = decide(withLease("PENDING"), "RUNNING", { concurrency: { ...FULL, leaseHeld: true } });
    const again = decide(withLease("PENDING"), "RUNNING", { concurrency: FREE });
    const lost = decide(withLease("PENDING"), "RUNNING", { concurrency: FULL });

    assert.ok(held.status === "ACCEPT" && again.status === "ACCEPT" && lost.status === "REJECT");
    assert.deepEqual(held.change.slot, { action: "take", leaseSeconds: 120 });
    assert.deepEqual(again.change.slot, { action: "take", leaseSeconds: 120 });
    assert.equal(lost.reasonCode, "SLOT_LOST");
    assert.equal(lost.change?.state.type, "CANCELLED");
    assert.deepEqual(lost.change?.slot, { action: "free" });
  });

  test("every way out of PENDING, RUNNING and CANCELLING frees the slot, by force as well", () => {
    for (const from of ["PENDING", "RUNNING"] as const) {
      for (const to of ["SCHEDULED", "COMPLETED", "FAILED", "CANCELLED", "CRASHED"] as const) {
        for (const force of [false, true]) {
          const decision = decideTransition({ ...buildTransition(withLease(from), to, { concurrency: FULL }), force });

          assert.ok(decision.status === "ACCEPT");
          assert.deepEqual(decision.change.slot, { action: "free" }, `${from} → ${to}`);
        }
      }
    }
    const cancelled = decide(withLease("CANCELLING"), "CANCELLED", { concurrency: FULL });
    assert.ok(cancelled.status === "ACCEPT");
    assert.deepEqual(cancelled.change.slot, { action: "free" });
  });

  test("a retry in the same process keeps slot and lease; a reschedule frees the slot", () => {
    const run = { run_count: 1, empirical_policy: EmpiricalPolicy.parse({ retries: 1 }) };

    const retry = decide(withLease("RUNNING"), "FAILED", { run, concurrency: FULL });
    const reschedule = decide(withLease("RUNNING"), buildState("SCHEDULED", { name: "AwaitingRetry" }), {
      run,
      concurrency: FULL,
    });

    assert.ok(retry.status === "REJECT" && reschedule.status === "ACCEPT");
    assert.deepEqual(retry.change?.slot, { action: "keep" });
    assert.equal(retry.change?.state.state_details.deployment_concurrency_lease_id, LEASE);
    assert.deepEqual(reschedule.change.slot, { action: "free" });
  });

  test("a pause in the process keeps slot and lease, whatever ends it; a suspension frees the slot", () => {
    const paused = buildState("PAUSED", { details: { pause_reschedule: false, pause_timeout: addSeconds(NOW, 60) } });
    const suspended = buildState("PAUSED", { details: { pause_reschedule: true, pause_timeout: addSeconds(NOW, 60) } });
    const held = { ...paused, state_details: { ...paused.state_details, deployment_concurrency_lease_id: LEASE } };

    const pause = decide(withLease("RUNNING"), paused, { concurrency: FULL });
    const suspension = decide(withLease("RUNNING"), suspended, { concurrency: FULL });
    const resumed = decide(held, "RUNNING", { concurrency: FULL });
    const ended = decide(held, "FAILED", { concurrency: FULL });

    assert.ok(pause.status === "ACCEPT" && suspension.status === "ACCEPT");
    assert.deepEqual(pause.change.slot, { action: "keep" });
    assert.equal(pause.change.state.state_details.deployment_concurrency_lease_id, LEASE);
    assert.deepEqual(suspension.change.slot, { action: "free" });
    assert.ok(resumed.status === "ACCEPT" && ended.status === "ACCEPT");
    assert.deepEqual(resumed.change.slot, { action: "keep" });
    assert.deepEqual(ended.change.slot, { action: "free" });
  });

  test("a lease id that a client sends back as null is carried forward", () => {
    const decision = decideTransition({ ...buildTransition(withLease("RUNNING"), "CANCELLING"), force: true });

    assert.ok(decision.status === "ACCEPT");
    assert.equal(decision.change.state.state_details.deployment_concurrency_lease_id, LEASE);
  });
});
