import { setImmediate } from "node:timers/promises";
import { type Kysely, type RawBuilder, type SqlBool, sql } from "kysely";
import type { FLOW_RUN_SORTS } from "../prefect-api/filters.ts";
import type { HistoryRun, RunHistory } from "../prefect-api/run-history.ts";
import { STATE_TYPES } from "../prefect-api/states.ts";
import { anyOf, type Condition, matchState, matchTags } from "./conditions.ts";
import { type CrossFilters, listRunParts } from "./cross-filters.ts";
import type { Database } from "./database-types.ts";
import { BY_DEPLOYMENT, BY_FLOW, BY_STATE, END, EXPECTED_START, NEXT_START, START } from "./flow-run-filter.ts";
import { Walker } from "./walk.ts";
import { listValues, MAX_VALUES, type Order, type Part } from "./walk-plan.ts";

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

const INDEXES = { "r.flow_id": BY_FLOW, "r.deployment_id": BY_DEPLOYMENT };

/** Stretches of runs that are looked at before the owners are asked one by one. */
const CHUNKS_FOR_OWNERS = 2;

/** Different lists of tags that are looked through for those that match, so many in one statement. */
const MAX_TAG_LISTS = 20_000;
const TAG_LISTS_AT_ONCE = 2500;
/** Of these at most so many are searched for. */
const MAX_MATCHING_TAG_LISTS = 2000;

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

  /** Those of some flows or deployments, in their order, that have a run that the filters match: so many at most. */
  async listOwners(column: OwnerColumn, owners: readonly string[], asked: RunFilters, most: number): Promise<string[]> {
    const parts = await this.#listParts(asked);
    if (parts === undefined) {
      return [];
    }
    const found = new Set<string>();
    const runs = this.#walker.scan<{ owner: string }>(parts, sql`${sql.raw(column)} as owner`);
    const look = async (isEnough: (chunks: number) => boolean) => {
      for (let chunks = 0; !isEnough(chunks); chunks += 1) {
        const { value, done } = await runs.next();
        if (done) {
          return true;
        }
        for (const { owner } of value) {
          found.add(owner);
        }
      }
      return false;
    };
    // Most owners have a run among the last that match; others are asked for theirs; what is left takes a look at all.
    if (!(await look((chunks) => chunks === CHUNKS_FOR_OWNERS))) {
      const open = await this.#askOwners({ column, owners, parts, most, found });
      await look(() => open.every((owner) => found.has(owner)));
    }
    return owners.filter((owner) => found.has(owner)).slice(0, most);
  }

  /** Adds to those that are found. Answers the owners of which it is still not known, as far as that matters. */
  async #askOwners({ column, owners, parts, most, found }: AskedOwners): Promise<string[]> {
    const open: string[] = [];
    let passed = 0;
    for (const owner of owners) {
      const condition = sql<SqlBool>`${sql.raw(column)} = ${owner}`;
      const part: Part = { condition, lookup: listValues(column, [owner], INDEXES[column]) };
      if (found.has(owner) || (await this.#walker.hasRecent([...parts, part], part))) {
        found.add(owner);
        passed += 1;
      } else {
        open.push(owner);
      }
      if (passed >= most && open.length === 0) {
        break;
      }
      await setImmediate();
    }
    return open;
  }

  /** Undefined when there can be none. */
  async #listParts(filters: CrossFilters): Promise<Part[] | undefined> {
    const own = filters.flow_runs?.operator === "and_" ? filters.flow_runs : undefined;
    const [tagged] = matchTags("r.tags", own?.tags);
    const tags = tagged === undefined ? [] : [{ condition: tagged, rewrite: () => this.#findTagLists(tagged) }];
    const state = await this.#findStates(own?.state);
    const others =
      own !== undefined && state !== undefined ? { ...filters, flow_runs: { ...own, state: null } } : filters;
    const parts = state?.lookup?.values?.length === 0 ? undefined : await listRunParts(this.#db, others);
    return parts && [...parts, ...tags, ...(state === undefined ? [] : [state])];
  }

  /**
   * The states that a filter matches, type and name: an index has the runs of each in order. Undefined where nothing is
   * asked, and where flows give their states so many names that the index is of no use.
   */
  async #findStates(filter: StateFilter): Promise<Part | undefined> {
    const condition = matchState("r", filter);
    const asked = [filter?.type?.any_, filter?.type?.not_any_?.[0], filter?.name?.any_, filter?.name?.not_any_?.[0]];
    if (condition === undefined || asked.every((asks) => asks === null || asks === undefined)) {
      return undefined;
    }
    const types = filter?.operator === "and_" && filter.type?.any_ ? filter.type.any_ : STATE_TYPES;
    const first = [...new Set(types)].map(
      (type) =>
        sql`select ${sql.lit(type)}, (select min(state_name) from flow_runs where state_type = ${sql.lit(type)}), 1`,
    );
    const none = sql`select '', '', 1 where 1 = 0`;
    const { rows } = await sql<FoundState>`with recursive r (state_type, state_name, number) as (
        select * from (${first.length === 0 ? none : sql.join(first, sql` union all `)}) as first
        union all
        select r.state_type,
          (select min(o.state_name) from flow_runs o where o.state_type = r.state_type and o.state_name > r.state_name),
          r.number + 1
        from r where r.state_name is not null and r.number < ${MAX_VALUES}
      ) select state_type, state_name, number, case when ${condition} then 1 else 0 end as matches from r
        where state_name is not null`.execute(this.#db);
    const matching = rows.filter(({ matches }) => matches === 1);
    if (rows.some(({ number }) => number === MAX_VALUES) || matching.length > MAX_VALUES) {
      return undefined;
    }
    const values = matching.map(
      (state) => sql<SqlBool>`(r.state_type = ${state.state_type} and r.state_name = ${state.state_name})`,
    );
    return { condition, lookup: { few: false, values, ...BY_STATE } };
  }

  /**
   * The lists of tags that a filter matches. Runs of a deployment have the same tags, most often, so that the lists are
   * few however many the runs; undefined when they are not.
   */
  async #findTagLists(condition: Condition): Promise<Condition | undefined> {
    const matching: string[] = [];
    let last = "";
    for (let seen = 0; seen < MAX_TAG_LISTS; seen += TAG_LISTS_AT_ONCE) {
      const { rows } = await sql<FoundTags>`with recursive r (tags, number) as (
          select (select min(tags) from flow_runs where tags > ${last}), 1
          union all
          select (select min(o.tags) from flow_runs o where o.tags > r.tags), r.number + 1
          from r where r.tags is not null and r.number < ${TAG_LISTS_AT_ONCE}
        ), found as (select tags, number, case when ${condition} then 1 else 0 end as matches from r)
        select tags, number, matches from found
        where tags is not null and (matches = 1 or number = ${TAG_LISTS_AT_ONCE})`.execute(this.#db);
      matching.push(...rows.flatMap(({ tags, matches }) => (matches === 1 ? [tags] : [])));
      const end = rows.find(({ number }) => number === TAG_LISTS_AT_ONCE);
      if (end === undefined) {
        return anyOf("r.tags", matching)[0];
      }
      if (matching.length > MAX_MATCHING_TAG_LISTS) {
        return undefined;
      }
      last = end.tags;
      await setImmediate();
    }
    return undefined;
  }
}

type OwnerColumn = keyof typeof INDEXES;

interface AskedOwners {
  column: OwnerColumn;
  owners: readonly string[];
  parts: readonly Part[];
  most: number;
  found: Set<string>;
}

/** What is asked of a run of an owner. */
export type RunFilters = Pick<CrossFilters, "flow_runs" | "task_runs">;

type StateFilter = NonNullable<CrossFilters["flow_runs"]>["state"];

interface FoundState {
  state_type: string;
  state_name: string;
  number: number;
  matches: number;
}

interface FoundTags {
  tags: string;
  number: number;
  matches: number;
}

export function withinHistory(key: string, { start, end }: RunHistory): Part {
  const column = sql.raw(key);
  return { key, condition: sql<SqlBool>`(${column} >= ${start} and ${column} < ${end})` };
}

export function selectHistory(alias: "r" | "t"): RawBuilder<unknown> {
  const times = ["state_timestamp", "total_run_time", "start_time", "expected_start_time"];
  return sql.raw(["state_type", "state_name", ...times].map((column) => `${alias}.${column}`).join(", "));
}
