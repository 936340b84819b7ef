import { type Kysely, type RawBuilder, type SqlBool, sql } from "kysely";
import type { FLOW_RUN_SORTS } from "../prefect-api/filters.ts";
import type { HistoryRun, RunHistory } from "../prefect-api/run-history.ts";
import { fromJson } from "./columns.ts";
import { anyOf, type Condition, matchTags, type TagFilter } from "./conditions.ts";
import { type CrossFilters, listRunParts } from "./cross-filters.ts";
import type { Database } from "./database-types.ts";
import { END, EXPECTED_START, NEXT_START, START } from "./flow-run-filter.ts";
import { type Order, type Part, Walker } from "./walk.ts";

export type FlowRunSort = (typeof FLOW_RUN_SORTS)[number];

const ORDERS: Record<FlowRunSort, Order> = {
  ID_DESC: { key: "r.id", direction: "desc", nulls: "none" },
  START_TIME_ASC: { key: START, direction: "asc", nulls: "none" },
  START_TIME_DESC: { key: START, direction: "desc", nulls: "none" },
  EXPECTED_START_TIME_ASC: { key: EXPECTED_START, direction: "asc", nulls: "indexed" },
  EXPECTED_START_TIME_DESC: { key: EXPECTED_START, direction: "desc", nulls: "indexed" },
  NAME_ASC: { key: "r.name", direction: "asc", nulls: "none" },
  NAME_DESC: { key: "r.name", direction: "desc", nulls: "none" },
  NEXT_SCHEDULED_START_TIME_ASC: { key: NEXT_START, direction: "asc", nulls: "unindexed" },
  END_TIME_DESC: { key: END, direction: "desc", nulls: "unindexed" },
};

/** What filters, orders and statistics read of a run. */
const COLUMNS = [
  ...["id", "name", "tags", "flow_id", "deployment_id", "work_queue_id", "state_type", "state_name"],
  ...["state_timestamp", "start_time", "end_time", "expected_start_time", "next_scheduled_start_time"],
  ...["total_run_time", "flow_version", "parent_task_run_id", "idempotency_key", "created_by"],
] as const;

/** Different lists of tags that are looked through for those that match. Some 50 ms. */
const MAX_TAG_LISTS = 20_000;
/** Of these at most so many are searched for. */
const MAX_MATCHING_TAG_LISTS = 500;

/** Finds flow runs among a million, whatever is asked of them. */
export class FlowRunSearch {
  readonly #db: Kysely<Database>;
  readonly #walker: Walker;

  constructor(db: Kysely<Database>) {
    this.#db = db;
    const order = ORDERS.EXPECTED_START_TIME_DESC;
    this.#walker = new Walker(db, { table: "flow_runs", alias: "r", columns: COLUMNS, order });
  }

  async listIds(filters: CrossFilters, page: { sort: FlowRunSort; limit: number; offset: number }): Promise<string[]> {
    const { sort, ...place } = page;
    const parts = await this.#listParts(filters);
    return parts === undefined ? [] : this.#walker.listIds(parts, { ...place, order: ORDERS[sort] });
  }

  async keepMatching(ids: readonly string[], filters: CrossFilters): Promise<string[]> {
    const [listed] = anyOf("r.id", ids);
    const parts = await this.#listParts(filters);
    if (parts === undefined || listed === undefined) {
      return [];
    }
    const page = { order: ORDERS.ID_DESC, limit: ids.length, offset: 0 };
    return this.#walker.listIds([{ condition: listed, lookup: { few: true } }, ...parts], page);
  }

  async count(filters: CrossFilters): Promise<number> {
    const parts = await this.#listParts(filters);
    return parts === undefined ? 0 : this.#walker.count(parts);
  }

  /** What statistics read of every run that the filters match, some thousand runs at a time. */
  async *scan(filters: CrossFilters, history?: RunHistory): AsyncGenerator<HistoryRun[]> {
    const parts = await this.#listParts(filters);
    if (parts !== undefined) {
      const range = history === undefined ? [] : [withinHistory(EXPECTED_START, history)];
      yield* this.#walker.scan<HistoryRun>([...parts, ...range], selectHistory("r"));
    }
  }

  async #listParts(filters: CrossFilters): Promise<Part[] | undefined> {
    const parts = await listRunParts(this.#db, filters);
    const tags = filters.flow_runs?.operator === "and_" ? filters.flow_runs.tags : undefined;
    const [condition] = matchTags("r.tags", tags);
    return parts && condition && tags ? [...parts, { condition, rewrite: () => this.#findTagLists(tags) }] : parts;
  }

  /**
   * The lists of tags that a filter matches. Runs of a deployment have the same tags, most often, so that the lists are
   * few however many the runs; undefined when they are not.
   */
  async #findTagLists(filter: TagFilter): Promise<Condition | undefined> {
    const { rows } = await sql<{ tags: string | null }>`with recursive lists (tags) as (
        select min(tags) from flow_runs
        union all
        select (select min(r.tags) from flow_runs r where r.tags > lists.tags) from lists where lists.tags is not null
      ) select tags from lists limit ${MAX_TAG_LISTS}`.execute(this.#db);
    if (rows.length >= MAX_TAG_LISTS) {
      return undefined;
    }
    const matching = rows.flatMap(({ tags }) =>
      tags !== null && hasTags(filter, new Set(fromJson<string[]>(tags))) ? [tags] : [],
    );
    return matching.length > MAX_MATCHING_TAG_LISTS ? undefined : anyOf("r.tags", matching)[0];
  }
}

/** As `matchTags` asks it of a column. */
function hasTags({ operator, all_: all, any_: any, is_null_: none }: TagFilter, tags: ReadonlySet<string>): boolean {
  const answers = [
    ...(all ?? []).map((tag) => tags.has(tag)),
    ...(any ? [any.some((tag) => tags.has(tag))] : []),
    ...(typeof none === "boolean" ? [(tags.size === 0) === none] : []),
  ];
  return answers.length === 0 || (operator === "or_" ? answers.includes(true) : !answers.includes(false));
}
export function withinHistory(key: string, { start, end }: RunHistory): Part {
  const column = sql.raw(key);
  return { key, condition: sql<SqlBool>`(${column} >= ${start} and ${column} < ${end})` };
}

export function selectHistory(alias: "r" | "t"): RawBuilder<unknown> {
  const times = ["state_timestamp", "total_run_time", "start_time", "expected_start_time"];
  return sql.raw(["state_type", "state_name", ...times].map((column) => `${alias}.${column}`).join(", "));
}
