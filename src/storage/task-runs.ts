import type { Kysely } from "kysely";
import type { FilterTaskRuns } from "../prefect-api/filters.ts";
import { estimateTimes } from "../prefect-api/run-estimates.ts";
import type { HistoryRun, RunHistory } from "../prefect-api/run-history.ts";
import type { State } from "../prefect-api/states.ts";
import type { TaskRun } from "../prefect-api/task-runs.ts";
import type { Clock } from "../shared/clock.ts";
import { UserError } from "../shared/errors.ts";
import { fromJson, fromJsonOrNull, toJson } from "./columns.ts";
import { anyOf, combine } from "./conditions.ts";
import { type CrossFilters, listTaskRunParts } from "./cross-filters.ts";
import type { Database } from "./database-types.ts";
import { stateFromRow, stateToRow } from "./flow-run-rows.ts";
import { selectHistory, withinHistory } from "./flow-run-search.ts";
import { Walker } from "./walk.ts";
import type { Order } from "./walk-plan.ts";

type TaskRunSort = FilterTaskRuns["sort"];

const EXPECTED_START = "t.expected_start_time";
const BY_EXPECTED_START = { key: EXPECTED_START, nulls: "indexed" } as const;
/** Task runs are listed by their flow run: these orders are then of some hundred rows. */
const withoutIndex = { ties: `${EXPECTED_START} desc nulls last, t.id desc` };

const ORDERS: Record<TaskRunSort, Order> = {
  ID_DESC: { key: "t.id", direction: "desc", nulls: "none" },
  EXPECTED_START_TIME_ASC: { ...BY_EXPECTED_START, direction: "asc" },
  EXPECTED_START_TIME_DESC: { ...BY_EXPECTED_START, direction: "desc" },
  NAME_ASC: { key: "t.name", direction: "asc", nulls: "none", withoutIndex },
  NAME_DESC: { key: "t.name", direction: "desc", nulls: "none", withoutIndex },
  NEXT_SCHEDULED_START_TIME_ASC: {
    key: "t.next_scheduled_start_time",
    direction: "asc",
    nulls: "unindexed",
    withoutIndex,
  },
  END_TIME_DESC: { key: "t.end_time", direction: "desc", nulls: "unindexed", withoutIndex },
  DURATION_ASC: { key: "t.total_run_time", direction: "asc", nulls: "none", withoutIndex },
  DURATION_DESC: { key: "t.total_run_time", direction: "desc", nulls: "none", withoutIndex },
};

/** What filters, orders and statistics read of a task run. */
const COLUMNS = [
  ...["id", "name", "tags", "flow_run_id", "state_type", "state_name", "state_timestamp", "start_time", "end_time"],
  ...["expected_start_time", "next_scheduled_start_time", "total_run_time"],
] as const;

/** What a task run is without what its state and the clock add. */
export type StoredTaskRun = Omit<
  TaskRun,
  "estimated_run_time" | "estimated_start_time_delta" | "state" | "state_id" | "state_type" | "state_name"
> & { state: State | null };

export class TaskRunStore {
  readonly #db: Kysely<Database>;
  readonly #clock: Clock;
  readonly #walker: Walker;

  constructor(db: Kysely<Database>, clock: Clock) {
    this.#db = db;
    const order = ORDERS.EXPECTED_START_TIME_DESC;
    this.#walker = new Walker(db, { table: "task_runs", alias: "t", columns: COLUMNS, order });
    this.#clock = clock;
  }

