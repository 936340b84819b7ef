import { type Kysely, sql } from "kysely";
import type { FLOW_RUN_SORTS } from "../prefect-api/filters.ts";
import type { FlowRun } from "../prefect-api/flow-runs.ts";
import type { State, StateType } from "../prefect-api/states.ts";
import { timestampFromDate } from "../prefect-api/timestamp.ts";
import type { Clock } from "../shared/clock.ts";
import { UserError } from "../shared/errors.ts";
import { toBit, toJson, toJsonOrNull } from "./columns.ts";
import type { Database } from "./database-types.ts";
import { type CrossFilters, crossMatchFlowRuns } from "./filters.ts";
import { flowRunFromRow, pauseTimeoutOf, selectFlowRuns, stateFromRow, stateToRow } from "./flow-run-rows.ts";

export type FlowRunChanges = Partial<
  Pick<
    FlowRun,
    | "name"
    | "flow_version"
    | "parameters"
    | "empirical_policy"
    | "tags"
    | "infrastructure_pid"
    | "job_variables"
    | "labels"
  >
>;

/** A run that holds a slot. */
export interface SlotHolder {
  id: string;
  name: string;
  state_type: StateType | null;
  state_name: string | null;
  start_time: string | null;
  state_timestamp: string | null;
  work_queue_id: string | null;
}

export type FlowRunSort = (typeof FLOW_RUN_SORTS)[number];

/** A run has some ten states; one that is retried for days has hundreds. The route has no pages. */
const MAX_LISTED_STATES = 1000;

const SORTS: Record<FlowRunSort, string> = {
  ID_DESC: "r.id desc",
  START_TIME_ASC: "coalesce(r.start_time, r.expected_start_time) asc",
  START_TIME_DESC: "coalesce(r.start_time, r.expected_start_time) desc",
  EXPECTED_START_TIME_ASC: "r.expected_start_time asc, r.id asc",
  EXPECTED_START_TIME_DESC: "r.expected_start_time desc, r.id desc",
  NAME_ASC: "r.name asc",
  NAME_DESC: "r.name desc",
  NEXT_SCHEDULED_START_TIME_ASC: "r.next_scheduled_start_time asc",
  END_TIME_DESC: "r.end_time desc",
};

export class FlowRunStore {
  readonly #db: Kysely<Database>;
  readonly #clock: Clock;

  constructor(db: Kysely<Database>, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
  }

