import { type Kysely, sql } from "kysely";
import type { Automation } from "../prefect-api/automations.ts";
import type { AutomationFilter } from "../prefect-api/filters.ts";
import { fromBit, fromJson, toBit, toJson } from "./columns.ts";
import { anyOf, between, combine, matchTags } from "./conditions.ts";
import type { Database } from "./database-types.ts";

export type AutomationSort = "CREATED_DESC" | "UPDATED_DESC" | "NAME_ASC" | "NAME_DESC";

const SORTS: Record<AutomationSort, string> = {
  CREATED_DESC: "created desc",
  UPDATED_DESC: "updated desc",
  NAME_ASC: "name asc",
  NAME_DESC: "name desc",
};

/** Automations as they were sent, with the resources that they name. */
export class AutomationStore {
  readonly #db: Kysely<Database>;

  constructor(db: Kysely<Database>) {
    this.#db = db;
  }

  async find(id: string): Promise<Automation | undefined> {
    const row = await this.#db.selectFrom("automations").selectAll().where("id", "=", id).executeTakeFirst();
    return row && automationFromRow(row);
  }

  async list(
    filter: AutomationFilter,
    page: { sort: AutomationSort; limit: number; offset: number },
  ): Promise<Automation[]> {
    const rows = await this.#db
      .selectFrom("automations")
      .selectAll()
      .where(matchAutomation(filter))
      .orderBy(sql.raw(SORTS[page.sort]))
      .limit(page.limit)
      .offset(page.offset)
      .execute();
    return rows.map(automationFromRow);
  }

  async count(filter: AutomationFilter): Promise<number> {
    const row = await this.#db
      .selectFrom("automations")
      .select(sql<number>`count(*)`.as("count"))
      .where(matchAutomation(filter))
      .executeTakeFirstOrThrow();
    return row.count;
  }

  /** Those that name the resource or are owned by it; at most `limit`. */
  async listRelatedTo(resourceId: string, limit: number): Promise<Automation[]> {
    const rows = await this.#db
      .selectFrom("automations")
      .selectAll()
      .where("id", "in", (expression) =>
        expression
          .selectFrom("automation_related_resources")
          .select("automation_id")
          .where("resource_id", "=", resourceId),
      )
      .orderBy("created")
      .limit(limit)
      .execute();
    return rows.map(automationFromRow);
  }

  /** The automations of each owner. */
  async listOwnedBy(resourceIds: readonly string[]): Promise<Map<string, Automation[]>> {
    if (resourceIds.length === 0) {
      return new Map();
    }
    const rows = await this.#db
      .selectFrom("automations")
      .selectAll()
      .where("owner_resource", "in", resourceIds)
      .orderBy("created")
      .orderBy("id")
      .execute();
    const owned = Map.groupBy(rows, (row) => row.owner_resource ?? "");
    return new Map([...owned].map(([owner, group]) => [owner, group.map(automationFromRow)]));
  }

  /** Inserts, or replaces all but id and creation. `relatedResourceIds` are those it is found by, its owner included. */
  async put(
    automation: Automation,
    links: { owner_resource: string | null; relatedResourceIds: readonly string[] },
  ): Promise<void> {
    const { id, created, ...columns } = automationToRow(automation, links.owner_resource);
    await this.#db
      .insertInto("automations")
      .values({ id, created, ...columns })
      .onConflict((conflict) => conflict.column("id").doUpdateSet(columns))
      .execute();
    await this.#db.deleteFrom("automation_related_resources").where("automation_id", "=", id).execute();
    for (const resourceId of new Set(links.relatedResourceIds)) {
      await this.#db
        .insertInto("automation_related_resources")
        .values({ automation_id: id, resource_id: resourceId })
        .execute();
    }
  }

  async findOwner(id: string): Promise<string | null> {
    const row = await this.#db
      .selectFrom("automations")
      .select("owner_resource")
      .where("id", "=", id)
      .executeTakeFirst();
    return row?.owner_resource ?? null;
  }

  /** Answers whether there was such an automation. */
  async setEnabled(id: string, enabled: boolean, updated: string): Promise<boolean> {
    const result = await this.#db
      .updateTable("automations")
      .set({ enabled: toBit(enabled), updated })
      .where("id", "=", id)
      .executeTakeFirst();
    return result.numUpdatedRows > 0n;
  }

  /** Answers whether there was such an automation. */
  async remove(id: string): Promise<boolean> {
    const result = await this.#db.deleteFrom("automations").where("id", "=", id).executeTakeFirst();
    return result.numDeletedRows > 0n;
  }

  async removeOwnedBy(resourceId: string): Promise<void> {
    await this.#db.deleteFrom("automations").where("owner_resource", "=", resourceId).execute();
  }
}

function matchAutomation(filter: AutomationFilter) {
  return combine(
    filter?.operator ?? "and_",
    filter
      ? [
          ...anyOf("id", filter.id?.any_),
          ...anyOf("name", filter.name?.any_),
          ...between("created", null, filter.created?.before_),
          ...matchTags("tags", filter.tags),
        ]
      : [],
  );
}

function automationToRow(automation: Automation, owner: string | null): Database["automations"] {
  return {
    id: automation.id,
    created: automation.created,
    updated: automation.updated,
    name: automation.name,
    description: automation.description,
    enabled: toBit(automation.enabled),
    tags: toJson(automation.tags),
    trigger: toJson(automation.trigger),
    actions: toJson(automation.actions),
    actions_on_trigger: toJson(automation.actions_on_trigger),
    actions_on_resolve: toJson(automation.actions_on_resolve),
    owner_resource: owner,
  };
}

function automationFromRow(row: Database["automations"]): Automation {
  return {
    name: row.name,
    description: row.description,
    enabled: fromBit(row.enabled),
    tags: fromJson(row.tags),
    trigger: fromJson(row.trigger),
    actions: fromJson(row.actions),
    actions_on_trigger: fromJson(row.actions_on_trigger),
    actions_on_resolve: fromJson(row.actions_on_resolve),
    id: row.id,
    created: row.created,
    updated: row.updated,
  };
}
