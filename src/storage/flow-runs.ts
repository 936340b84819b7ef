import { type Kysely, type SqlBool, sql } from "kysely";
import type { ReceivedEvent } from "../prefect-api/events.ts";
import type { FlowRun } from "../prefect-api/flow-runs.ts";
import { estimateTimes } from "../prefect-api/run-estimates.ts";
import type { RunHistory } from "../prefect-api/run-history.ts";
import type { State, StateType } from "../prefect-api/states.ts";
import { timestampFromDate } from "../prefect-api/timestamp.ts";
import type { Clock } from "../shared/clock.ts";
import { UserError } from "../shared/errors.ts";
import { toJson } from "./columns.ts";
import { anyOf, combine } from "./conditions.ts";
import type { CrossFilters } from "./cross-filters.ts";
import type { Database } from "./database-types.ts";
import { eventToRow, prepareEventInsert } from "./events.ts";
import {
  flowRunFromRow,
  flowRunToRow,
  prepareRunInsert,
  prepareStateInsert,
  selectFlowRuns,
  stateFromRow,
  stateToRow,
} from "./flow-run-rows.ts";
import { FlowRunSearch, type FlowRunSort } from "./flow-run-search.ts";
import { WritesTogether } from "./prepared-writes.ts";

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

/** A run has some ten states; one that is retried for days has hundreds. The route has no pages. */
const MAX_LISTED_STATES = 1000;

/** Literals, or the indexes of those runs would not be used. */
const IS_SCHEDULED = sql<SqlBool>`state_type = 'SCHEDULED'`;
const HOLDS_SLOT = sql<SqlBool>`r.holds_slot = 1`;

export class FlowRunStore {
  readonly #db: Kysely<Database>;
  readonly #clock: Clock;
  readonly #search: FlowRunSearch;
  readonly #together: WritesTogether;
  readonly #insertRun: ReturnType<typeof prepareRunInsert>;
  readonly #insertState: ReturnType<typeof prepareStateInsert>;
  readonly #insertEvent: ReturnType<typeof prepareEventInsert>;

  constructor(db: Kysely<Database>, clock: Clock) {
    this.#db = db;
    this.#search = new FlowRunSearch(db);
    this.#together = new WritesTogether(db);
    this.#insertRun = prepareRunInsert(db);
    this.#insertState = prepareStateInsert(db);
    this.#insertEvent = prepareEventInsert(db);
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
    return this.#load(await this.listIds(filters, page));
  }

  listIds(filters: CrossFilters, page: { sort: FlowRunSort; limit: number; offset: number }): Promise<string[]> {
    return this.#search.listIds(filters, page);
  }

  /** Those of some runs that the filters still match. */
  keepMatching(ids: readonly string[], filters: CrossFilters): Promise<string[]> {
    return this.#search.keepMatching(ids, filters);
  }

  count(filters: CrossFilters): Promise<number> {
    return this.#search.count(filters);
  }

  /** Adds those that the filters match and that were to start in its time. */
  async addTo(history: RunHistory, filters: CrossFilters): Promise<void> {
    if (history.isEmpty) {
      return;
    }
    for await (const runs of this.#search.scan(filters, history)) {
      const now = this.#clock.now();
      for (const run of runs) {
        history.add(run, now);
      }
    }
  }

  /** How late runs start, on average, in seconds; null where there are none. */
  async averageLateness(filters: CrossFilters): Promise<number | null> {
    let [count, seconds] = [0, 0];
    for await (const runs of this.#search.scan(filters)) {
      const now = this.#clock.now();
      count += runs.length;
      seconds += runs.reduce((sum, run) => sum + estimateTimes(run, now).estimated_start_time_delta, 0);
    }
    return count === 0 ? null : seconds / count;
  }

  /** In the order of the ids. */
  async #load(ids: readonly string[]): Promise<FlowRun[]> {
    const rows = await selectFlowRuns(this.#db)
      .where(combine("and_", anyOf("r.id", ids)))
      .execute();
    const now = this.#clock.now();
    const runs = new Map(rows.map((row) => [row.id, flowRunFromRow(row, now)]));
    return ids.flatMap((id) => runs.get(id) ?? []);
  }

  /**
   * Inserts the run with its first state and the event that tells of it. A taken (flow, idempotency key) is a `unique`
   * storage error.
   */
  async insert(flowRun: FlowRun, event?: ReceivedEvent): Promise<void> {
    const { id, state } = flowRun;
    await this.#together.run([
      this.#insertRun.bind(flowRunToRow(flowRun)),
      ...(state === null ? [] : [this.#insertState.bind({ flow_run_id: id, ...stateToRow(state), written_by: null })]),
      ...(event === undefined ? [] : [this.#insertEvent.bind(eventToRow(event))]),
    ]);
  }

  async findState(id: string): Promise<State | undefined> {
    const row = await this.#db.selectFrom("flow_run_states").selectAll().where("id", "=", id).executeTakeFirst();
    return row && stateFromRow(row);
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
      .where(IS_SCHEDULED)
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
      .where(HOLDS_SLOT)
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
}
