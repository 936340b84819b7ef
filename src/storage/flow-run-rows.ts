import type { Kysely } from "kysely";
import type { FlowRun } from "../prefect-api/flow-runs.ts";
import { holdsSlot } from "../prefect-api/occupancy.ts";
import { estimateTimes } from "../prefect-api/run-estimates.ts";
import type { State, StateType } from "../prefect-api/states.ts";
import { fromBit, fromJson, fromJsonOrNull, toBit, toJson, toJsonOrNull } from "./columns.ts";
import type { Database } from "./database-types.ts";
import { PreparedWrite } from "./prepared-writes.ts";

/** Runs `r` with their state, queue and pool: all that the wire's FlowRun needs, in one statement. */
export function selectFlowRuns(db: Kysely<Database>) {
  return db
    .selectFrom("flow_runs as r")
    .leftJoin("flow_run_states as s", "s.id", "r.state_id")
    .leftJoin("work_queues as q", "q.id", "r.work_queue_id")
    .leftJoin("work_pools as p", "p.id", "q.work_pool_id")
    .selectAll("r")
    .select([
      "s.message as state_message",
      "s.data as state_data",
      "s.state_details as state_details",
      "q.name as work_queue_name",
      "q.work_pool_id as work_pool_id",
      "p.name as work_pool_name",
    ]);
}

type FlowRunRow = Awaited<ReturnType<ReturnType<typeof selectFlowRuns>["executeTakeFirstOrThrow"]>>;

/** Keys in the order of the wire. `now` is what the two estimates are measured against. */
export function flowRunFromRow(row: FlowRunRow, now: Date): FlowRun {
  return {
    id: row.id,
    created: row.created,
    updated: row.updated,
    name: row.name,
    flow_id: row.flow_id,
    state_id: row.state_id,
    deployment_id: row.deployment_id,
    deployment_version: row.deployment_version,
    work_queue_id: row.work_queue_id,
    work_queue_name: row.work_queue_name,
    flow_version: row.flow_version,
    parameters: fromJson(row.parameters),
    idempotency_key: row.idempotency_key,
    context: fromJson(row.context),
    empirical_policy: fromJson(row.empirical_policy),
    tags: fromJson(row.tags),
    labels: fromJson(row.labels),
    parent_task_run_id: row.parent_task_run_id,
    state_type: row.state_type,
    state_name: row.state_name,
    run_count: row.run_count,
    expected_start_time: row.expected_start_time,
    next_scheduled_start_time: row.next_scheduled_start_time,
    start_time: row.start_time,
    end_time: row.end_time,
    total_run_time: row.total_run_time,
    ...estimateTimes(row, now),
    auto_scheduled: fromBit(row.auto_scheduled),
    infrastructure_document_id: row.infrastructure_document_id,
    infrastructure_pid: row.infrastructure_pid,
    created_by: fromJsonOrNull(row.created_by),
    work_pool_id: row.work_pool_id,
    work_pool_name: row.work_pool_name,
    state: currentState(row),
    job_variables: fromJson(row.job_variables),
  };
}

/** A new run. Its keys are always the same. */
export function flowRunToRow(flowRun: FlowRun) {
  return {
    id: flowRun.id,
    created: flowRun.created,
    updated: flowRun.updated,
    name: flowRun.name,
    flow_id: flowRun.flow_id,
    deployment_id: flowRun.deployment_id ?? null,
    deployment_version: flowRun.deployment_version ?? null,
    work_queue_id: flowRun.work_queue_id ?? null,
    flow_version: flowRun.flow_version ?? null,
    parameters: toJson(flowRun.parameters),
    idempotency_key: flowRun.idempotency_key ?? null,
    context: toJson(flowRun.context ?? {}),
    empirical_policy: toJson(flowRun.empirical_policy),
    tags: toJson(flowRun.tags),
    labels: toJson(flowRun.labels ?? {}),
    parent_task_run_id: flowRun.parent_task_run_id ?? null,
    infrastructure_document_id: flowRun.infrastructure_document_id ?? null,
    infrastructure_pid: flowRun.infrastructure_pid ?? null,
    created_by: toJsonOrNull(flowRun.created_by),
    job_variables: toJson(flowRun.job_variables ?? {}),
    auto_scheduled: toBit(flowRun.auto_scheduled),
    state_id: flowRun.state?.id ?? null,
    state_type: flowRun.state?.type ?? null,
    state_name: flowRun.state?.name ?? null,
    state_timestamp: flowRun.state?.timestamp ?? null,
    run_count: flowRun.run_count,
    expected_start_time: flowRun.expected_start_time ?? null,
    next_scheduled_start_time: flowRun.next_scheduled_start_time ?? null,
    start_time: flowRun.start_time ?? null,
    end_time: flowRun.end_time ?? null,
    total_run_time: flowRun.total_run_time,
    pause_timeout: pauseTimeoutOf(flowRun.state),
    holds_slot: toBit(holdsSlot(flowRun.state, flowRun.empirical_policy)),
  };
}

export function prepareRunInsert(db: Kysely<Database>): PreparedWrite<ReturnType<typeof flowRunToRow>> {
  return new PreparedWrite((row) => db.insertInto("flow_runs").values(row).compile());
}

function currentState(row: FlowRunRow): State | null {
  if (row.state_id === null || row.state_type === null || row.state_details === null) {
    return null;
  }
  return {
    id: row.state_id,
    type: row.state_type,
    name: row.state_name ?? "",
    timestamp: row.state_timestamp ?? row.updated,
    message: row.state_message,
    data: fromJsonOrNull(row.state_data),
    state_details: fromJson(row.state_details),
  };
}

interface StateRow {
  id: string;
  type: StateType;
  name: string;
  timestamp: string;
  message: string | null;
  data: string | null;
  state_details: string;
}

export function stateToRow(state: State): StateRow {
  return {
    id: state.id,
    type: state.type,
    name: state.name,
    timestamp: state.timestamp,
    message: state.message,
    data: toJsonOrNull(state.data),
    state_details: toJson(state.state_details),
  };
}

export function prepareStateInsert(db: Kysely<Database>): PreparedWrite<Database["flow_run_states"]> {
  return new PreparedWrite((row) => db.insertInto("flow_run_states").values(row).compile());
}

/** When a run that enters this state fails because nobody lets it go on; null for all but a bounded pause. */
export function pauseTimeoutOf(state: State | null): string | null {
  return state?.type === "PAUSED" ? state.state_details.pause_timeout : null;
}

export function stateFromRow(row: StateRow): State {
  return {
    id: row.id,
    type: row.type,
    name: row.name,
    timestamp: row.timestamp,
    message: row.message,
    data: fromJsonOrNull(row.data),
    state_details: fromJson(row.state_details),
  };
}
