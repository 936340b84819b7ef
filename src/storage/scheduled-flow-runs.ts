import { type Kysely, type SqlBool, sql } from "kysely";
import type { FlowRun } from "../prefect-api/flow-runs.ts";
import type { State } from "../prefect-api/states.ts";
import { type Timestamp, timestampFromDate } from "../prefect-api/timestamp.ts";
import type { Clock } from "../shared/clock.ts";
import { toBit, toJson, toJsonOrNull } from "./columns.ts";
import type { Database } from "./database-types.ts";
import { stateToRow } from "./flow-run-rows.ts";

/** A run that a schedule makes, with its first state. */
export interface ScheduledFlowRun
  extends Pick<
    FlowRun,
    | "id"
    | "name"
    | "flow_id"
    | "deployment_version"
    | "work_queue_id"
    | "parameters"
    | "idempotency_key"
    | "empirical_policy"
    | "tags"
    | "labels"
    | "infrastructure_document_id"
    | "created_by"
    | "auto_scheduled"
  > {
  deployment_id: string;
  schedule_id: string;
  fire_at: Timestamp;
  state: State;
}

/** What a waiting run takes over when its deployment changes. */
export type RenewedParts = Pick<
  ScheduledFlowRun,
  "deployment_version" | "work_queue_id" | "parameters" | "tags" | "labels" | "infrastructure_document_id"
>;

/** Statements of one size each: 32 runs, and what is left over. */
const RUNS_PER_STATEMENT = 32;

/** The runs that schedules make. */
/** Literals, as in the condition of the index: a parameter would not be known to meet it. */
const NEVER_BEGUN = sql<SqlBool>`state_type = 'SCHEDULED' and run_count = 0`;

export class ScheduledFlowRunStore {
  readonly #db: Kysely<Database>;
  readonly #clock: Clock;

  constructor(db: Kysely<Database>, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
  }

  /** Makes those that are not there yet, by schedule and fire time. Answers how many. */
  async insert(flowRuns: readonly ScheduledFlowRun[]): Promise<number> {
    let inserted = 0;
    for (let start = 0; start < flowRuns.length; start += RUNS_PER_STATEMENT) {
      inserted += await this.#insertChunk(flowRuns.slice(start, start + RUNS_PER_STATEMENT));
    }
    return inserted;
  }

  async #insertChunk(chunk: readonly ScheduledFlowRun[]): Promise<number> {
    const rows = await this.#db
      .insertInto("flow_runs")
      .values(chunk.map(toRow))
      .onConflict((conflict) => conflict.doNothing())
      .returning("id")
      .execute();
    const ids = new Set(rows.map(({ id }) => id));
    const states = chunk
      .filter(({ id }) => ids.has(id))
      .map(({ id, state }) => ({ flow_run_id: id, ...stateToRow(state) }));
    if (states.length > 0) {
      await this.#db.insertInto("flow_run_states").values(states).execute();
    }
    return states.length;
  }

  /** Gives the runs of a schedule that are still to come what they are made of now. */
  async renew(scheduleId: string, parts: RenewedParts): Promise<void> {
    const now = timestampFromDate(this.#clock.now());
    await this.#db
      .updateTable("flow_runs")
      .set({ ...partsToRow(parts), updated: now })
      .where("schedule_id", "=", scheduleId)
      .where("auto_scheduled", "=", 1)
      .where(NEVER_BEGUN)
      .where("state_name", "!=", "AwaitingConcurrencySlot")
      .where("next_scheduled_start_time", ">", now)
      .execute();
  }

  /** Removes runs of a schedule that wait and never ran, and that were to start before `time`. Answers how many. */
  async removeLate(scheduleId: string, time: Timestamp): Promise<number> {
    const result = await this.#db
      .deleteFrom("flow_runs")
      .where("schedule_id", "=", scheduleId)
      .where("next_scheduled_start_time", "<", time)
      .where("auto_scheduled", "=", 1)
      .where(NEVER_BEGUN)
      .where("state_name", "!=", "AwaitingConcurrencySlot")
      .executeTakeFirst();
    return Number(result.numDeletedRows);
  }

  /** Removes runs of these schedules that wait and never ran: all, or those of the future. */
  async removeWaiting(scheduleIds: readonly string[], which: { futureOnly: boolean }): Promise<void> {
    if (scheduleIds.length === 0) {
      return;
    }
    await this.#db
      .deleteFrom("flow_runs")
      .where("schedule_id", "in", scheduleIds)
      .where("auto_scheduled", "=", 1)
      .where(NEVER_BEGUN)
      .where("state_name", "!=", "AwaitingConcurrencySlot")
      .$if(which.futureOnly, (query) =>
        query.where("next_scheduled_start_time", ">", timestampFromDate(this.#clock.now())),
      )
      .execute();
  }
}

function toRow(run: ScheduledFlowRun) {
  const { state } = run;
  return {
    id: run.id,
    created: state.timestamp,
    updated: state.timestamp,
    name: run.name,
    flow_id: run.flow_id,
    deployment_id: run.deployment_id,
    ...partsToRow(run),
    idempotency_key: run.idempotency_key ?? null,
    context: "{}",
    empirical_policy: toJson(run.empirical_policy),
    created_by: toJsonOrNull(run.created_by),
    job_variables: "{}",
    auto_scheduled: toBit(run.auto_scheduled),
    state_id: state.id,
    state_type: state.type,
    state_name: state.name,
    state_timestamp: state.timestamp,
    run_count: 0,
    expected_start_time: run.fire_at,
    next_scheduled_start_time: run.fire_at,
    total_run_time: 0,
    schedule_id: run.schedule_id,
    schedule_fire_at: run.fire_at,
  };
}

function partsToRow(parts: RenewedParts) {
  return {
    deployment_version: parts.deployment_version ?? null,
    work_queue_id: parts.work_queue_id ?? null,
    parameters: toJson(parts.parameters),
    tags: toJson(parts.tags),
    labels: toJson(parts.labels ?? {}),
    infrastructure_document_id: parts.infrastructure_document_id ?? null,
  };
}
