import type { Kysely } from "kysely";
import type { StateType } from "../prefect-api/states.ts";
import type { Database } from "./database-types.ts";

const ENDED: readonly StateType[] = ["COMPLETED", "FAILED", "CANCELLED", "CRASHED"];

/** Removes what is old enough, a bounded number of rows at a time, so that nobody waits long behind it. */
export class RetentionStore {
  readonly #db: Kysely<Database>;

  constructor(db: Kysely<Database>) {
    this.#db = db;
  }

  /** Ids of runs that ended before `ended`, the longest ago first; one that is started again has no end. */
  async listRunsEndedBefore(ended: string, most: number): Promise<string[]> {
    const rows = await this.#db
      .selectFrom("flow_runs")
      .select("id")
      .where("end_time", "<", ended)
      .orderBy("end_time")
      .limit(most)
      .execute();
    return rows.map(({ id }) => id);
  }

  /** Removes runs with their states and inputs, unless they were started again meanwhile. Answers how many. */
  async removeRuns(ids: readonly string[], ended: string): Promise<number> {
    const result = await this.#db
      .deleteFrom("flow_runs")
      .where("id", "in", ids)
      .where("state_type", "in", ENDED)
      .where("end_time", "<", ended)
      .executeTakeFirst();
    await this.#db.deleteFrom("concurrency_leases").where("holder_id", "in", ids).execute();
    return Number(result.numDeletedRows);
  }

  /** Lines of these runs. Answers how many were removed. */
  async removeLogsOf(flowRunIds: readonly string[], most: number): Promise<number> {
    const old = this.#db.selectFrom("logs").select("id").where("flow_run_id", "in", flowRunIds).limit(most);
    const result = await this.#db.deleteFrom("logs").where("id", "in", old).executeTakeFirst();
    return Number(result.numDeletedRows);
  }

  /** Task runs of these flow runs, with their states. Answers how many were removed. */
  async removeTaskRunsOf(flowRunIds: readonly string[], most: number): Promise<number> {
    const old = this.#db.selectFrom("task_runs").select("id").where("flow_run_id", "in", flowRunIds).limit(most);
    const result = await this.#db.deleteFrom("task_runs").where("id", "in", old).executeTakeFirst();
    return Number(result.numDeletedRows);
  }

  /** Artifacts that these runs left. Answers how many were removed. */
  async removeArtifactsOf(flowRunIds: readonly string[], most: number): Promise<number> {
    const old = this.#db.selectFrom("artifacts").select("id").where("flow_run_id", "in", flowRunIds).limit(most);
    const result = await this.#db.deleteFrom("artifacts").where("id", "in", old).executeTakeFirst();
    return Number(result.numDeletedRows);
  }

  /** Log lines, of whatever run. Answers how many were removed. */
  async removeLogsBefore(timestamp: string, most: number): Promise<number> {
    const old = this.#db
      .selectFrom("logs")
      .select("id")
      .where("timestamp", "<", timestamp)
      .orderBy("timestamp")
      .limit(most);
    const result = await this.#db.deleteFrom("logs").where("id", "in", old).executeTakeFirst();
    return Number(result.numDeletedRows);
  }

  /** Task runs that no flow run called, and so none takes with it. Answers how many were removed. */
  async removeLoneTaskRunsEndedBefore(ended: string, most: number): Promise<number> {
    const old = this.#db
      .selectFrom("task_runs")
      .select("id")
      .where("flow_run_id", "is", null)
      .where("end_time", "<", ended)
      .limit(most);
    const result = await this.#db.deleteFrom("task_runs").where("id", "in", old).executeTakeFirst();
    return Number(result.numDeletedRows);
  }
}
