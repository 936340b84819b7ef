import type { CompiledQuery, Kysely, Updateable } from "kysely";
import type { ReceivedEvent } from "../prefect-api/events.ts";
import type { EmpiricalPolicy } from "../prefect-api/flow-runs.ts";
import { holdsSlot } from "../prefect-api/occupancy.ts";
import type { CreatedBy } from "../prefect-api/primitives.ts";
import type { State, StateType } from "../prefect-api/states.ts";
import { asRepeatable } from "./batch-answers.ts";
import { fromJson, fromJsonOrNull, toBit, toJson } from "./columns.ts";
import type { Database } from "./database-types.ts";
import { eventToRow, prepareEventInsert } from "./events.ts";
import { pauseTimeoutOf, prepareStateInsert, stateToRow } from "./flow-run-rows.ts";
import { PreparedWrite, WritesTogether } from "./prepared-writes.ts";

interface Named {
  id: string;
  name: string;
  tags: string[];
}

/** A flow run as a state change needs it: what the rules, the bookkeeping and the event read, in one statement. */
export interface ChangingRun {
  id: string;
  name: string;
  tags: string[];
  created_by: CreatedBy | null;
  deployment_id: string | null;
  parent_task_run_id: string | null;
  infrastructure_pid: string | null;
  empirical_policy: EmpiricalPolicy;
  state: State | null;
  state_id: string | null;
  state_type: StateType | null;
  state_name: string | null;
  state_timestamp: string | null;
  run_count: number;
  expected_start_time: string | null;
  next_scheduled_start_time: string | null;
  start_time: string | null;
  end_time: string | null;
  total_run_time: number;
  flow: Named;
  deployment: Named | null;
  concurrency_limit_id: string | null;
  concurrency_options: ConcurrencyChoice | null;
  workQueue: ({ id: string; name: string } & Gate) | null;
  workPool: ({ id: string; name: string; type: string } & Gate) | null;
  /** The last claim, ended or not. */
  claim: { fencing_token: number; ended: boolean } | null;
}

/** What a queue or pool lets through. */
interface Gate {
  is_paused: boolean;
  concurrency_limit: number | null;
}

interface ConcurrencyChoice {
  collision_strategy: "ENQUEUE" | "CANCEL_NEW";
  grace_period_seconds?: number | null;
}

type ChangedColumns = Pick<
  ChangingRun,
  | "run_count"
  | "expected_start_time"
  | "next_scheduled_start_time"
  | "start_time"
  | "end_time"
  | "total_run_time"
  | "infrastructure_pid"
  | "empirical_policy"
>;

/** A run has some ten states; one that is retried for days has hundreds. */
const MAX_LISTED_STATES = 1000;

/** State changes of flow runs: the one statement that reads and those that write. */
export class TransitionStore {
  readonly #db: Kysely<Database>;
  /** Compiled once: building this text anew took a tenth of the time of a state change. */
  readonly #find: CompiledQuery<ChangingRunRow>;
  readonly #together: WritesTogether;
  readonly #insertState: ReturnType<typeof prepareStateInsert>;
  readonly #enter: ReturnType<typeof prepareEntering>;
  readonly #insertEvent: ReturnType<typeof prepareEventInsert>;

  constructor(db: Kysely<Database>) {
    this.#db = db;
    this.#find = asRepeatable(selectChangingRun(db).where("r.id", "=", "").compile());
    this.#together = new WritesTogether(db);
    this.#insertState = prepareStateInsert(db);
    this.#enter = prepareEntering(db);
    this.#insertEvent = prepareEventInsert(db);
  }

  async find(flowRunId: string): Promise<ChangingRun | undefined> {
    const query: CompiledQuery<ChangingRunRow> = { ...this.#find, parameters: [flowRunId] };
    const [row] = (await this.#db.executeQuery(query)).rows;
    return row && changingRunFromRow(row);
  }

  /** The last thousand states of a run, oldest first, and who wrote each. */
  async listHistory(flowRunId: string) {
    const rows = await this.#db
      .selectFrom("flow_run_states")
      .select(["id", "timestamp", "type", "name", "message", "written_by"])
      .where("flow_run_id", "=", flowRunId)
      .orderBy("timestamp", "desc")
      .limit(MAX_LISTED_STATES)
      .execute();
    return rows.reverse();
  }

  /** Enters the state, and stores the event that tells of it. */
  async save(
    flowRunId: string,
    state: State,
    { writtenBy, event, ...changes }: ChangedColumns & { writtenBy: string | null; event: ReceivedEvent },
  ): Promise<void> {
    const entered = {
      updated: state.timestamp,
      state_id: state.id,
      state_type: state.type,
      state_name: state.name,
      state_timestamp: state.timestamp,
      run_count: changes.run_count,
      expected_start_time: changes.expected_start_time,
      next_scheduled_start_time: changes.next_scheduled_start_time,
      start_time: changes.start_time,
      end_time: changes.end_time,
      total_run_time: changes.total_run_time,
      pause_timeout: pauseTimeoutOf(state),
      holds_slot: toBit(holdsSlot(state, changes.empirical_policy)),
      infrastructure_pid: changes.infrastructure_pid,
      empirical_policy: toJson(changes.empirical_policy),
    };
    await this.#together.run([
      this.#insertState.bind({ flow_run_id: flowRunId, ...stateToRow(state), written_by: writtenBy }),
      this.#enter.bind(entered, flowRunId),
      this.#insertEvent.bind(eventToRow(event)),
    ]);
  }
}

