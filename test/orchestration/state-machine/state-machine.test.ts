import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import { deleteDeployment } from "../../../src/orchestration/deployments.ts";
import { renewLease } from "../../../src/orchestration/slots/acquire-slots.ts";
import { repossessLeases } from "../../../src/orchestration/slots/repossess-leases.ts";
import { expirePauses } from "../../../src/orchestration/states/expire-pauses.ts";
import { finishCancelling } from "../../../src/orchestration/states/finish-cancelling.ts";
import { markLateRuns } from "../../../src/orchestration/states/mark-late-runs.ts";
import { resumeFlowRun } from "../../../src/orchestration/states/resume-flow-run.ts";
import { setFlowRunState } from "../../../src/orchestration/states/set-flow-run-state.ts";
import { EmpiricalPolicy } from "../../../src/prefect-api/flow-runs.ts";
import { StateCreate } from "../../../src/prefect-api/states.ts";
import { addSeconds, timestampFromDate } from "../../../src/prefect-api/timestamp.ts";
import { hasCode } from "../../../src/shared/errors.ts";
import { insertFlowRun } from "../build-flow-run.ts";
import { insertDeployment } from "../insert-deployment.ts";
import { type LoopBench, openLoopBench } from "../loop-deps.ts";
import { anyCase, type Case, type Command, RUNS } from "./commands.ts";
import { Model } from "./model.ts";

const CASES = 200;
const MOST = 50;

interface Subject {
  ids: string[];
  deploymentId: string;
  /** The proposal that made each run's state, as it is sent again by a client that lost the answer. */
  last: Map<number, StateCreate>;
  sent: { state: StateCreate; force: boolean } | null;
}

