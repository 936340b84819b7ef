import { type Kysely, type SqlBool, sql } from "kysely";
import type { BlockSchema, BlockSchemaFilter, BlockType } from "../prefect-api/blocks.ts";
import type { JsonObject } from "../prefect-api/primitives.ts";
import { fromBit, fromJson, toBit, toJson } from "./columns.ts";
import { anyOf, type Condition, combine, containsText, likeText } from "./conditions.ts";
import type { Database } from "./database-types.ts";

/** A document as it is kept: references to others beside the data, secrets in clear. */
export interface StoredBlockDocument {
  id: string;
  created: string;
  updated: string;
  name: string | null;
  data: JsonObject;
  block_schema_id: string;
  block_type_id: string;
  is_anonymous: boolean;
  /** Ids of other documents by the key under which their data appears. */
  references: Record<string, string>;
}

export interface BlockDocumentFilter {
  ids?: readonly string[] | null | undefined;
  names?: readonly string[] | null | undefined;
  nameLike?: string | null | undefined;
  typeIds?: readonly string[] | null | undefined;
  typeSlugs?: readonly string[] | null | undefined;
  anonymous?: boolean | null | undefined;
  schemas?: BlockSchemaFilter;
}

interface Page {
  limit: number;
  offset: number;
}

type BlockTypeChanges = Partial<Pick<BlockType, "logo_url" | "documentation_url" | "description" | "code_example">>;

/** Block types, their schemas and documents. */
export class BlockStore {
  readonly #db: Kysely<Database>;

  constructor(db: Kysely<Database>) {
    this.#db = db;
  }

  async findType(key: { id: string } | { slug: string }): Promise<BlockType | undefined> {
    const [column, value] = "id" in key ? (["id", key.id] as const) : (["slug", key.slug] as const);
    const row = await this.#db.selectFrom("block_types").selectAll().where(column, "=", value).executeTakeFirst();
    return row && blockTypeFromRow(row);
  }

  async listTypes(
    filter: {
      nameLike?: string | null | undefined;
      slugs?: readonly string[] | null | undefined;
      schemas?: BlockSchemaFilter;
    },
    page: Page,
  ): Promise<BlockType[]> {
    const rows = await this.#db
      .selectFrom("block_types")
      .selectAll()
      .where(
        combine("and_", [
          ...likeText("name", filter.nameLike),
          ...anyOf("slug", filter.slugs),
          matchSchemas("s.block_type_id = block_types.id", filter.schemas),
        ]),
      )
      .orderBy("name")
      .limit(page.limit)
      .offset(page.offset)
      .execute();
    return rows.map(blockTypeFromRow);
  }

  /** A taken slug is a `unique` storage error. */
  async insertType(type: BlockType): Promise<void> {
    await this.#db
      .insertInto("block_types")
      .values({ ...type, is_protected: toBit(type.is_protected) })
      .execute();
  }

  async updateType(id: string, changes: BlockTypeChanges, updated: string): Promise<boolean> {
    const result = await this.#db
      .updateTable("block_types")
      .set({ ...changes, updated })
      .where("id", "=", id)
      .executeTakeFirst();
    return result.numUpdatedRows > 0n;
  }

  async removeType(id: string): Promise<boolean> {
    const result = await this.#db.deleteFrom("block_types").where("id", "=", id).executeTakeFirst();
    return result.numDeletedRows > 0n;
  }

  async findSchema(
    key: { id: string } | { checksum: string; version: string | null },
  ): Promise<BlockSchema | undefined> {
    let query = this.#db.selectFrom("block_schemas").selectAll();
    if ("id" in key) {
      query = query.where("id", "=", key.id);
    } else {
      query = query.where("checksum", "=", key.checksum);
      query = key.version === null ? query : query.where("version", "=", key.version);
    }
    const row = await query.orderBy("created", "desc").limit(1).executeTakeFirst();
    return row && schemaFromRow(row, await this.findType({ id: row.block_type_id }));
  }

  /** The newest first. */
  async listSchemas(filter: BlockSchemaFilter, page: Page): Promise<BlockSchema[]> {
    const rows = await this.#db
      .selectFrom("block_schemas as s")
      .selectAll()
      .where(matchSchema(filter))
      .orderBy("created", "desc")
      .limit(page.limit)
      .offset(page.offset)
      .execute();
    return Promise.all(rows.map(async (row) => schemaFromRow(row, await this.findType({ id: row.block_type_id }))));
  }

  async insertSchema(schema: Omit<BlockSchema, "block_type">): Promise<void> {
    await this.#db
      .insertInto("block_schemas")
      .values({ ...schema, fields: toJson(schema.fields), capabilities: toJson(schema.capabilities) })
      .execute();
  }

