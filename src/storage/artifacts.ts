import { type Kysely, type SqlBool, sql } from "kysely";
import type { Artifact, ArtifactFilter, FilterArtifacts } from "../prefect-api/artifacts.ts";
import { fromJsonOrNull, toJsonOrNull } from "./columns.ts";
import { anyOf, type Condition, combine, isNull, likeText, matchId } from "./conditions.ts";
import { type CrossFilters, crossMatchFlowRuns } from "./cross-filters.ts";
import type { Database } from "./database-types.ts";
import { matchTaskRun } from "./filters.ts";

type Filters = { artifacts?: ArtifactFilter } & Omit<CrossFilters, "work_pools" | "work_pool_queues">;

const SORTS: Record<FilterArtifacts["sort"], string> = {
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

  async list(
    filters: Filters,
    page: { sort: FilterArtifacts["sort"]; limit: number; offset: number },
  ): Promise<Artifact[]> {
    const rows = await this.#db
      .selectFrom("artifacts as a")
      .selectAll()
      .where(matchArtifact(filters))
      .orderBy(sql.raw(SORTS[page.sort]))
      .limit(page.limit)
      .offset(page.offset)
      .execute();
    return rows.map(artifactFromRow);
  }

  async count(filters: Filters): Promise<number> {
    const row = await this.#db
      .selectFrom("artifacts as a")
      .select(sql<number>`count(*)`.as("count"))
      .where(matchArtifact(filters))
      .executeTakeFirstOrThrow();
    return row.count;
  }

  async insert(artifact: Artifact): Promise<void> {
    await this.#db
      .insertInto("artifacts")
      .values({ ...artifact, data: toJsonOrNull(artifact.data), metadata_: toJsonOrNull(artifact.metadata_) })
      .execute();
  }

  /** Answers whether there was such an artifact. */
  async update(
    id: string,
    changes: Pick<Artifact, "updated"> & Partial<Pick<Artifact, "data" | "description" | "metadata_">>,
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

  /** Answers whether there was such an artifact. */
  async remove(id: string): Promise<boolean> {
    const result = await this.#db.deleteFrom("artifacts").where("id", "=", id).executeTakeFirst();
    return result.numDeletedRows > 0n;
  }
}

function matchArtifact({ artifacts: filter, task_runs: taskRuns, ...filters }: Filters): Condition {
  const throughRun = Object.values(filters).some((each) => each !== null && each !== undefined);
  const hasKey = filter?.key?.exists_;
  return combine("and_", [
    filter
      ? combine(filter.operator, [
          ...anyOf("a.id", filter.id?.any_),
          ...anyOf("a.key", filter.key?.any_),
          ...likeText("a.key", filter.key?.like_),
          ...isNull("a.key", typeof hasKey === "boolean" ? !hasKey : undefined),
          ...anyOf("a.flow_run_id", filter.flow_run_id?.any_),
          ...anyOf("a.task_run_id", filter.task_run_id?.any_),
          ...matchId("a.type", filter.type),
        ])
      : undefined,
    taskRuns
      ? sql<SqlBool>`exists (select 1 from task_runs t where t.id = a.task_run_id and ${matchTaskRun(taskRuns)})`
      : undefined,
    throughRun
      ? sql<SqlBool>`exists (select 1 from flow_runs r where r.id = a.flow_run_id and ${crossMatchFlowRuns(filters)})`
      : undefined,
  ]);
}

function artifactFromRow(row: Database["artifacts"]): Artifact {
  return { ...row, data: fromJsonOrNull(row.data), metadata_: fromJsonOrNull(row.metadata_) };
}
