import { type Kysely, type SqlBool, sql } from "kysely";
import { listOf } from "./conditions.ts";
import type { Database } from "./database-types.ts";

export type FlowRunInput = Database["flow_run_inputs"];

/** Values that a waiting run is given. */
export class FlowRunInputStore {
  readonly #db: Kysely<Database>;

  constructor(db: Kysely<Database>) {
    this.#db = db;
  }

  async find(flowRunId: string, key: string): Promise<FlowRunInput | undefined> {
    return await this.#db
      .selectFrom("flow_run_inputs")
      .selectAll()
      .where("flow_run_id", "=", flowRunId)
      .where("key", "=", key)
      .executeTakeFirst();
  }

  /** Those whose key starts with `prefix`, in the order of their arrival. */
  async list(
    flowRunId: string,
    where: { prefix: string; excludeKeys: readonly string[]; limit: number },
  ): Promise<FlowRunInput[]> {
    return await this.#db
      .selectFrom("flow_run_inputs")
      .selectAll()
      .where("flow_run_id", "=", flowRunId)
      .where("key", ">=", where.prefix)
      .where("key", "<", `${where.prefix}\u{10FFFF}`)
      .$if(where.excludeKeys.length > 0, (query) => query.where(sql<SqlBool>`key not in ${listOf(where.excludeKeys)}`))
      .orderBy("created")
      .limit(where.limit)
      .execute();
  }

  /** A key that the run has already is a `unique` storage error, an unknown run a `foreign-key` one. */
  async insert(input: FlowRunInput): Promise<void> {
    await this.#db.insertInto("flow_run_inputs").values(input).execute();
  }

  async remove(flowRunId: string, keys: readonly string[]): Promise<boolean> {
    if (keys.length === 0) {
      return false;
    }
    const result = await this.#db
      .deleteFrom("flow_run_inputs")
      .where("flow_run_id", "=", flowRunId)
      .where("key", "in", keys)
      .executeTakeFirst();
    return result.numDeletedRows > 0n;
  }
}
