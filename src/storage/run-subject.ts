import type { Kysely } from "kysely";
import type { FlowRun } from "../prefect-api/flow-runs.ts";
import { timestampFromDate } from "../prefect-api/timestamp.ts";
import { fromBit, fromJsonOrNull } from "./columns.ts";
import type { Database } from "./database-types.ts";
import { flowRunFromRow, selectFlowRuns } from "./flow-run-rows.ts";
import { isRecentlyPolled } from "./work-queues.ts";

/** A flow run with what surrounds it: what nearly every answer to "why is it not running?" reads, in one statement. */
export interface RunSubject {
  run: FlowRun;
  flow_name: string;
  deployment: {
    name: string;
    paused: boolean;
    work_queue_id: string | null;
    concurrency_limit_id: string | null;
    collision_strategy: string;
  } | null;
  queue: {
    id: string;
    name: string;
    is_paused: boolean;
    concurrency_limit: number | null;
    priority: number;
    last_polled: string | null;
    /** Whether a worker has asked for its runs of late. */
    is_polled: boolean;
  } | null;
  pool: { id: string; name: string; type: string; is_paused: boolean; concurrency_limit: number | null } | null;
  claim: { worker_name: string; claimed_at: string; expires_at: string; started: boolean } | null;
  /** How many workers in a row took the run and vanished before they started it. */
  unstarted_claims: number;
  /** What the run's schedule is called by, when a schedule made it. */
  schedule: string | null;
}

export function selectSubjects(db: Kysely<Database>) {
  return selectFlowRuns(db)
    .innerJoin("flows as f", "f.id", "r.flow_id")
    .leftJoin("deployments as d", "d.id", "r.deployment_id")
    .leftJoin("flow_run_claims as c", "c.flow_run_id", "r.id")
    .select([
      "f.name as flow_name",
      "d.name as deployment_name",
      "d.paused as deployment_paused",
      "d.work_queue_id as deployment_queue_id",
      "d.concurrency_limit_id",
      "d.concurrency_options",
      "q.is_paused as queue_paused",
      "q.concurrency_limit as queue_limit",
      "q.priority as queue_priority",
      "q.last_polled as queue_polled",
      "p.type as pool_type",
      "p.is_paused as pool_paused",
      "p.concurrency_limit as pool_limit",
      "c.worker_name as claim_worker",
      "c.claimed_at",
      "c.expires_at as claim_until",
      "c.started as claim_started",
      "c.ended as claim_ended",
      "c.unstarted_claims",
    ]);
}

type SubjectRow = Awaited<ReturnType<ReturnType<typeof selectSubjects>["executeTakeFirstOrThrow"]>>;

export function subjectFromRow(row: SubjectRow, now: Date): RunSubject {
  const run = flowRunFromRow(row, now);
  return {
    run,
    flow_name: row.flow_name,
    deployment: deploymentOf(row),
    queue: queueOf(row, timestampFromDate(now)),
    pool: poolOf(row),
    claim: claimOf(row),
    unstarted_claims: row.unstarted_claims ?? 0,
    schedule: run.created_by?.type === "SCHEDULE" ? (run.created_by.display_value ?? null) : null,
  };
}

function deploymentOf(row: SubjectRow): RunSubject["deployment"] {
  if (row.deployment_name === null) {
    return null;
  }
  const options = fromJsonOrNull<{ collision_strategy?: string }>(row.concurrency_options);
  return {
    name: row.deployment_name,
    paused: fromBit(row.deployment_paused ?? 0),
    work_queue_id: row.deployment_queue_id,
    concurrency_limit_id: row.concurrency_limit_id,
    collision_strategy: options?.collision_strategy ?? "ENQUEUE",
  };
}

function queueOf(row: SubjectRow, now: string): RunSubject["queue"] {
  if (row.work_queue_id === null || row.work_queue_name === null) {
    return null;
  }
  return {
    id: row.work_queue_id,
    name: row.work_queue_name,
    is_paused: fromBit(row.queue_paused ?? 0),
    concurrency_limit: row.queue_limit,
    priority: row.queue_priority ?? 1,
    last_polled: row.queue_polled,
    is_polled: isRecentlyPolled(row.queue_polled, now),
  };
}

function poolOf(row: SubjectRow): RunSubject["pool"] {
  if (row.work_pool_id === null || row.work_pool_name === null) {
    return null;
  }
  return {
    id: row.work_pool_id,
    name: row.work_pool_name,
    type: row.pool_type ?? "",
    is_paused: fromBit(row.pool_paused ?? 0),
    concurrency_limit: row.pool_limit,
  };
}

function claimOf(row: SubjectRow): RunSubject["claim"] {
  if (row.claim_ended !== 0 || row.claim_worker === null || row.claimed_at === null || row.claim_until === null) {
    return null;
  }
  return {
    worker_name: row.claim_worker,
    claimed_at: row.claimed_at,
    expires_at: row.claim_until,
    started: fromBit(row.claim_started ?? 0),
  };
}
