import { type Kysely, sql } from "kysely";
import type { FilterVariables } from "../prefect-api/filters.ts";
import { timestampFromDate } from "../prefect-api/timestamp.ts";
import type { Variable } from "../prefect-api/variables.ts";
import type { Clock } from "../shared/clock.ts";
import { fromJson, toJson } from "./columns.ts";
import { anyOf, combine, likeText, matchTags } from "./conditions.ts";
import type { Database } from "./database-types.ts";

type Filter = FilterVariables["variables"];

const SORTS: Record<FilterVariables["sort"], string> = {
  CREATED_DESC: "created desc",
  UPDATED_DESC: "updated desc",
  NAME_ASC: "name asc",
  NAME_DESC: "name desc",
};

export class VariableStore {
  readonly #db: Kysely<Database>;
  readonly #clock: Clock;

  constructor(db: Kysely<Database>, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
  }

  async find(key: { id: string } | { name: string }): Promise<Variable | undefined> {
    const row = await this.#db.selectFrom("variables").selectAll().where(matchKey(key)).executeTakeFirst();
    return row && variableFromRow(row);
  }

  /** The values of those of the names that are there. */
  async listValues(names: readonly string[]): Promise<Map<string, unknown>> {
    const rows = await this.#db
      .selectFrom("variables")
      .select(["name", "value"])
      .where(combine("and_", anyOf("name", names)))
      .execute();
    return new Map(rows.map(({ name, value }) => [name, fromJson(value)]));
  }

  async list(
    filter: Filter,
    page: { sort: FilterVariables["sort"]; limit: number; offset: number },
  ): Promise<Variable[]> {
    const rows = await this.#db
      .selectFrom("variables")
      .selectAll()
      .where(matchVariable(filter))
      .orderBy(sql.raw(SORTS[page.sort]))
      .limit(page.limit)
      .offset(page.offset)
      .execute();
    return rows.map(variableFromRow);
  }

  async count(filter: Filter): Promise<number> {
    const row = await this.#db
      .selectFrom("variables")
      .select(sql<number>`count(*)`.as("count"))
      .where(matchVariable(filter))
      .executeTakeFirstOrThrow();
    return row.count;
  }

  /** A taken name is a `unique` storage error. */
  async insert(variable: Variable): Promise<void> {
    await this.#db
      .insertInto("variables")
      .values({ ...variable, value: toJson(variable.value), tags: toJson(variable.tags) })
      .execute();
  }

  /** Answers whether there was such a variable. */
  async update(
    key: { id: string } | { name: string },
    changes: { name?: string; value?: unknown; tags?: string[] },
  ): Promise<boolean> {
    const result = await this.#db
      .updateTable("variables")
      .set({
        updated: timestampFromDate(this.#clock.now()),
        ...(changes.name !== undefined && { name: changes.name }),
        ...(changes.value !== undefined && { value: toJson(changes.value) }),
        ...(changes.tags !== undefined && { tags: toJson(changes.tags) }),
      })
      .where(matchKey(key))
      .executeTakeFirst();
    return result.numUpdatedRows > 0n;
  }

  /** Answers whether there was such a variable. */
  async remove(key: { id: string } | { name: string }): Promise<boolean> {
    const result = await this.#db.deleteFrom("variables").where(matchKey(key)).executeTakeFirst();
    return result.numDeletedRows > 0n;
  }
}

function matchKey(key: { id: string } | { name: string }) {
  return combine("and_", "id" in key ? anyOf("id", [key.id]) : anyOf("name", [key.name]));
}

function matchVariable(filter: Filter) {
  return combine(
    filter?.operator ?? "and_",
    filter
      ? [
          ...anyOf("id", filter.id?.any_),
          ...anyOf("name", filter.name?.any_),
          ...likeText("name", filter.name?.like_),
          ...matchTags("tags", filter.tags),
        ]
      : [],
  );
}

function variableFromRow(row: Database["variables"]): Variable {
  return { ...row, value: fromJson(row.value), tags: fromJson(row.tags) };
}
