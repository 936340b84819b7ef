import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, suite, test } from "node:test";
import { LiveBus } from "../../src/orchestration/events/live-bus.ts";
import { type StateProposal, setFlowRunState } from "../../src/orchestration/states/set-flow-run-state.ts";
import type { ReceivedEvent } from "../../src/prefect-api/events.ts";
import { StateCreate } from "../../src/prefect-api/states.ts";
import { timestampFromDate } from "../../src/prefect-api/timestamp.ts";
import { silentLogger } from "../../src/shared/logger.ts";
import { openTestStore, type TestStore } from "../support/open-test-store.ts";
import { insertFlowRun } from "./build-flow-run.ts";

const NOW = new Date("2026-11-24T12:00:00.000Z");

function secondsLater(seconds: number): Date {
  return new Date(NOW.getTime() + seconds * 1000);
}

suite("setting a flow run's state", () => {
  let opened: TestStore;
  let bus: LiveBus;
  let published: ReceivedEvent[];

  beforeEach(async () => {
    opened = await openTestStore({ now: () => NOW });
    bus = new LiveBus();
    published = [];
    bus.subscribeToEvents((event) => published.push(event));
  });
  afterEach(() => opened[Symbol.asyncDispose]());

  function propose(flowRunId: string, state: unknown, now = secondsLater(1), parts: Partial<StateProposal> = {}) {
    const proposal = {
      flowRunId,
      state: StateCreate.parse(state),
      mode: "normal" as const,
      clientApiVersion: null,
      ...parts,
    };
    return setFlowRunState({ store: opened.store, bus, logger: silentLogger }, proposal, now);
  }

  test("an accepted state is the run's, in its history, and its event is stored and published", async () => {
    const id = await insertFlowRun(opened.store, NOW);

    const { result, written } = await propose(id, { type: "PENDING" });

    const flowRun = await opened.store.flowRuns.get(id);
    assert.equal(result.status, "ACCEPT");
    assert.equal(written, true);
    assert.deepEqual(flowRun.state, result.state);
    assert.equal(flowRun.next_scheduled_start_time, null);
    assert.deepEqual(
      (await opened.store.flowRuns.listStates(id)).map(({ name }) => name),
      ["Scheduled", "Pending"],
    );
    assert.deepEqual(await opened.store.events.list({ order: "ASC" }, { after: null, limit: 10 }), published);
    const event = published.at(0);
    assert.equal(event?.event, "prefect.flow-run.Pending");
    assert.equal(event?.id, result.state?.id);
    assert.deepEqual(event?.payload, {
      intended: { from: "SCHEDULED", to: "PENDING" },
      initial_state: { type: "SCHEDULED", name: "Scheduled" },
      validated_state: { type: "PENDING", name: "Pending" },
    });
    assert.deepEqual(
      event?.related.map((related) => related["prefect.resource.id"]),
      [`prefect.flow.${flowRun.flow_id}`, "prefect.tag.t"],
    );
  });

  test("of two workers that propose PENDING at once, one wins", async () => {
    const id = await insertFlowRun(opened.store, NOW);

    const answers = await Promise.all([1, 2, 3, 4].map(() => propose(id, { type: "PENDING" })));

    assert.deepEqual(
      answers.map(({ result }) => result.status),
      ["ACCEPT", "ABORT", "ABORT", "ABORT"],
    );
    assert.equal(published.length, 1);
  });

  test("a stale PENDING proposal does not start a finished run again", async () => {
    const id = await insertFlowRun(opened.store, NOW, { first: { type: "RUNNING" } });
    await propose(id, { type: "COMPLETED" });

    const { result, written } = await propose(id, { type: "PENDING" }, secondsLater(2));

    assert.equal(result.status, "ABORT");
    assert.equal(written, false);
    assert.equal(result.state?.type, "COMPLETED");
  });

  test("cancelling a waiting run is rejected with the CANCELLED state that was written", async () => {
    const id = await insertFlowRun(opened.store, NOW);

    const { result, written } = await propose(id, { type: "CANCELLING" });

    assert.deepEqual([result.status, result.state?.type, written], ["REJECT", "CANCELLED", true]);
    assert.equal(published.at(0)?.event, "prefect.flow-run.Cancelled");
  });

  test("an unknown run is NOT_FOUND and writes nothing", async () => {
    await assert.rejects(propose(randomUUID(), { type: "PENDING" }), { code: "NOT_FOUND" });

    assert.equal(published.length, 0);
  });

  test("a retried lost answer carries the state that was written the first time", async () => {
    const id = await insertFlowRun(opened.store, NOW);
    const state = { type: "PENDING", state_details: { transition_id: randomUUID() } };
    const first = await propose(id, state);

    const second = await propose(id, state, secondsLater(2));

    assert.deepEqual([second.result.status, second.written], ["REJECT", false]);
    assert.deepEqual(second.result.state, first.result.state);
  });

  test("a retry by a person forgets the infrastructure of the attempt before", async () => {
    const id = await insertFlowRun(opened.store, NOW, {
      first: { type: "FAILED" },
      deployment_id: randomUUID(),
      infrastructure_pid: "4711",
    });

    await propose(id, { type: "SCHEDULED" }, secondsLater(1), { mode: "forced" });
    const cancelled = await propose(id, { type: "CANCELLING" }, secondsLater(2));

    assert.equal(cancelled.result.state?.type, "CANCELLED");
  });

  test("a subflow's state is mirrored on its parent's task run", async () => {
    const taskRunId = randomUUID();
    const timestamp = timestampFromDate(NOW);
    await opened.store.transaction((tx) =>
      tx.taskRuns.put({
        id: taskRunId,
        created: timestamp,
        updated: timestamp,
        name: "child-0",
        task_key: "child",
        dynamic_key: "0",
        empirical_policy: {},
        tags: [],
        task_inputs: {},
        run_count: 0,
        flow_run_run_count: 0,
        total_run_time: 0,
        state: null,
      }),
    );
    const id = await insertFlowRun(opened.store, NOW, { parent_task_run_id: taskRunId, first: { type: "PENDING" } });

    await propose(id, { type: "RUNNING" });

    const taskRun = await opened.store.taskRuns.get(taskRunId);
    assert.deepEqual([taskRun.state_type, taskRun.run_count], ["RUNNING", 1]);
    assert.equal(taskRun.state?.state_details.child_flow_run_id, id);
  });
});