describe("any sequence of proposals, loops and waiting", () => {
  let bench: LoopBench;
  before(async () => {
    bench = await openLoopBench(new Date("2026-11-24T12:00:00.000Z"));
  });
  after(() => bench[Symbol.asyncDispose]());

  async function prepare(of: Case): Promise<Subject> {
    const deployment = await insertDeployment(bench.deps.store, bench.now(), {
      ...(of.limit !== null && { concurrency_limit: of.limit }),
      concurrency_options: { collision_strategy: of.strategy, grace_period_seconds: of.graceSeconds },
    });
    const policy = EmpiricalPolicy.parse({ retries: of.retries, retry_delay: of.retryDelaySeconds });
    const ids: string[] = [];
    for (let count = 0; count < RUNS; count += 1) {
      ids.push(await insertFlowRun(bench.deps.store, bench.now(), { ...deployment, empirical_policy: policy }));
    }
    return { ids, deploymentId: deployment.deployment_id, last: new Map(), sent: null };
  }

  async function cleanUp({ ids, deploymentId }: Subject): Promise<void> {
    await bench.deps.store.transaction(async (tx) => {
      for (const id of ids) {
        await tx.flowRuns.remove(id);
      }
    });
    await deleteDeployment(bench.deps.store, deploymentId, bench.now());
  }

  async function send(subject: Subject, run: number, state: StateCreate, force: boolean): Promise<void> {
    const proposal = {
      flowRunId: subject.ids[run] ?? "",
      state,
      mode: force ? ("forced" as const) : ("normal" as const),
      clientApiVersion: null,
    };
    await setFlowRunState(bench.deps, proposal, bench.now());
  }

  async function perform(subject: Subject, command: Command): Promise<void> {
    const now = bench.now();
    switch (command.kind) {
      case "wait":
        bench.moveClock(command.seconds);
        return;
      case "loop":
        await tick(command.loop);
        return;
      case "repeat": {
        const last = subject.last.get(command.run);
        if (last !== undefined) {
          await send(subject, command.run, last, false);
        }
        return;
      }
      case "resume": {
        const flowRunId = subject.ids[command.run] ?? "";
        await resumeFlowRun(bench.deps, { flowRunId, input: null, clientApiVersion: null }, now);
        return;
      }
      case "renew":
        await renew(subject.ids[command.run] ?? "");
        return;
      case "pause":
      case "propose": {
        const force = command.kind === "propose" && command.force;
        const state = buildState(command, now);
        subject.sent = { state, force };
        await send(subject, command.run, state, force);
      }
    }
  }

  async function tick(loop: (Command & { kind: "loop" })["loop"]): Promise<void> {
    const { deps } = bench;
    const now = bench.now();
    switch (loop) {
      case "late":
        await markLateRuns(deps, now, { afterSeconds: 15, most: MOST });
        return;
      case "pauses":
        await expirePauses(deps, now, MOST);
        return;
      case "cancelling":
        await finishCancelling(deps, now, { timeoutSeconds: 300, most: MOST });
        return;
      case "leases":
        await repossessLeases(deps, now, MOST);
    }
  }

  async function renew(id: string): Promise<void> {
    const { state } = await bench.deps.store.flowRuns.get(id);
    const leaseId = state?.state_details.deployment_concurrency_lease_id;
    if (leaseId) {
      await renewLease(bench.deps.store, leaseId, 300, bench.now()).catch((error: unknown) => {
        assert.ok(hasCode(error, "LEASE_GONE"), String(error));
      });
    }
  }

  async function compare(subject: Subject, model: Model, of: Case): Promise<void> {
    const { store } = bench.deps;
    for (const [index, id] of subject.ids.entries()) {
      const run = await store.flowRuns.get(id);
      const expected = model.runs[index];
      assert.deepEqual(
        {
          state: `${run.state_type} ${run.state_name}`,
          run_count: run.run_count,
          resuming: run.empirical_policy.resuming,
          retry_type: run.empirical_policy.retry_type,
          ended: run.end_time !== null,
        },
        {
          state: `${expected?.type} ${expected?.name}`,
          run_count: expected?.runCount,
          resuming: expected?.resuming,
          retry_type: expected?.retryType,
          ended: ["COMPLETED", "FAILED", "CANCELLED", "CRASHED"].includes(expected?.type ?? ""),
        },
        `run ${index}`,
      );
    }
    const deployment = await store.deployments.find(subject.deploymentId);
    const taken = deployment?.global_concurrency_limit?.active_slots ?? 0;
    const slots = model.runs.map((_run, index) => model.countSlots(index));
    assert.equal(
      taken,
      slots.reduce((sum, count) => sum + count, 0),
      "slots of the deployment's limit",
    );
    assert.ok(of.limit === null || taken <= of.limit, `${taken} of ${of.limit} slots are taken`);
    assert.ok(
      slots.every((count) => count <= 1),
      "no run has two slots",
    );
  }

  async function checkHistory(subject: Subject, model: Model): Promise<void> {
    for (const [index, id] of subject.ids.entries()) {
      const states = await bench.deps.store.flowRuns.listStates(id);
      const run = await bench.deps.store.flowRuns.get(id);
      assert.equal(states.length, model.runs[index]?.states, "states in the history");
      assert.deepEqual(states.at(-1), run.state);
      const times = states.map(({ timestamp }) => timestamp);
      assert.deepEqual(times, [...new Set(times)].sort(), "each state is later than the one before");
      const filter = { order: "ASC" as const, resource: { id: [`prefect.flow-run.${id}`] } };
      const events = await bench.deps.store.events.list(filter, { after: null, limit: 200 });
      // The first state was inserted beside the operations.
      assert.deepEqual(
        events.map((event) => event.id),
        states.slice(1).map((state) => state.id),
      );
    }
  }

  test("leads where a plain model of the rules leads", { timeout: 300_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(anyCase, async (of) => {
        const subject = await prepare(of);
        const model = new Model(of, RUNS, bench.now().getTime());
        try {
          for (const command of of.commands) {
            await perform(subject, command);
            const before = model.runs.map(({ states }) => states);
            model.apply(command);
            forgetChanged(subject, command, model, before);
            await compare(subject, model, of);
          }
          await checkHistory(subject, model);
        } finally {
          await cleanUp(subject);
        }
      }),
      { numRuns: CASES },
    );
  });
});

function forgetChanged(subject: Subject, command: Command, model: Model, before: readonly number[]): void {
  for (const [index, run] of model.runs.entries()) {
    if (run.states !== before[index]) {
      subject.last.delete(index);
      const proposes = command.kind === "propose" || command.kind === "pause";
      if (proposes && subject.sent !== null && !subject.sent.force) {
        subject.last.set(index, subject.sent.state);
      }
    }
  }
}

function buildState(command: Command & { kind: "pause" | "propose" }, now: Date): StateCreate {
  const at = timestampFromDate(now);
  const transition_id = randomUUID();
  if (command.kind === "propose") {
    const scheduled_time = command.type === "SCHEDULED" ? addSeconds(at, command.delaySeconds) : null;
    return StateCreate.parse({
      type: command.type,
      name: command.name,
      state_details: { transition_id, scheduled_time },
    });
  }
  return StateCreate.parse({
    type: "PAUSED",
    name: command.reschedules ? "Suspended" : "Paused",
    state_details: {
      transition_id,
      pause_reschedule: command.reschedules,
      pause_key: command.key,
      pause_timeout: command.timeoutSeconds === null ? null : addSeconds(at, command.timeoutSeconds),
    },
  });
}
