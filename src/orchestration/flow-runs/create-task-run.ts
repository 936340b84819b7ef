import { randomUUID } from "node:crypto";
import { v7 as uuidv7 } from "uuid";
import type { Labels } from "../../prefect-api/primitives.ts";
import type { State } from "../../prefect-api/states.ts";
import { type CreateTaskRun, type TaskRun, TaskRunPolicy } from "../../prefect-api/task-runs.ts";
import { timestampFromDate } from "../../prefect-api/timestamp.ts";
import { UserError } from "../../shared/errors.ts";
import type { Store, Tx } from "../../storage/store.ts";
import { decideRunTimes, NO_STATE } from "../states/bookkeeping.ts";
import { buildProposedState } from "../states/transition.ts";

/**
 * Makes the task run that stands for a subflow (or for `run_deployment`) in its parent flow, PENDING unless another
 * state is given. The same keys in the same flow run are the same task run. Throws UserError DATA_CONFLICT.
 */
export function createTaskRun(
  store: Pick<Store, "transaction">,
  body: CreateTaskRun,
  now: Date,
): Promise<{ taskRun: TaskRun; created: boolean }> {
  return store.transaction(async (tx) => {
    const existing = await findExisting(tx, body);
    if (existing !== undefined) {
      return { taskRun: existing, created: false };
    }
    const taskRun = buildTaskRun({ ...body, labels: await completeLabels(tx, body) }, now);
    await tx.taskRuns.put(taskRun);
    return { taskRun: await tx.taskRuns.get(taskRun.id), created: true };
  });
}

async function findExisting(tx: Pick<Tx, "taskRuns">, body: CreateTaskRun): Promise<TaskRun | undefined> {
  if (body.flow_run_id) {
    const { id, flow_run_id, task_key, dynamic_key } = body;
    const sameKeys = await tx.taskRuns.findByKey({ flow_run_id, task_key, dynamic_key });
    if (sameKeys === undefined && id && (await tx.taskRuns.find(id)) !== undefined) {
      throw new UserError("DATA_CONFLICT", `Task run ${id} is another one: of other keys, or of another flow run.`);
    }
    return sameKeys;
  }
  return body.id ? await tx.taskRuns.find(body.id) : undefined;
}

/** Those of the flow, where it comes from, and what was given. */
async function completeLabels(tx: Pick<Tx, "flowRuns" | "flows">, body: CreateTaskRun): Promise<Labels> {
  const flowRun = body.flow_run_id ? await tx.flowRuns.find(body.flow_run_id) : undefined;
  if (flowRun === undefined) {
    return body.labels ?? {};
  }
  return {
    ...(await tx.flows.find(flowRun.flow_id))?.labels,
    "prefect.flow.id": flowRun.flow_id,
    "prefect.flow-run.id": flowRun.id,
    ...body.labels,
  };
}

function buildTaskRun(body: CreateTaskRun, now: Date): TaskRun {
  const timestamp = timestampFromDate(now);
  const id = body.id ?? randomUUID();
  const draft = buildProposedState(body.state ?? { type: "PENDING", state_details: {} }, timestamp);
  const state: State = {
    id: uuidv7(),
    type: draft.type,
    name: draft.name,
    timestamp,
    message: draft.message,
    data: draft.data,
    state_details: { ...draft.state_details, flow_run_id: body.flow_run_id ?? null, task_run_id: id },
  };
  const { state_timestamp: _, ...times } = decideRunTimes(NO_STATE, state);
  return {
    id,
    created: timestamp,
    updated: timestamp,
    name: body.name || `${body.task_key}-${body.dynamic_key}`,
    flow_run_id: body.flow_run_id ?? null,
    task_key: body.task_key,
    dynamic_key: body.dynamic_key,
    cache_key: body.cache_key ?? null,
    cache_expiration: body.cache_expiration ?? null,
    task_version: body.task_version ?? null,
    empirical_policy: body.empirical_policy ?? TaskRunPolicy.parse({}),
    tags: body.tags ?? [],
    labels: body.labels ?? {},
    task_inputs: body.task_inputs ?? {},
    flow_run_run_count: 0,
    ...times,
    estimated_run_time: 0,
    estimated_start_time_delta: 0,
    state,
  };
}