function prepareEntering(db: Kysely<Database>): PreparedWrite<Updateable<Database["flow_runs"]>> {
  return new PreparedWrite((row) => db.updateTable("flow_runs").set(row).where("id", "=", "").compile());
}

function selectChangingRun(db: Kysely<Database>) {
  return db
    .selectFrom("flow_runs as r")
    .innerJoin("flows as f", "f.id", "r.flow_id")
    .leftJoin("flow_run_states as s", "s.id", "r.state_id")
    .leftJoin("deployments as d", "d.id", "r.deployment_id")
    .leftJoin("work_queues as q", "q.id", "r.work_queue_id")
    .leftJoin("work_pools as p", "p.id", "q.work_pool_id")
    .leftJoin("flow_run_claims as c", "c.flow_run_id", "r.id")
    .select([
      "r.id",
      "r.name",
      "r.tags",
      "r.created_by",
      "r.deployment_id",
      "r.parent_task_run_id",
      "r.infrastructure_pid",
      "r.empirical_policy",
      "r.state_id",
      "r.state_type",
      "r.state_name",
      "r.state_timestamp",
      "r.run_count",
      "r.expected_start_time",
      "r.next_scheduled_start_time",
      "r.start_time",
      "r.end_time",
      "r.total_run_time",
      "s.message as state_message",
      "s.data as state_data",
      "s.state_details",
      "f.id as flow_id",
      "f.name as flow_name",
      "f.tags as flow_tags",
      "d.name as deployment_name",
      "d.tags as deployment_tags",
      "d.concurrency_limit_id",
      "d.concurrency_options",
      "q.id as queue_id",
      "q.name as queue_name",
      "q.is_paused as queue_paused",
      "q.concurrency_limit as queue_limit",
      "p.id as pool_id",
      "p.name as pool_name",
      "p.type as pool_type",
      "p.is_paused as pool_paused",
      "p.concurrency_limit as pool_limit",
      "c.fencing_token",
      "c.ended as claim_ended",
    ]);
}

type ChangingRunRow = Awaited<ReturnType<ReturnType<typeof selectChangingRun>["executeTakeFirstOrThrow"]>>;

function changingRunFromRow(row: ChangingRunRow): ChangingRun {
  return {
    id: row.id,
    name: row.name,
    tags: fromJson(row.tags),
    created_by: fromJsonOrNull(row.created_by),
    deployment_id: row.deployment_id,
    parent_task_run_id: row.parent_task_run_id,
    infrastructure_pid: row.infrastructure_pid,
    empirical_policy: fromJson(row.empirical_policy),
    state: currentState(row),
    state_id: row.state_id,
    state_type: row.state_type,
    state_name: row.state_name,
    state_timestamp: row.state_timestamp,
    run_count: row.run_count,
    expected_start_time: row.expected_start_time,
    next_scheduled_start_time: row.next_scheduled_start_time,
    start_time: row.start_time,
    end_time: row.end_time,
    total_run_time: row.total_run_time,
    flow: { id: row.flow_id, name: row.flow_name, tags: fromJson(row.flow_tags) },
    ...findDeployment(row),
    ...findGates(row),
    claim: row.fencing_token === null ? null : { fencing_token: row.fencing_token, ended: row.claim_ended !== 0 },
  };
}

function findGates(row: ChangingRunRow): Pick<ChangingRun, "workQueue" | "workPool"> {
  return {
    workQueue:
      row.queue_id === null
        ? null
        : {
            id: row.queue_id,
            name: row.queue_name ?? "",
            is_paused: row.queue_paused === 1,
            concurrency_limit: row.queue_limit,
          },
    workPool:
      row.pool_id === null
        ? null
        : {
            id: row.pool_id,
            name: row.pool_name ?? "",
            type: row.pool_type ?? "",
            is_paused: row.pool_paused === 1,
            concurrency_limit: row.pool_limit,
          },
  };
}

/** A run whose deployment was deleted keeps its id, and has no deployment here. */
function findDeployment(row: ChangingRunRow) {
  if (row.deployment_id === null || row.deployment_name === null) {
    return { deployment: null, concurrency_limit_id: null, concurrency_options: null };
  }
  return {
    deployment: {
      id: row.deployment_id,
      name: row.deployment_name,
      tags: fromJson<string[]>(row.deployment_tags ?? "[]"),
    },
    concurrency_limit_id: row.concurrency_limit_id,
    concurrency_options: fromJsonOrNull<ConcurrencyChoice>(row.concurrency_options),
  };
}

function currentState(row: ChangingRunRow): State | null {
  if (row.state_id === null || row.state_type === null || row.state_details === null) {
    return null;
  }
  return {
    id: row.state_id,
    type: row.state_type,
    name: row.state_name ?? "",
    timestamp: row.state_timestamp ?? "",
    message: row.state_message,
    data: fromJsonOrNull(row.state_data),
    state_details: fromJson(row.state_details),
  };
}