  async removeSchema(id: string): Promise<boolean> {
    const result = await this.#db.deleteFrom("block_schemas").where("id", "=", id).executeTakeFirst();
    return result.numDeletedRows > 0n;
  }

  async findDocument(id: string): Promise<StoredBlockDocument | undefined> {
    const [document] = await this.listDocuments({ ids: [id] }, { limit: 1, offset: 0 });
    return document;
  }

  /** By name. */
  async listDocuments(filter: BlockDocumentFilter, page: Page): Promise<StoredBlockDocument[]> {
    const rows = await this.#db
      .selectFrom("block_documents as b")
      .innerJoin("block_types as t", "t.id", "b.block_type_id")
      .selectAll("b")
      .where(matchDocument(filter))
      .orderBy("b.name")
      .limit(page.limit)
      .offset(page.offset)
      .execute();
    return rows.map(documentFromRow);
  }

  async countDocuments(filter: BlockDocumentFilter): Promise<number> {
    const row = await this.#db
      .selectFrom("block_documents as b")
      .innerJoin("block_types as t", "t.id", "b.block_type_id")
      .select(sql<number>`count(*)`.as("count"))
      .where(matchDocument(filter))
      .executeTakeFirstOrThrow();
    return row.count;
  }

  /** Inserts, or replaces all but id and creation. A name that the type has already is a `unique` storage error. */
  async putDocument(document: StoredBlockDocument): Promise<void> {
    const { id, created, ...columns } = documentToRow(document);
    await this.#db
      .insertInto("block_documents")
      .values({ id, created, ...columns })
      .onConflict((conflict) => conflict.column("id").doUpdateSet(columns))
      .execute();
  }

  async removeDocument(id: string): Promise<boolean> {
    const result = await this.#db.deleteFrom("block_documents").where("id", "=", id).executeTakeFirst();
    return result.numDeletedRows > 0n;
  }
}

function matchDocument(filter: BlockDocumentFilter) {
  return combine("and_", [
    ...anyOf("b.id", filter.ids),
    ...anyOf("b.name", filter.names),
    ...likeText("b.name", filter.nameLike),
    ...anyOf("b.block_type_id", filter.typeIds),
    ...anyOf("t.slug", filter.typeSlugs),
    typeof filter.anonymous === "boolean" ? sql`b.is_anonymous = ${toBit(filter.anonymous)}` : undefined,
    matchSchemas("s.id = b.block_schema_id", filter.schemas),
  ]);
}

function matchSchemas(join: string, filter: BlockSchemaFilter): Condition | undefined {
  return filter
    ? sql<SqlBool>`exists (select 1 from block_schemas s where ${sql.raw(join)} and ${matchSchema(filter)})`
    : undefined;
}

/** Capabilities are a JSON list that we wrote, so one of them is its own JSON text inside it. */
function matchSchema(filter: BlockSchemaFilter): Condition {
  const capabilities = filter?.block_capabilities?.all_ ?? [];
  return combine(filter?.operator ?? "and_", [
    ...anyOf("s.id", filter?.id?.any_),
    ...anyOf("s.block_type_id", filter?.block_type_id?.any_),
    ...anyOf("s.version", filter?.version?.any_),
    ...(capabilities.length === 0
      ? []
      : [
          combine(
            "and_",
            capabilities.map((capability) => containsText("s.capabilities", toJson(capability))),
          ),
        ]),
  ]);
}

function blockTypeFromRow(row: Database["block_types"]): BlockType {
  return { ...row, is_protected: fromBit(row.is_protected) };
}

function schemaFromRow(row: Database["block_schemas"], type: BlockType | undefined): BlockSchema {
  return {
    id: row.id,
    created: row.created,
    updated: row.updated,
    checksum: row.checksum,
    fields: fromJson(row.fields),
    block_type_id: row.block_type_id,
    block_type: type ?? null,
    capabilities: fromJson(row.capabilities),
    version: row.version,
  };
}

function documentToRow(document: StoredBlockDocument): Database["block_documents"] {
  return {
    id: document.id,
    created: document.created,
    updated: document.updated,
    name: document.name,
    data: toJson(document.data),
    block_schema_id: document.block_schema_id,
    block_type_id: document.block_type_id,
    is_anonymous: toBit(document.is_anonymous),
    block_document_references: toJson(document.references),
  };
}

function documentFromRow(row: Database["block_documents"]): StoredBlockDocument {
  return {
    id: row.id,
    created: row.created,
    updated: row.updated,
    name: row.name,
    data: fromJson(row.data),
    block_schema_id: row.block_schema_id,
    block_type_id: row.block_type_id,
    is_anonymous: fromBit(row.is_anonymous),
    references: fromJson(row.block_document_references),
  };
}
