import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, test } from "node:test";
import { FilterFlowRuns } from "../../src/prefect-api/filters.ts";
import type { FlowRun } from "../../src/prefect-api/flow-runs.ts";
import { addSeconds } from "../../src/prefect-api/timestamp.ts";
import { openTestStore } from "../support/open-test-store.ts";
import { buildFlow, buildFlowRun, NOW } from "./build-rows.ts";

const clock = { now: () => new Date(NOW) };

async function openWithRuns(...runs: ((flowId: string) => FlowRun)[]) {
  const opened = await openTestStore(clock);
  const flow = buildFlow({ name: "etl", tags: ["nightly"] });
  await opened.store.transaction(async (tx) => {
    await tx.flows.insert(flow);
    for (const build of runs) {
      await tx.flowRuns.insert(build(flow.id));
    }
  });
  const findNames = async (filters: unknown) => {
    const { sort, limit, offset, ...parsed } = FilterFlowRuns.parse(filters);
    const found = await opened.store.flowRuns.list(parsed, { sort, limit: limit ?? 200, offset });
    assert.equal(await opened.store.flowRuns.count(parsed), found.length);
    return found.map((run) => run.name).sort();
  };
  return { ...opened, flow, findNames, [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose]() };
}

function named(name: string, changes: Partial<FlowRun> = {}, type?: Parameters<typeof buildFlowRun>[2]) {
  return (flowId: string) => buildFlowRun(flowId, { name, ...changes }, type);
}

test("a run is read as it was written, with its state", async () => {
  await using opened = await openWithRuns();
  const run = buildFlowRun(opened.flow.id, {
    parameters: { x: [1, { y: null }] },
    tags: ["a"],
    labels: { "prefect.flow.id": "f", n: 1, yes: true },
    created_by: { id: "s", type: "SCHEDULE", display_value: "daily" },
    auto_scheduled: true,
  });

  await opened.store.transaction((tx) => tx.flowRuns.insert(run));

  const read = await opened.store.flowRuns.get(run.id);
  assert.deepEqual({ ...read, ...run }, read);
  assert.deepEqual(read.state, run.state);
  assert.deepEqual(await opened.store.flowRuns.listStates(run.id), [run.state]);
});

test("the times that pass are estimated against the clock", async () => {
  await using opened = await openWithRuns(
    named("overdue", { expected_start_time: addSeconds(NOW, -90) }),
    named("future", { expected_start_time: addSeconds(NOW, 90) }),
  );

  const page = { sort: "NAME_ASC" as const, limit: 10, offset: 0 };
  const runs = await opened.store.flowRuns.list({}, page);

  assert.deepEqual(
    runs.map((run) => [run.name, run.estimated_start_time_delta]),
    [
      ["future", 0],
      ["overdue", 90],
    ],
  );
});