  async find(id: string): Promise<TaskRun | undefined> {
    const row = await selectTaskRuns(this.#db).where("t.id", "=", id).executeTakeFirst();
    return row && taskRunFromRow(row, this.#clock.now());
  }

  /** Throws UserError NOT_FOUND. */
  async get(id: string): Promise<TaskRun> {
    const taskRun = await this.find(id);
    if (taskRun === undefined) {
      throw new UserError("NOT_FOUND", "Task not found");
    }
    return taskRun;
  }

  /** By what makes a task run the same one when its flow is executed again. */
  async findByKey(key: { flow_run_id: string; task_key: string; dynamic_key: string }): Promise<TaskRun | undefined> {
    const row = await selectTaskRuns(this.#db)
      .where("t.flow_run_id", "=", key.flow_run_id)
      .where("t.task_key", "=", key.task_key)
      .where("t.dynamic_key", "=", key.dynamic_key)
      .executeTakeFirst();
    return row && taskRunFromRow(row, this.#clock.now());
  }

  async list(filters: CrossFilters, page: { sort: TaskRunSort; limit: number; offset: number }): Promise<TaskRun[]> {
    const { sort, ...place } = page;
    const ids = await this.#walker.listIds(listTaskRunParts(filters), { ...place, order: ORDERS[sort] });
    const rows = await selectTaskRuns(this.#db)
      .where(combine("and_", anyOf("t.id", ids)))
      .execute();
    const now = this.#clock.now();
    const taskRuns = new Map(rows.map((row) => [row.id, taskRunFromRow(row, now)]));
    return ids.flatMap((id) => taskRuns.get(id) ?? []);
  }

  count(filters: CrossFilters): Promise<number> {
    return this.#walker.count(listTaskRunParts(filters));
  }

  /** Adds those that the filters match and that were to start in its time. */
  async addTo(history: RunHistory, filters: CrossFilters): Promise<void> {
    if (history.isEmpty) {
      return;
    }
    const parts = [...listTaskRunParts(filters), withinHistory(EXPECTED_START, history)];
    for await (const taskRuns of this.#walker.scan<HistoryRun>(parts, selectHistory("t"))) {
      const now = this.#clock.now();
      for (const taskRun of taskRuns) {
        history.add(taskRun, now);
      }
    }
  }

  /** Inserts the task run, or replaces all but its id and creation. Its state joins the history unless it is known. */
  async put(taskRun: StoredTaskRun): Promise<void> {
    const { id, created, ...columns } = taskRunToRow(taskRun);
    await this.#db
      .insertInto("task_runs")
      .values({ id, created, ...columns })
      .onConflict((conflict) => conflict.column("id").doUpdateSet(columns))
      .execute();
    if (taskRun.state !== null) {
      await this.addState(id, taskRun.state);
    }
  }

  /** Adds to the history without touching the task run: for a state that came late. */
  async addState(taskRunId: string, state: State): Promise<void> {
    await this.#db
      .insertInto("task_run_states")
      .values({ task_run_id: taskRunId, ...stateToRow(state) })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  }

  async findState(id: string): Promise<State | undefined> {
    const row = await this.#db.selectFrom("task_run_states").selectAll().where("id", "=", id).executeTakeFirst();
    return row && stateFromRow(row);
  }

  /** Oldest first. */
  async listStates(taskRunId: string): Promise<State[]> {
    const rows = await this.#db
      .selectFrom("task_run_states")
      .selectAll()
      .where("task_run_id", "=", taskRunId)
      .orderBy("timestamp")
      .execute();
    return rows.map(stateFromRow);
  }

  /** Answers whether there was such a task run. */
  async rename(id: string, name: string, updated: string): Promise<boolean> {
    const result = await this.#db
      .updateTable("task_runs")
      .set({ name, updated })
      .where("id", "=", id)
      .executeTakeFirst();
    return result.numUpdatedRows > 0n;
  }

  /** Answers whether there was such a task run. */
  async remove(id: string): Promise<boolean> {
    const result = await this.#db.deleteFrom("task_runs").where("id", "=", id).executeTakeFirst();
    return result.numDeletedRows > 0n;
  }
}

function selectTaskRuns(db: Kysely<Database>) {
  return db
    .selectFrom("task_runs as t")
    .leftJoin("task_run_states as s", "s.id", "t.state_id")
    .selectAll("t")
    .select(["s.message as state_message", "s.data as state_data", "s.state_details"]);
}

type TaskRunRow = Awaited<ReturnType<ReturnType<typeof selectTaskRuns>["executeTakeFirstOrThrow"]>>;

/** Keys in the order of the wire. */
function taskRunFromRow(row: TaskRunRow, now: Date): TaskRun {
  return {
    id: row.id,
    created: row.created,
    updated: row.updated,
    name: row.name,
    flow_run_id: row.flow_run_id,
    task_key: row.task_key,
    dynamic_key: row.dynamic_key,
    cache_key: row.cache_key,
    cache_expiration: row.cache_expiration,
    task_version: row.task_version,
    empirical_policy: fromJson(row.empirical_policy),
    tags: fromJson(row.tags),
    labels: fromJson(row.labels),
    state_id: row.state_id,
    task_inputs: fromJson(row.task_inputs),
    state_type: row.state_type,
    state_name: row.state_name,
    run_count: row.run_count,
    flow_run_run_count: row.flow_run_run_count,
    expected_start_time: row.expected_start_time,
    next_scheduled_start_time: row.next_scheduled_start_time,
    start_time: row.start_time,
    end_time: row.end_time,
    total_run_time: row.total_run_time,
    ...estimateTimes(row, now),
    state: currentState(row),
  };
}

function currentState(row: TaskRunRow): State | null {
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

function taskRunToRow(taskRun: StoredTaskRun) {
  return {
    id: taskRun.id,
    created: taskRun.created,
    updated: taskRun.updated,
    name: taskRun.name,
    flow_run_id: taskRun.flow_run_id ?? null,
    task_key: taskRun.task_key,
    dynamic_key: taskRun.dynamic_key,
    cache_key: taskRun.cache_key ?? null,
    cache_expiration: taskRun.cache_expiration ?? null,
    task_version: taskRun.task_version ?? null,
    empirical_policy: toJson(taskRun.empirical_policy),
    tags: toJson(taskRun.tags),
    labels: toJson(taskRun.labels ?? {}),
    task_inputs: toJson(taskRun.task_inputs),
    state_id: taskRun.state?.id ?? null,
    state_type: taskRun.state?.type ?? null,
    state_name: taskRun.state?.name ?? null,
    state_timestamp: taskRun.state?.timestamp ?? null,
    run_count: taskRun.run_count,
    flow_run_run_count: taskRun.flow_run_run_count,
    expected_start_time: taskRun.expected_start_time ?? null,
    next_scheduled_start_time: taskRun.next_scheduled_start_time ?? null,
    start_time: taskRun.start_time ?? null,
    end_time: taskRun.end_time ?? null,
    total_run_time: taskRun.total_run_time,
  };
}
