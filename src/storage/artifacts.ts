import { type Kysely, sql } from "kysely";
import { fromJsonOrNull, toJsonOrNull } from "./columns.ts";
import { type Condition, combine } from "./conditions.ts";
import type { Database } from "./database-types.ts";

export interface Artifact {
  id: string;
  created: string;
  updated: string;
  key: string | null;
  type: string | null;
  description: string | null;
  data: unknown;
  metadata_: Record<string, string> | null;
  flow_run_id: string | null;
  task_run_id: string | null;
}

export type ArtifactSort = "CREATED_DESC" | "UPDATED_DESC" | "ID_DESC" | "KEY_DESC" | "KEY_ASC";

const SORTS: Record<ArtifactSort, string> = {
  CREATED_DESC: "a.created desc",
  UPDATED_DESC: "a.updated desc",
  ID_DESC: "a.id desc",
  KEY_DESC: "a.key desc",
  KEY_ASC: "a.key asc",
};

export class ArtifactStore {
  readonly #db: Kysely<Database>;

  constructor(db: Kysely<Database>) {
    this.#db = db;
  }

  async find(id: string): Promise<Artifact | undefined> {
    const row = await this.#db.selectFrom("artifacts").selectAll().where("id", "=", id).executeTakeFirst();
    return row && artifactFromRow(row);
  }

  async findLatest(key: string): Promise<Artifact | undefined> {
    const row = await this.#db
      .selectFrom("artifacts")
      .selectAll()
      .where("key", "=", key)
      .orderBy("created", "desc")
      .orderBy("id", "desc")
      .limit(1)
      .executeTakeFirst();
    return row && artifactFromRow(row);
  }

  /** `conditions` speak of the alias a. */
  async list(
    conditions: Condition[],
    page: { sort: ArtifactSort; limit: number; offset: number },
  ): Promise<Artifact[]> {
    const rows = await this.#db
      .selectFrom("artifacts as a")
      .selectAll()
      .where(combine("and_", conditions))
      .orderBy(sql.raw(SORTS[page.sort]))
      .limit(page.limit)
      .offset(page.offset)
      .execute();
    return rows.map(artifactFromRow);
  }

  async insert(artifact: Artifact): Promise<void> {
    await this.#db
      .insertInto("artifacts")
      .values({
        ...artifact,
        data: toJsonOrNull(artifact.data),
        metadata_: toJsonOrNull(artifact.metadata_),
      })
      .execute();
  }

  /** Answers whether there was such an artifact. */
  async update(
    id: string,
    changes: Partial<Pick<Artifact, "updated" | "data" | "description" | "metadata_">>,
  ): Promise<boolean> {
    const { data, metadata_, ...plain } = changes;
    const result = await this.#db
      .updateTable("artifacts")
      .set({
        ...plain,
        ...(data !== undefined && { data: toJsonOrNull(data) }),
        ...(metadata_ !== undefined && { metadata_: toJsonOrNull(metadata_) }),
      })
      .where("id", "=", id)
      .executeTakeFirst();
    return result.numUpdatedRows > 0n;
  }

  async remove(id: string): Promise<boolean> {
    const result = await this.#db.deleteFrom("artifacts").where("id", "=", id).executeTakeFirst();
    return result.numDeletedRows > 0n;
  }
}

function artifactFromRow(row: Database["artifacts"]): Artifact {
  return { ...row, data: fromJsonOrNull(row.data), metadata_: fromJsonOrNull(row.metadata_) };
}