describe("filters", () => {
  const cases: { name: string; filter: unknown; expected: string[] }[] = [
    { name: "no filter", filter: {}, expected: ["a", "b_1", "bx1"] },
    { name: "a null filter", filter: { flow_runs: null, flows: null }, expected: ["a", "b_1", "bx1"] },
    { name: "name any_", filter: { flow_runs: { name: { any_: ["a", "zz"] } } }, expected: ["a"] },
    { name: "an empty any_ matches nothing", filter: { flow_runs: { name: { any_: [] } } }, expected: [] },
    { name: "like_ whatever the case", filter: { flow_runs: { name: { like_: "BX" } } }, expected: ["bx1"] },
    { name: "like_ takes _ and % literally", filter: { flow_runs: { name: { like_: "b_1" } } }, expected: ["b_1"] },
    { name: "all_ tags", filter: { flow_runs: { tags: { all_: ["x", 'y "z"'] } } }, expected: ["a"] },
    { name: "any_ tags", filter: { flow_runs: { tags: { any_: ["q", "x"] } } }, expected: ["a", "bx1"] },
    { name: "a tag is matched whole", filter: { flow_runs: { tags: { all_: ["y"] } } }, expected: [] },
    { name: "no tags", filter: { flow_runs: { tags: { is_null_: true } } }, expected: ["b_1"] },
    { name: "state type", filter: { flow_runs: { state: { type: { any_: ["RUNNING"] } } } }, expected: ["b_1"] },
    {
      name: "state type any_ and not_any_ together",
      filter: { flow_runs: { state: { type: { any_: ["RUNNING", "SCHEDULED"], not_any_: ["RUNNING"] } } } },
      expected: ["a", "bx1"],
    },
    {
      name: "or_ of two fields",
      filter: { flow_runs: { operator: "or_", name: { any_: ["a"] }, state: { type: { any_: ["RUNNING"] } } } },
      expected: ["a", "b_1"],
    },
    {
      name: "expected_start_time, both ends included",
      filter: { flow_runs: { expected_start_time: { after_: NOW, before_: NOW } } },
      expected: ["b_1", "bx1"],
    },
    { name: "no deployment", filter: { flow_runs: { deployment_id: { is_null_: true } } }, expected: ["b_1", "bx1"] },
    { name: "flow name", filter: { flows: { name: { any_: ["etl"] } } }, expected: ["a", "b_1", "bx1"] },
    { name: "flow of another name", filter: { flows: { name: { any_: ["other"] } } }, expected: [] },
    { name: "a deployment that is gone", filter: { deployments: { name: { any_: ["d"] } } }, expected: [] },
    { name: "no pool", filter: { work_pools: { name: { any_: ["p"] } } }, expected: [] },
    { name: "idempotency key", filter: { flow_runs: { idempotency_key: { any_: ["k"] } } }, expected: ["bx1"] },
    {
      name: "created by a schedule",
      filter: { flow_runs: { created_by: { type_: ["SCHEDULE"] } } },
      expected: ["bx1"],
    },
  ];

  for (const { name, filter, expected } of cases) {
    test(name, async () => {
      await using opened = await openWithRuns(
        named("a", {
          tags: ["x", 'y "z"'],
          deployment_id: randomUUID(),
          expected_start_time: addSeconds(NOW, -1),
        }),
        named("b_1", {}, "RUNNING"),
        named("bx1", {
          tags: ["q"],
          idempotency_key: "k",
          created_by: { id: "s", type: "SCHEDULE", display_value: null },
        }),
      );

      assert.deepEqual(await opened.findNames(filter), expected);
    });
  }
});

test("pages follow each other in the sort order", async () => {
  await using opened = await openWithRuns(
    ...[3, 1, 2, 5, 4].map((at) => named(`r${at}`, { expected_start_time: addSeconds(NOW, at) })),
  );

  const list = (offset: number) =>
    opened.store.flowRuns.list({}, { sort: "EXPECTED_START_TIME_DESC", limit: 2, offset });

  const pages = [await list(0), await list(2), await list(4)].map((page) => page.map((run) => run.name));
  assert.deepEqual(pages, [["r5", "r4"], ["r3", "r2"], ["r1"]]);
});

test("a removed run takes its states and logs with it", async () => {
  await using opened = await openWithRuns(named("gone"), named("stays"));
  const { store } = opened;
  const [gone, stays] = await store.flowRuns.list({}, { sort: "NAME_ASC", limit: 2, offset: 0 });
  const logs = [gone, stays].map((run) => ({
    id: randomUUID(),
    created: NOW,
    updated: NOW,
    name: "n",
    level: 20,
    message: "m",
    timestamp: NOW,
    flow_run_id: run?.id ?? null,
    task_run_id: null,
  }));
  await store.transaction((tx) => tx.logs.insert(logs));

  assert.equal(await store.transaction((tx) => tx.flowRuns.remove(gone?.id ?? "")), true);

  assert.deepEqual(await store.flowRuns.listStates(gone?.id ?? ""), []);
  const left = await store.logs.list(null, { sort: "TIMESTAMP_ASC", limit: 10, offset: 0 });
  assert.deepEqual(
    left.map((log) => log.flow_run_id),
    [stays?.id],
  );
  assert.equal(await store.transaction((tx) => tx.flowRuns.remove(gone?.id ?? "")), false);
});