suite("a deployment with one slot", () => {
  let opened: TestStore;
  let deploymentId: string;
  let flowId: string;
  const limitId = randomUUID();

  beforeEach(async () => {
    opened = await openTestStore({ now: () => NOW });
    const timestamp = timestampFromDate(NOW);
    flowId = randomUUID();
    deploymentId = randomUUID();
    const row = { created: timestamp, updated: timestamp };
    await opened.store.transaction(async (tx) => {
      await tx.flows.insert({ id: flowId, ...row, name: "f", tags: [], labels: {} });
      await tx.concurrencyLimits.insert({
        id: limitId,
        ...row,
        active: true,
        name: `deployment:${deploymentId}`,
        limit: 1,
        slot_decay_per_second: 0,
        avg_slot_occupancy_seconds: 2,
      });
      await tx.deployments.insert({
        id: deploymentId,
        ...row,
        name: "d",
        flow_id: flowId,
        paused: false,
        concurrency_limit_id: limitId,
        concurrency_options: { collision_strategy: "ENQUEUE", grace_period_seconds: 60 },
        job_variables: {},
        parameters: {},
        tags: [],
        labels: {},
        enforce_parameter_schema: true,
      });
    });
  });
  afterEach(() => opened[Symbol.asyncDispose]());

  function propose(flowRunId: string, state: unknown, now = NOW) {
    const proposal = { flowRunId, state: StateCreate.parse(state), mode: "normal" as const, clientApiVersion: null };
    return setFlowRunState({ store: opened.store, bus: new LiveBus(), logger: silentLogger }, proposal, now);
  }

  function insertRun() {
    return insertFlowRun(opened.store, NOW, { deployment_id: deploymentId, flow_id: flowId });
  }

  test("the second run waits until the first one has ended", async () => {
    const [first, second] = [await insertRun(), await insertRun()];

    const taken = await propose(first, { type: "PENDING" });
    const waiting = await propose(second, { type: "PENDING" });
    await propose(first, { type: "RUNNING" });
    await propose(first, { type: "COMPLETED" });
    const free = await propose(second, { type: "PENDING" });

    assert.ok(taken.result.state?.state_details.deployment_concurrency_lease_id);
    assert.deepEqual([waiting.result.status, waiting.result.state?.name], ["REJECT", "AwaitingConcurrencySlot"]);
    assert.equal(free.result.status, "ACCEPT");
  });

  test("a slot whose lease ended is free, and the run that lost it stops when it starts too late", async () => {
    const [first, second] = [await insertRun(), await insertRun()];
    await propose(first, { type: "PENDING" });

    const taken = await propose(second, { type: "PENDING" }, secondsLater(61));
    const lost = await propose(first, { type: "RUNNING" }, secondsLater(62));

    assert.equal(taken.result.status, "ACCEPT");
    assert.deepEqual([lost.result.status, lost.result.state?.type], ["REJECT", "CANCELLED"]);
  });
});
