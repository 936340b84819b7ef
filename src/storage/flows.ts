import { type Kysely, sql } from "kysely";
import type { FilterFlows } from "../prefect-api/filters.ts";
import type { Flow } from "../prefect-api/flows.ts";
import type { Labels } from "../prefect-api/primitives.ts";
import { timestampFromDate } from "../prefect-api/timestamp.ts";
import type { Clock } from "../shared/clock.ts";
import { fromJson, toJson } from "./columns.ts";
import { anyOf, combine } from "./conditions.ts";
import { type CrossFilters, crossMatchFlows, findRunFilters } from "./cross-filters.ts";
import type { Database } from "./database-types.ts";
import { FlowRunSearch } from "./flow-run-search.ts";

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

interface FlowPage {
  sort: FilterFlows["sort"];
  limit: number;
  offset: number;
}

export class FlowStore {
  readonly #db: Kysely<Database>;
  readonly #search: FlowRunSearch;
  readonly #clock: Clock;

  constructor(db: Kysely<Database>, clock: Clock) {
    this.#db = db;
    this.#search = new FlowRunSearch(db);
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

  async list(filters: CrossFilters, page: FlowPage): Promise<Flow[]> {
    const ids = await this.#listWithRuns(filters, page);
    const rows = await this.#db
      .selectFrom("flows as f")
      .selectAll("f")
      .where(ids === undefined ? crossMatchFlows(filters) : combine("and_", anyOf("f.id", ids)))
      .orderBy(sql.raw(SORTS[page.sort]))
      .limit(page.limit)
      .offset(ids === undefined ? page.offset : 0)
      .execute();
    return rows.map(flowFromRow);
  }

  async count(filters: CrossFilters): Promise<number> {
    const ids = await this.#listWithRuns(filters, { sort: "NAME_ASC", limit: Number.POSITIVE_INFINITY, offset: 0 });
    if (ids !== undefined) {
      return ids.length;
    }
    const row = await this.#db
      .selectFrom("flows as f")
      .select(sql<number>`count(*)`.as("count"))
      .where(crossMatchFlows(filters))
      .executeTakeFirstOrThrow();
    return row.count;
  }

  /** A page of those that have a run as is asked for; undefined where no run is. */
  async #listWithRuns(filters: CrossFilters, page: FlowPage): Promise<string[] | undefined> {
    const asked = findRunFilters(filters);
    if (asked === undefined) {
      return undefined;
    }
    const rows = await this.#db
      .selectFrom("flows as f")
      .select("f.id")
      .where(crossMatchFlows(filters))
      .orderBy(sql.raw(SORTS[page.sort]))
      .execute();
    const owners = rows.map(({ id }) => id);
    const found = await this.#search.listOwners("r.flow_id", owners, asked, page.offset + page.limit);
    return found.slice(page.offset);
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
