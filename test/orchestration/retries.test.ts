import assert from "node:assert/strict";
import { afterEach, beforeEach, suite, test } from "node:test";
import { resumeFlowRun } from "../../src/orchestration/states/resume-flow-run.ts";
import { setFlowRunState } from "../../src/orchestration/states/set-flow-run-state.ts";
import { EmpiricalPolicy } from "../../src/prefect-api/flow-runs.ts";
import { StateCreate } from "../../src/prefect-api/states.ts";
import { insertFlowRun } from "./build-flow-run.ts";
import { insertDeployment } from "./insert-deployment.ts";
import { type LoopBench, openLoopBench } from "./loop-deps.ts";

const NOW = new Date("2026-11-24T12:00:00.000Z");

suite("retries, suspensions and stale proposals", () => {
  let bench: LoopBench;
  beforeEach(async () => {
    bench = await openLoopBench(NOW);
  });
  afterEach(() => bench[Symbol.asyncDispose]());

  function propose(flowRunId: string, state: Record<string, unknown>, mode: "normal" | "forced" = "normal") {
    const proposal = { flowRunId, state: StateCreate.parse(state), mode, clientApiVersion: null };
    return setFlowRunState(bench.deps, proposal, bench.now());
  }

  async function insertRun(body: Record<string, unknown> = {}): Promise<string> {
    const deployment = await insertDeployment(bench.deps.store, NOW, body);
    const empirical_policy = EmpiricalPolicy.parse({ retries: 2, retry_delay: 30 });
    return await insertFlowRun(bench.deps.store, NOW, { ...deployment, empirical_policy });
  }

  async function failOnce(id: string): Promise<void> {
    await propose(id, { type: "PENDING" });
    await propose(id, { type: "RUNNING" });
    await propose(id, { type: "FAILED" });
  }

  function read(id: string) {
    return bench.deps.store.flowRuns.get(id);
  }

  test("a run that waits in its process for its retry is not started beside it by a stale poll list", async () => {
    const id = await insertRun();
    await failOnce(id);

    const { result } = await propose(id, { type: "PENDING" });

    assert.equal(result.status, "ABORT");
    assert.equal(result.details.reason_code, "ALREADY_TAKEN");
    assert.equal((await read(id)).state_name, "AwaitingRetry");
  });

  test("an answer that was lost is given again, also when another state was written than proposed", async () => {
    const id = await insertRun();
    await propose(id, { type: "PENDING" });
    await propose(id, { type: "RUNNING" });
    const failed = {
      type: "FAILED",
      state_details: { transition_id: "11111111-1111-4111-8111-111111111111" },
    };

    const first = await propose(id, failed);
    const second = await propose(id, failed);

    assert.equal(first.result.status, "REJECT");
    assert.equal(first.result.state?.name, "AwaitingRetry");
    assert.equal(second.result.status, "REJECT");
    assert.deepEqual(second.result.state, first.result.state);
    assert.equal(second.written, false);
  });

  test("a run that is suspended after a retry in its process waits for a worker when it is resumed", async () => {
    const id = await insertRun();
    await failOnce(id);
    bench.moveClock(31);
    await propose(id, { type: "RUNNING" });
    await propose(id, { type: "PAUSED", name: "Suspended", state_details: { pause_reschedule: true } });

    await resumeFlowRun(bench.deps, { flowRunId: id, input: null, clientApiVersion: null }, bench.now());

    const run = await read(id);
    assert.equal(run.state_name, "Resuming");
    assert.equal(run.empirical_policy.retry_type, "reschedule");
    assert.equal(run.empirical_policy.resuming, true);
    await propose(id, { type: "PENDING" });
    await propose(id, { type: "RUNNING" });
    assert.equal((await read(id)).run_count, 2);
  });

  test("a forced SCHEDULED takes a run out of the process that it ran in", async () => {
    const id = await insertRun();
    await failOnce(id);
    bench.moveClock(31);
    await propose(id, { type: "RUNNING" });

    await propose(id, { type: "SCHEDULED" }, "forced");

    assert.equal((await read(id)).empirical_policy.retry_type, "reschedule");
  });

  test("a paused run is not sent to wait for a slot by a stale proposal while its limit is full", async () => {
    const deployment = await insertDeployment(bench.deps.store, NOW, { concurrency_limit: 1 });
    const paused = await insertFlowRun(bench.deps.store, NOW, deployment);
    const other = await insertFlowRun(bench.deps.store, NOW, deployment);
    await propose(paused, { type: "PENDING" });
    await propose(paused, { type: "RUNNING" });
    await propose(paused, { type: "PAUSED" });
    await propose(other, { type: "PENDING" });

    const { result } = await propose(paused, { type: "PENDING" });

    assert.equal(result.status, "REJECT");
    assert.equal((await read(paused)).state_type, "PAUSED");
  });

  test("the slot of a run that waits in its process is free when the run ends instead of going on", async () => {
    const id = await insertRun({ concurrency_limit: 1 });
    const { deployment_id: deploymentId } = await read(id);
    const taken = async () =>
      (await bench.deps.store.deployments.find(deploymentId ?? ""))?.global_concurrency_limit?.active_slots;
    await failOnce(id);
    assert.equal(await taken(), 1);

    await propose(id, { type: "FAILED" });

    assert.equal(await taken(), 0);
  });
});
