import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, suite, test } from "node:test";
import { LiveBus } from "../../src/orchestration/events/live-bus.ts";
import { receiveEvents } from "../../src/orchestration/events/receive-events.ts";
import { Event, type ReceivedEvent } from "../../src/prefect-api/events.ts";
import { addSeconds } from "../../src/prefect-api/timestamp.ts";
import { openTestStore, type TestStore } from "../support/open-test-store.ts";
import { NOW } from "./build-transition.ts";

interface TaskEventParts {
  taskRunId?: string;
  seconds?: number;
  type?: string;
  name?: string;
  id?: string;
  flowRunId?: string | null;
  dynamicKey?: string;
}

const FLOW_RUN = "00000000-0000-4000-8000-0000000000f1";
const TASK_RUN = "00000000-0000-4000-8000-0000000000a1";

function buildTaskEvent(parts: TaskEventParts = {}) {
  const { taskRunId = TASK_RUN, seconds = 0, type = "RUNNING", name = "Running", id = randomUUID() } = parts;
  const { flowRunId = FLOW_RUN, dynamicKey = "0" } = parts;
  return Event.parse({
    id,
    occurred: addSeconds(NOW, seconds),
    event: `prefect.task-run.${name}`,
    resource: { "prefect.resource.id": `prefect.task-run.${taskRunId}`, "prefect.orchestration": "client" },
    related:
      flowRunId === null
        ? []
        : [{ "prefect.resource.id": `prefect.flow-run.${flowRunId}`, "prefect.resource.role": "flow-run" }],
    payload: {
      intended: { from: "PENDING", to: type },
      initial_state: { type: "PENDING", name: "Pending", message: "" },
      validated_state: { type, name, message: null, data: null, state_details: {} },
      task_run: {
        task_key: "extract",
        dynamic_key: dynamicKey,
        name: `extract-${seconds}`,
        run_count: 1,
        empirical_policy: { retries: 0 },
        tags: ["a"],
        start_time: NOW,
        total_run_time: seconds,
      },
    },
  });
}

suite("task runs from events", () => {
  let opened: TestStore;
  let bus: LiveBus;
  let published: ReceivedEvent[];

  beforeEach(async () => {
    opened = await openTestStore();
    bus = new LiveBus();
    published = [];
    bus.subscribeToEvents((event) => published.push(event));
  });
  afterEach(() => opened[Symbol.asyncDispose]());

  function receive(...events: Event[]) {
    return receiveEvents({ store: opened.store, bus }, events, new Date(NOW));
  }

  async function listTaskRuns() {
    return opened.store.taskRuns.list({}, { sort: "EXPECTED_START_TIME_ASC", limit: 10, offset: 0 });
  }

  async function listStateNames() {
    return (await opened.store.taskRuns.listStates(TASK_RUN)).map(({ name }) => name);
  }

  test("a state change becomes a task run with its state", async () => {
    const event = buildTaskEvent();

    await receive(event);

    const taskRun = await opened.store.taskRuns.get(TASK_RUN);
    assert.deepEqual(
      [taskRun.flow_run_id, taskRun.task_key, taskRun.name, taskRun.state_type, taskRun.tags],
      [FLOW_RUN, "extract", "extract-0", "RUNNING", ["a"]],
    );
    assert.deepEqual([taskRun.state?.id, taskRun.state?.timestamp], [event.id, event.occurred]);
    assert.equal(taskRun.state?.state_details.task_run_id, TASK_RUN);
  });

  test("an event that comes late joins the history and changes nothing else", async () => {
    await receive(buildTaskEvent({ seconds: 2, type: "COMPLETED", name: "Completed" }));
    await receive(buildTaskEvent({ seconds: 1 }));

    const taskRun = await opened.store.taskRuns.get(TASK_RUN);
    assert.deepEqual([taskRun.state_name, taskRun.name], ["Completed", "extract-2"]);
    assert.deepEqual(await listStateNames(), ["Running", "Completed"]);
  });

  test("the same event twice is stored and published once, in one batch or in two", async () => {
    const event = buildTaskEvent();

    await receive(event, event);
    await receive(event);

    assert.equal(published.length, 1);
    assert.equal(await opened.store.events.count({ order: "ASC" }, 10), 1);
    assert.deepEqual(await listStateNames(), ["Running"]);
  });

  test("the same task of a flow that is executed again is the same task run", async () => {
    await receive(buildTaskEvent({ seconds: 1 }));
    await receive(buildTaskEvent({ seconds: 5, taskRunId: randomUUID(), type: "COMPLETED", name: "Completed" }));

    const taskRuns = await listTaskRuns();
    assert.deepEqual(
      taskRuns.map(({ id, state_name }) => [id, state_name]),
      [[TASK_RUN, "Completed"]],
    );
    assert.equal(taskRuns.at(0)?.state?.state_details.task_run_id, TASK_RUN);
  });

  for (const flowRunId of ["00000000-0000-4000-8000-0000000000f2", null]) {
    test(`a task run stays in its flow run, whatever is said of it in the name of ${flowRunId ?? "none"}`, async () => {
      await receive(buildTaskEvent());
      const before = await opened.store.taskRuns.get(TASK_RUN);
      await receive(buildTaskEvent({ seconds: 5, type: "FAILED", name: "Failed", flowRunId, dynamicKey: "9" }));

      const { flow_run_id, dynamic_key, state } = await opened.store.taskRuns.get(TASK_RUN);
      assert.deepEqual([flow_run_id, dynamic_key, state], [FLOW_RUN, before.dynamic_key, before.state]);
    });
  }

  test("task runs without a flow run are told apart by their id", async () => {
    await receive(
      buildTaskEvent({ flowRunId: null }),
      buildTaskEvent({ flowRunId: null, taskRunId: randomUUID() }),
      buildTaskEvent({ flowRunId: null, seconds: 3, type: "FAILED", name: "Failed" }),
    );

    assert.equal((await listTaskRuns()).length, 2);
    assert.equal((await opened.store.taskRuns.get(TASK_RUN)).state_name, "Failed");
  });

  test("a task event with a payload that says nothing is kept as an event only", async () => {
    const event = { ...buildTaskEvent(), payload: { task_run: "?" } };

    await receive(event);

    assert.equal(published.length, 1);
    assert.deepEqual(await listTaskRuns(), []);
  });
});
