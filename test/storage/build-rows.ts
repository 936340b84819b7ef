import { randomUUID } from "node:crypto";
import { EmpiricalPolicy, type FlowRun } from "../../src/prefect-api/flow-runs.ts";
import type { Flow } from "../../src/prefect-api/flows.ts";
import { completeStateDetails, defaultStateName, type StateType } from "../../src/prefect-api/states.ts";

export const NOW = "2026-01-01T12:00:00.000000Z";

export function buildFlow(changes: Partial<Flow> = {}): Flow {
  const id = randomUUID();
  return { id, created: NOW, updated: NOW, name: `flow-${id}`, tags: [], labels: {}, ...changes };
}

/** A run as it is stored first, in a state of the type. */
export function buildFlowRun(flowId: string, changes: Partial<FlowRun> = {}, type: StateType = "SCHEDULED"): FlowRun {
  const id = randomUUID();
  return {
    id,
    created: NOW,
    updated: NOW,
    name: "run",
    flow_id: flowId,
    parameters: {},
    context: {},
    empirical_policy: EmpiricalPolicy.parse({}),
    tags: [],
    labels: {},
    run_count: 0,
    total_run_time: 0,
    estimated_run_time: 0,
    estimated_start_time_delta: 0,
    auto_scheduled: false,
    expected_start_time: NOW,
    next_scheduled_start_time: type === "SCHEDULED" ? NOW : null,
    job_variables: {},
    state: {
      id: randomUUID(),
      type,
      name: defaultStateName(type),
      timestamp: NOW,
      message: null,
      data: null,
      state_details: completeStateDetails(),
    },
    ...changes,
  };
}