  async find(id: string): Promise<FlowRun | undefined> {
    const row = await selectFlowRuns(this.#db).where("r.id", "=", id).executeTakeFirst();
    return row && flowRunFromRow(row, this.#clock.now());
  }

  /** Throws UserError NOT_FOUND. */
  async get(id: string): Promise<FlowRun> {
    const flowRun = await this.find(id);
    if (flowRun === undefined) {
      throw new UserError("NOT_FOUND", "Flow run not found");
    }
    return flowRun;
  }

  async findByIdempotencyKey(flowId: string, key: string): Promise<FlowRun | undefined> {
    const row = await selectFlowRuns(this.#db)
      .where("r.flow_id", "=", flowId)
      .where("r.idempotency_key", "=", key)
      .executeTakeFirst();
    return row && flowRunFromRow(row, this.#clock.now());
  }

  async list(filters: CrossFilters, page: { sort: FlowRunSort; limit: number; offset: number }): Promise<FlowRun[]> {
    const rows = await selectFlowRuns(this.#db)
      .where(crossMatchFlowRuns(filters))
      .orderBy(sql.raw(SORTS[page.sort]))
      .limit(page.limit)
      .offset(page.offset)
      .execute();
    const now = this.#clock.now();
    return rows.map((row) => flowRunFromRow(row, now));
  }

  async count(filters: CrossFilters): Promise<number> {
    const row = await this.#db
      .selectFrom("flow_runs as r")
      .select(sql<number>`count(*)`.as("count"))
      .where(crossMatchFlowRuns(filters))
      .executeTakeFirstOrThrow();
    return row.count;
  }

  /** Inserts the run with its first state. A taken (flow, idempotency key) is a `unique` storage error. */
  async insert(flowRun: FlowRun): Promise<void> {
    await this.#db
      .insertInto("flow_runs")
      .values({
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
      })
      .execute();
    if (flowRun.state !== null) {
      await this.#insertState(flowRun.id, flowRun.state);
    }
  }

  async #insertState(flowRunId: string, state: State): Promise<void> {
    await this.#db
      .insertInto("flow_run_states")
      .values({ flow_run_id: flowRunId, ...stateToRow(state) })
      .execute();
  }

  /** The last thousand, oldest first. */
  async listStates(flowRunId: string): Promise<State[]> {
    const rows = await this.#db
      .selectFrom("flow_run_states")
      .selectAll()
      .where("flow_run_id", "=", flowRunId)
      .orderBy("timestamp", "desc")
      .limit(MAX_LISTED_STATES)
      .execute();
    return rows.reverse().map(stateFromRow);
  }

  /** Answers whether there was such a run. */
  async update(id: string, changes: FlowRunChanges): Promise<boolean> {
    const { parameters, empirical_policy, tags, job_variables, labels, ...plain } = changes;
    const result = await this.#db
      .updateTable("flow_runs")
      .set({
        updated: timestampFromDate(this.#clock.now()),
        ...plain,
        ...(parameters !== undefined && { parameters: toJson(parameters) }),
        ...(empirical_policy !== undefined && { empirical_policy: toJson(empirical_policy) }),
        ...(tags !== undefined && { tags: toJson(tags) }),
        ...(job_variables !== undefined && { job_variables: toJson(job_variables ?? {}) }),
        ...(labels !== undefined && { labels: toJson(labels ?? {}) }),
      })
      .where("id", "=", id)
      .executeTakeFirst();
    return result.numUpdatedRows > 0n;
  }

  /** Removes the run with its states, inputs, task runs and logs. Answers whether there was such a run. */
  async remove(id: string): Promise<boolean> {
    const result = await this.#db.deleteFrom("flow_runs").where("id", "=", id).executeTakeFirst();
    await this.#db.deleteFrom("task_runs").where("flow_run_id", "=", id).execute();
    await this.#db.deleteFrom("logs").where("flow_run_id", "=", id).execute();
    await this.#db.deleteFrom("concurrency_leases").where("holder_id", "=", id).execute();
    return result.numDeletedRows > 0n;
  }

  /** Removes a deployment's runs that wait and never ran: all, those that a schedule made, of these the future ones. */
  async removeScheduled(deploymentId: string, which: { autoOnly: boolean; futureOnly: boolean }): Promise<void> {
    await this.#db
      .deleteFrom("flow_runs")
      .where("deployment_id", "=", deploymentId)
      .where("state_type", "=", "SCHEDULED")
      .where("run_count", "=", 0)
      .where("state_name", "!=", "AwaitingConcurrencySlot")
      .$if(which.autoOnly, (query) => query.where("auto_scheduled", "=", 1))
      .$if(which.futureOnly, (query) =>
        query.where("next_scheduled_start_time", ">", timestampFromDate(this.#clock.now())),
      )
      .execute();
  }

  async countLate(queueId: string): Promise<number> {
    const row = await this.#db
      .selectFrom("flow_runs")
      .select(sql<number>`count(*)`.as("count"))
      .where("work_queue_id", "=", queueId)
      .where("state_type", "=", "SCHEDULED")
      .where("state_name", "=", "Late")
      .executeTakeFirstOrThrow();
    return row.count;
  }

  /** Runs that hold a slot of their queue, of each of the queues, and how many of them there are in all. */
  async listSlotHolders(
    queueIds: readonly string[],
    page: { limit: number; offset: number },
  ): Promise<{ runs: SlotHolder[]; counts: Map<string, number> }> {
    if (queueIds.length === 0) {
      return { runs: [], counts: new Map() };
    }
    const ranked = this.#db
      .selectFrom("flow_runs as r")
      .select([
        "r.id",
        "r.name",
        "r.state_type",
        "r.state_name",
        "r.start_time",
        "r.state_timestamp",
        "r.work_queue_id",
      ])
      .select([
        sql<number>`row_number() over (partition by r.work_queue_id order by r.state_timestamp, r.id)`.as("rank"),
        sql<number>`count(*) over (partition by r.work_queue_id)`.as("total"),
      ])
      .where("r.work_queue_id", "in", queueIds)
      .where("r.state_type", "in", ["PENDING", "RUNNING"])
      .as("ranked");
    const rows = await this.#db
      .selectFrom(ranked)
      .selectAll()
      .where((where) =>
        where.or([
          where("rank", "=", 1),
          where.and([where("rank", ">", page.offset), where("rank", "<=", page.offset + page.limit)]),
        ]),
      )
      .orderBy("rank")
      .execute();
    return {
      runs: rows.filter(({ rank }) => rank > page.offset && rank <= page.offset + page.limit),
      counts: new Map(rows.map((row) => [row.work_queue_id ?? "", row.total])),
    };
  }

  /** Due runs of one queue, the longest due first, less those that wait inside their own process. */
  async listDue(
    queueId: string,
    due: { before: string; after: string | undefined; limit: number },
  ): Promise<FlowRun[]> {
    const rows = await selectFlowRuns(this.#db)
      .where("r.work_queue_id", "=", queueId)
      .where("r.state_type", "=", "SCHEDULED")
      .where("r.next_scheduled_start_time", "<=", due.before)
      .$if(due.after !== undefined, (query) => query.where("r.next_scheduled_start_time", ">=", due.after ?? ""))
      .where("r.empirical_policy", "not like", '%"retry_type":"in_process"%')
      .orderBy("r.next_scheduled_start_time")
      .limit(due.limit)
      .execute();
    const now = this.#clock.now();
    return rows.map((row) => flowRunFromRow(row, now));
  }
}
