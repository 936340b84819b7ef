import { type Kysely, type SqlBool, sql } from "kysely";
import type { EventFilter, ReceivedEvent } from "../prefect-api/events.ts";
import { fromJson, toJson } from "./columns.ts";
import { anyOf, type Condition, combine, containsText } from "./conditions.ts";
import type { Database } from "./database-types.ts";
import { PreparedWrite } from "./prepared-writes.ts";

export interface EventPosition {
  occurred: string;
  id: string;
}

export class EventStore {
  readonly #db: Kysely<Database>;

  readonly #insert: ReturnType<typeof prepareEventInsert>;

  constructor(db: Kysely<Database>) {
    this.#db = db;
    this.#insert = prepareEventInsert(db);
  }

  /** Stores what is new and answers it; an event that is known is not stored twice. */
  async insert(events: readonly ReceivedEvent[]): Promise<ReceivedEvent[]> {
    const inserted: ReceivedEvent[] = [];
    // One statement shape, so that it stays prepared whatever the size of the batch.
    for (const event of events) {
      const result = await this.#db.executeQuery(this.#insert.bind(eventToRow(event)));
      if (result.numAffectedRows !== 0n) {
        inserted.push(event);
      }
    }
    return inserted;
  }

  /**
   * Events that may match the filter, in its order, after `position`. The database narrows by time, name and resource
   * ids; what it cannot say (labels, text) the caller still has to ask of each event.
   */
  async list(filter: EventFilter, page: { after: EventPosition | null; limit: number }): Promise<ReceivedEvent[]> {
    const direction = filter.order === "ASC" ? "asc" : "desc";
    const rows = await this.#db
      .selectFrom("events")
      .selectAll()
      .where(narrow(filter))
      .where(beyond(page.after, filter.order))
      .orderBy("occurred", direction)
      .orderBy("id", direction)
      .limit(page.limit)
      .execute();
    return rows.map(eventFromRow);
  }

  /** Those of the ids that are there, in the order in which they occurred. */
  async listByIds(ids: readonly string[]): Promise<ReceivedEvent[]> {
    const rows = await this.#db
      .selectFrom("events")
      .selectAll()
      .where(combine("and_", anyOf("id", ids)))
      .orderBy("occurred")
      .orderBy("id")
      .execute();
    return rows.map(eventFromRow);
  }

  /** How many events `list` would answer in all, counted up to `most`. */
  async count(filter: EventFilter, most: number): Promise<number> {
    const counted = this.#db.selectFrom("events").select("id").where(narrow(filter)).limit(most).as("counted");
    const row = await this.#db.selectFrom(counted).select(sql<number>`count(*)`.as("count")).executeTakeFirstOrThrow();
    return row.count;
  }

  /** Retention. Answers how many were removed, at most `most`. */
  async removeBefore(occurred: string, most: number): Promise<number> {
    const old = this.#db.selectFrom("events").select("id").where("occurred", "<", occurred).limit(most);
    const result = await this.#db.deleteFrom("events").where("id", "in", old).executeTakeFirst();
    return Number(result.numDeletedRows);
  }
}

function narrow(filter: EventFilter): Condition {
  const { occurred, event, resource, id } = filter;
  return combine("and_", [
    occurred?.since ? sql<SqlBool>`occurred >= ${occurred.since}` : undefined,
    occurred?.until ? sql<SqlBool>`occurred <= ${occurred.until}` : undefined,
    ...anyOfSome("event", event?.name),
    startsWithSome("event", event?.prefix),
    ...anyOfSome("resource_id", resource?.id),
    startsWithSome("resource_id", resource?.id_prefix),
    ...anyOfSome("id", id?.id),
    ...narrowByAnyResource(filter),
    ...narrowByRelated(filter),
  ]);
}

/** An empty list asks for nothing here, unlike in the filters of other nouns. */
function anyOfSome(column: string, values: readonly string[] | null | undefined): Condition[] {
  return values && values.length > 0 ? anyOf(column, values) : [];
}

function startsWithSome(column: string, prefixes: readonly string[] | null | undefined): Condition | undefined {
  if (!prefixes || prefixes.length === 0) {
    return undefined;
  }
  return combine(
    "or_",
    prefixes.map((prefix) => sql<SqlBool>`substr(${sql.raw(column)}, 1, ${[...prefix].length}) = ${prefix}`),
  );
}

function narrowByAnyResource({ any_resource: any }: EventFilter): Condition[] {
  return [any ?? []].flat().flatMap(({ id }) => {
    if (!id || id.length === 0) {
      return [];
    }
    return [combine("or_", [...anyOf("resource_id", id), ...id.map((one) => containsText("related", toJson(one)))])];
  });
}

function narrowByRelated({ related }: EventFilter): Condition[] {
  return [related ?? []].flat().flatMap(({ id }) => {
    if (!id || id.length === 0) {
      return [];
    }
    return [
      combine(
        "or_",
        id.map((one) => containsText("related", toJson(one))),
      ),
    ];
  });
}

function beyond(after: EventPosition | null, order: EventFilter["order"]): Condition {
  if (after === null) {
    return combine("and_", []);
  }
  const { occurred, id } = after;
  return order === "ASC"
    ? sql<SqlBool>`(occurred, id) > (${occurred}, ${id})`
    : sql<SqlBool>`(occurred, id) < (${occurred}, ${id})`;
}

/** An event that is there already is left as it is. */
export function prepareEventInsert(db: Kysely<Database>): PreparedWrite<ReturnType<typeof eventToRow>> {
  return new PreparedWrite((row) =>
    db
      .insertInto("events")
      .values(row)
      .onConflict((conflict) => conflict.doNothing())
      .compile(),
  );
}

export function eventToRow(event: ReceivedEvent) {
  return {
    id: event.id,
    occurred: event.occurred,
    received: event.received,
    event: event.event,
    resource_id: event.resource["prefect.resource.id"] ?? "",
    resource: toJson(event.resource),
    related: toJson(event.related),
    payload: toJson(event.payload),
    follows: event.follows ?? null,
  };
}

function eventFromRow(row: ReturnType<typeof eventToRow>): ReceivedEvent {
  return {
    id: row.id,
    occurred: row.occurred,
    received: row.received,
    event: row.event,
    resource: fromJson(row.resource),
    related: fromJson(row.related),
    payload: fromJson(row.payload),
    follows: row.follows,
  };
}
