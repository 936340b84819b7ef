import type { Kysely } from "kysely";
import { fromJson, toJson } from "./columns.ts";
import type { Database } from "./database-types.ts";

const DEFAULT_RESULT_STORAGE = "default_result_storage_block_id";

/** Settings that clients keep on the server. */
export class ConfigurationStore {
  readonly #db: Kysely<Database>;

  constructor(db: Kysely<Database>) {
    this.#db = db;
  }

  async findDefaultResultStorage(): Promise<string | null> {
    const row = await this.#db
      .selectFrom("configuration")
      .select("value")
      .where("key", "=", DEFAULT_RESULT_STORAGE)
      .executeTakeFirst();
    return row ? fromJson<string>(row.value) : null;
  }

  /** Null clears it. */
  async setDefaultResultStorage(blockDocumentId: string | null): Promise<void> {
    await this.#db.deleteFrom("configuration").where("key", "=", DEFAULT_RESULT_STORAGE).execute();
    if (blockDocumentId !== null) {
      await this.#db
        .insertInto("configuration")
        .values({ key: DEFAULT_RESULT_STORAGE, value: toJson(blockDocumentId) })
        .execute();
    }
  }
}
