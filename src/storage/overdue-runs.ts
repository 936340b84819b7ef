import { type Kysely, type SqlBool, sql } from "kysely";
import type { Database } from "./database-types.ts";

/** A literal, or the index of those runs would not be used. */
const IS_CANCELLED = sql<SqlBool>`r.state_type = 'CANCELLED'`;

/**
 * Runs that something is to happen to because time has passed, in bounded batches. What is listed may have changed a
 * moment later: whoever changes a run looks again in its transaction.
 */
export class OverdueRunStore {
  readonly #db: Kysely<Database>;

  constructor(db: Kysely<Database>) {
    this.#db = db;
  }

  /** Ids of runs that were to start at `before` or earlier and are still called Scheduled, the longest overdue first. */
  async listLate(before: string, most: number): Promise<string[]> {
    const rows = await this.#db
      .selectFrom("flow_runs")
      .select("id")
      .where("state_name", "=", "Scheduled")
      .where("next_scheduled_start_time", "<=", before)
      .orderBy("next_scheduled_start_time")
      .limit(most)
      .execute();
    return rows.map(({ id }) => id);
  }

  /** Ids of paused runs whose time to be resumed ended before `now`. */
  async listExpiredPauses(now: string, most: number): Promise<string[]> {
    const rows = await this.#db
      .selectFrom("flow_runs")
      .select("id")
      .where("pause_timeout", "<", now)
      .orderBy("pause_timeout")
      .limit(most)
      .execute();
    return rows.map(({ id }) => id);
  }

  /** Ids of runs that have been CANCELLING since `before` or longer. */
  async listStuckCancelling(before: string, most: number): Promise<string[]> {
    const rows = await this.#db
      .selectFrom("flow_runs")
      .select("id")
      .where("state_type", "=", "CANCELLING")
      .where("state_timestamp", "<=", before)
      .orderBy("state_timestamp")
      .limit(most)
      .execute();
    return rows.map(({ id }) => id);
  }

  /** Ids of subflow runs that go on although the run that called them is CANCELLED. */
  async listSubflowsOfCancelled(most: number): Promise<string[]> {
    const rows = await this.#db
      .selectFrom("flow_runs as r")
      .innerJoin("task_runs as t", "t.id", "r.parent_task_run_id")
      .innerJoin("flow_runs as parent", "parent.id", "t.flow_run_id")
      .select("r.id")
      .where("r.parent_task_run_id", "is not", null)
      .where((where) =>
        where.or([
          where("r.state_type", "in", ["SCHEDULED", "PENDING", "RUNNING", "PAUSED"]),
          // One with a deployment has its own worker, which is being asked already.
          where.and([where("r.state_type", "=", "CANCELLING"), where("r.deployment_id", "is", null)]),
        ]),
      )
      .where("parent.state_type", "=", "CANCELLED")
      .limit(most)
      .execute();
    return rows.map(({ id }) => id);
  }

  /** Whether the run that called this subflow run is CANCELLED. */
  async isParentCancelled(parentTaskRunId: string): Promise<boolean> {
    const row = await this.#db
      .selectFrom("task_runs as t")
      .innerJoin("flow_runs as parent", "parent.id", "t.flow_run_id")
      .select("parent.state_type")
      .where("t.id", "=", parentTaskRunId)
      .executeTakeFirst();
    return row?.state_type === "CANCELLED";
  }

  /** Ids of task runs that have not ended, of flow runs that were cancelled at `since` or later. */
  async listTaskRunsOfCancelled(since: string, most: number): Promise<string[]> {
    const rows = await this.#db
      .selectFrom("flow_runs as r")
      .innerJoin("task_runs as t", "t.flow_run_id", "r.id")
      .select("t.id")
      .where(IS_CANCELLED)
      .where("r.end_time", ">=", since)
      .where("t.end_time", "is", null)
      // One that tells no state has none to end.
      .where(sql<boolean>`t.state_type is not null`)
      .limit(most)
      .execute();
    return rows.map(({ id }) => id);
  }
}
