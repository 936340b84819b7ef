import { type Kysely, type SqlBool, sql } from "kysely";
import type {
  Artifact,
  ArtifactFilter,
  ArtifactSort,
  LatestArtifact,
  LatestArtifactFilter,
} from "../prefect-api/artifacts.ts";
import { fromJsonOrNull, toJsonOrNull } from "./columns.ts";
import { anyOf, type Condition, combine, field, isNull, likeText, matchId } from "./conditions.ts";
import { type CrossFilters, crossMatchFlowRuns } from "./cross-filters.ts";
import type { Database } from "./database-types.ts";
import { matchTaskRun } from "./filters.ts";

type RunFilters = Omit<CrossFilters, "work_pools" | "work_pool_queues">;
type Filters = { artifacts?: ArtifactFilter } & RunFilters;
type LatestFilters = { artifacts?: LatestArtifactFilter } & RunFilters;

interface Page {
  sort: ArtifactSort;
  limit: number;
  offset: number;
}

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

  async list(filters: Filters, page: Page): Promise<Artifact[]> {
    return (await this.#select(matchArtifact(filters), page)).map(artifactFromRow);
  }

  count(filters: Filters): Promise<number> {
    return this.#count(matchArtifact(filters));
  }

  /** Of each key the latest. */
  async listLatest(filters: LatestFilters, page: Page): Promise<LatestArtifact[]> {
    return (await this.#select(matchLatest(filters), page)).map((row) => toLatest(artifactFromRow(row)));
  }

  countLatest(filters: LatestFilters): Promise<number> {
    return this.#count(matchLatest(filters));
  }

  #select(matches: Condition, page: Page): Promise<Database["artifacts"][]> {
    return this.#db
      .selectFrom("artifacts as a")
      .selectAll()
      .where(matches)
      .orderBy(sql.raw(SORTS[page.sort]))
      .limit(page.limit)
      .offset(page.offset)
      .execute();
  }

  async #count(matches: Condition): Promise<number> {
    const row = await this.#db
      .selectFrom("artifacts as a")
      .select(sql<number>`count(*)`.as("count"))
      .where(matches)
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

/** Ids of the latest artifact of each key, found key by key: most artifacts are older ones of the same few keys. */
const LATEST = sql`with recursive keys (key) as (
    select min(key) from artifacts where key is not null
    union all
    select (select min(a.key) from artifacts a where a.key > keys.key) from keys where keys.key is not null
  ) select (select b.id from artifacts b where b.key = keys.key order by b.created desc, b.id desc limit 1)
  from keys where keys.key is not null`;
const IS_LATEST = sql<SqlBool>`a.id in (${LATEST})`;

function matchLatest({ artifacts: filter, ...filters }: LatestFilters): Condition {
  const { latest_id: id, ...others } = filter ?? { operator: "and_" as const };
  return combine("and_", [IS_LATEST, matchArtifact({ artifacts: filter ? { ...others, id } : null, ...filters })]);
}

function matchArtifact({ artifacts: filter, task_runs: taskRuns, ...filters }: Filters): Condition {
  const throughRun = Object.values(filters).some((each) => each !== null && each !== undefined);
  const hasKey = filter?.key?.exists_;
  return combine("and_", [
    filter
      ? combine(filter.operator, [
          field(filter.id, anyOf("a.id", filter.id?.any_)),
          field(filter.key, [
            ...anyOf("a.key", filter.key?.any_),
            ...likeText("a.key", filter.key?.like_),
            ...isNull("a.key", typeof hasKey === "boolean" ? !hasKey : undefined),
          ]),
          field(filter.flow_run_id, anyOf("a.flow_run_id", filter.flow_run_id?.any_)),
          field(filter.task_run_id, anyOf("a.task_run_id", filter.task_run_id?.any_)),
          field(filter.type, matchId("a.type", filter.type)),
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

/** Keys in the order of the wire. */
function toLatest({ id, created, updated, key, ...rest }: Artifact): LatestArtifact {
  return { id, created, updated, key, latest_id: id, ...rest };
}
