import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, test } from "node:test";
import { IMAGE_PULL_EVENT } from "../../src/flowyard-api/run-events.ts";
import { RUN_PHASE_EVENT, RunTimeline } from "../../src/flowyard-api/timeline.ts";
import { buildTestPlane, type TestPlane } from "../support/build-test-plane.ts";
import { call } from "./call.ts";
import { setState } from "./explain-support.ts";
import { createDeployment, createRun } from "./resources.ts";

async function emit(plane: TestPlane, id: string, event: string, payload: unknown) {
  const { status } = await call(plane, "POST", "/events", [
    {
      id: randomUUID(),
      occurred: plane.now().toISOString(),
      event,
      resource: { "prefect.resource.id": `prefect.flow-run.${id}` },
      payload,
    },
  ]);
  assert.equal(status, 204);
}

async function getTimeline(plane: TestPlane, id: string): Promise<RunTimeline> {
  const { status, body } = await call(plane, "GET", `/flowyard/flow_runs/${id}/timeline`);
  assert.equal(status, 200, JSON.stringify(body));
  assert.deepEqual(RunTimeline.parse(body), body);
  return body;
}

describe("the timeline of a run", () => {
  test("has the plane's states and the worker's phases in their order, with what each step took", async () => {
    await using plane = await buildTestPlane();
    const { id: deploymentId } = await createDeployment(plane);
    const { id } = await createRun(plane, deploymentId);
    const step = async (seconds: number, act: () => Promise<unknown>) => {
      plane.moveClock(seconds);
      await act();
    };
    const tell = (phase: string, detail?: string) =>
      emit(plane, id, RUN_PHASE_EVENT, { phase, attempt: "1", worker_name: "w", detail });
    await step(1, () => setState(plane, id, { type: "PENDING" }));
    await step(1, () => tell("claimed"));
    await step(1, () => emit(plane, id, IMAGE_PULL_EVENT, { image: "etl:1", status: "pulling", attempt: 1 }));
    await step(5, () => emit(plane, id, IMAGE_PULL_EVENT, { image: "etl:1", status: "pulled", attempt: 1 }));
    await step(0.25, () => tell("created", 'container "etl-run"'));
    await step(1, () => tell("started"));
    await step(1, () => setState(plane, id, { type: "RUNNING" }));
    await step(1, () => tell("first-log"));
    await step(1, () => setState(plane, id, { type: "COMPLETED", message: "All done" }));
    await step(1, () => tell("exited", "exit code 0"));

    const { entries, is_cut } = await getTimeline(plane, id);

    assert.deepEqual(
      entries.map(({ phase, seconds_since_previous }) => [phase, seconds_since_previous]),
      [
        ["scheduled", null],
        ["pending", 1],
        ["claimed", 1],
        ["image-pulling", 1],
        ["image-pulled", 5],
        ["created", 0.25],
        ["started", 1],
        ["running", 1],
        ["first-log", 1],
        ["completed", 1],
        ["exited", 1],
      ],
    );
    assert.equal(entries[5]?.detail, 'worker "w", container "etl-run"');
    assert.deepEqual([entries[9]?.state_type, entries[9]?.detail], ["COMPLETED", "All done"]);
    assert.equal(is_cut, false);
  });

  test("leaves out what only has the name of a phase, and what is about other runs", async () => {
    await using plane = await buildTestPlane();
    const { id: deploymentId } = await createDeployment(plane);
    const { id } = await createRun(plane, deploymentId);
    const other = await createRun(plane, deploymentId);
    await emit(plane, id, RUN_PHASE_EVENT, { phase: "dreaming", attempt: "1", worker_name: "w" });
    await emit(plane, id, IMAGE_PULL_EVENT, {});
    await emit(plane, other.id, RUN_PHASE_EVENT, { phase: "started", attempt: "1", worker_name: "w" });

    const { entries } = await getTimeline(plane, id);

    assert.deepEqual(
      entries.map(({ phase }) => phase),
      ["scheduled"],
    );
  });

  test("is bounded, and says when it was cut", async () => {
    await using plane = await buildTestPlane();
    const { id: deploymentId } = await createDeployment(plane);
    const { id } = await createRun(plane, deploymentId);
    for (let attempt = 1; attempt <= 210; attempt += 1) {
      plane.moveClock(1);
      await emit(plane, id, IMAGE_PULL_EVENT, { image: "etl:1", status: "failing", attempt, reason: "no route" });
    }

    const { entries, is_cut } = await getTimeline(plane, id);

    assert.deepEqual([entries.length, is_cut], [200, true]);
    assert.equal(entries.at(-1)?.detail, "etl:1: no route");
  });

  test("of a run that does not exist is 404", async () => {
    await using plane = await buildTestPlane();

    const { status } = await call(plane, "GET", `/flowyard/flow_runs/${randomUUID()}/timeline`);

    assert.equal(status, 404);
  });
});
