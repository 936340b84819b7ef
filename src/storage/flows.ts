import { type Kysely, sql } from "kysely";
import type { FilterFlows } from "../prefect-api/filters.ts";
import type { Flow } from "../prefect-api/flows.ts";
import type { Labels } from "../prefect-api/primitives.ts";
import { timestampFromDate } from "../prefect-api/timestamp.ts";
import type { Clock } from "../shared/clock.ts";
import { fromJson, toJson } from "./columns.ts";
import { type CrossFilters, crossMatchFlows } from "./cross-filters.ts";
import type { Database } from "./database-types.ts";

interface FlowRow {
  id: string;
  created: string;
  updated: string;
  name: string;
  tags: string;
  labels: string;
}

const SORTS: Record<FilterFlows["sort"], string> = {
  CREATED_DESC: "f.created desc",
  UPDATED_DESC: "f.updated desc",
  NAME_ASC: "f.name asc",
  NAME_DESC: "f.name desc",
};

export class FlowStore {
  readonly #db: Kysely<Database>;
  readonly #clock: Clock;

  constructor(db: Kysely<Database>, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
  }

  async find(id: string): Promise<Flow | undefined> {
    const row = await this.#db.selectFrom("flows").selectAll().where("id", "=", id).executeTakeFirst();
    return row && flowFromRow(row);
  }

  async findByName(name: string): Promise<Flow | undefined> {
    const row = await this.#db.selectFrom("flows").selectAll().where("name", "=", name).executeTakeFirst();
    return row && flowFromRow(row);
  }

  async list(
    filters: CrossFilters,
    page: { sort: FilterFlows["sort"]; limit: number; offset: number },
  ): Promise<Flow[]> {
    const rows = await this.#db
      .selectFrom("flows as f")
      .selectAll("f")
      .where(crossMatchFlows(filters))
      .orderBy(sql.raw(SORTS[page.sort]))
      .limit(page.limit)
      .offset(page.offset)
      .execute();
    return rows.map(flowFromRow);
  }

  async count(filters: CrossFilters): Promise<number> {
    const row = await this.#db
      .selectFrom("flows as f")
      .select(sql<number>`count(*)`.as("count"))
      .where(crossMatchFlows(filters))
      .executeTakeFirstOrThrow();
    return row.count;
  }

  async insert(flow: Flow): Promise<void> {
    await this.#db
      .insertInto("flows")
      .values({ ...flow, tags: toJson(flow.tags), labels: toJson(flow.labels) })
      .execute();
  }

  /** Answers whether there was such a flow. */
  async update(id: string, changes: { tags?: string[]; labels?: Labels }): Promise<boolean> {
    const result = await this.#db
      .updateTable("flows")
      .set({
        updated: timestampFromDate(this.#clock.now()),
        ...(changes.tags !== undefined && { tags: toJson(changes.tags) }),
        ...(changes.labels !== undefined && { labels: toJson(changes.labels) }),
      })
      .where("id", "=", id)
      .executeTakeFirst();
    return result.numUpdatedRows > 0n;
  }

  /** Removes the flow with its deployments and runs. Answers whether there was such a flow. */
  async remove(id: string): Promise<boolean> {
    const result = await this.#db.deleteFrom("flows").where("id", "=", id).executeTakeFirst();
    return result.numDeletedRows > 0n;
  }
}

function flowFromRow(row: FlowRow): Flow {
  return {
    id: row.id,
    created: row.created,
    updated: row.updated,
    name: row.name,
    tags: fromJson(row.tags),
    labels: fromJson(row.labels),
  };
}
