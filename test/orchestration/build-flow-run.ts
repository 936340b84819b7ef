import { randomUUID } from "node:crypto";
import { enterState, NO_STATE } from "../../src/orchestration/states/bookkeeping.ts";
import { buildProposedState } from "../../src/orchestration/states/transition.ts";
import { EmpiricalPolicy, type FlowRun } from "../../src/prefect-api/flow-runs.ts";
import { StateCreate } from "../../src/prefect-api/states.ts";
import { timestampFromDate } from "../../src/prefect-api/timestamp.ts";
import type { Store } from "../../src/storage/store.ts";

/** Stores a flow run of a new flow in a first state. */
export async function insertFlowRun(
  store: Store,
  now: Date,
  parts: Partial<FlowRun> & { first?: Parameters<typeof StateCreate.parse>[0] } = {},
): Promise<string> {
  const timestamp = timestampFromDate(now);
  const id = randomUUID();
  const { first = { type: "SCHEDULED" }, ...columns } = parts;
  const run = { id, parent_task_run_id: columns.parent_task_run_id ?? null, ...NO_STATE };
  const policy = columns.empirical_policy ?? EmpiricalPolicy.parse({});
  const draft = buildProposedState(StateCreate.parse(first), timestamp);
  const entered = enterState(run, draft, policy, { stateId: randomUUID(), now: timestamp, clientApiVersion: null });
  const flowId = columns.flow_id ?? randomUUID();
  await store.transaction(async (tx) => {
    if (columns.flow_id === undefined) {
      await tx.flows.insert({
        id: flowId,
        created: timestamp,
        updated: timestamp,
        name: flowId,
        tags: ["t"],
        labels: {},
      });
    }
    await tx.flowRuns.insert({
      id,
      created: timestamp,
      updated: timestamp,
      name: "brave-otter",
      flow_id: flowId,
      parameters: {},
      empirical_policy: entered.policy,
      tags: [],
      estimated_run_time: 0,
      estimated_start_time_delta: 0,
      auto_scheduled: false,
      ...entered.times,
      ...columns,
      state: entered.state,
    });
  });
  return id;
}
