import { deflateSync, inflateSync } from "node:zlib";
import { type Kysely, sql } from "kysely";
import type { Change, Release, ReleaseCandidate, ReleaseScope } from "../flowyard-api/releases.ts";
import type { Timestamp } from "../prefect-api/timestamp.ts";
import { fromBit, fromJson, toBit, toJson } from "./columns.ts";
import type { Database } from "./database-types.ts";

/** A deployment that a release may be about: one that has a name it uses, or that its scope owns. */
export interface TouchedDeployment {
  id: string;
  flow_name: string;
  owner: ReleaseScope | null;
  missing: { commit_sha: string | null; paused: boolean } | null;
}

export interface StoredRelease extends Omit<Release, "live" | "deployments"> {
  candidate: ReleaseCandidate;
}

/** What deciding over the next release needs of the one that is live. */
export interface LiveRelease {
  release: Release;
  candidate: ReleaseCandidate;
  /** Of the newest commit that was found to be live, with or without a release of its own. */
  newest_commit_at: Timestamp | null;
}

const COLUMNS = [
  "id",
  "created",
  "repository",
  "project_path",
  "environment",
  "number",
  "live",
  "source",
  "plan_hash",
  "images",
  "deployment_names",
  "changes",
  "rollback_of",
] as const;

type ReleaseRow = Pick<Database["releases"], (typeof COLUMNS)[number]>;
type Scoped = { [Key in keyof ReleaseScope]?: ReleaseScope[Key] | undefined };

/** Releases, and who owns which deployment. */
export class ReleaseStore {
  readonly #db: Kysely<Database>;

  constructor(db: Kysely<Database>) {
    this.#db = db;
  }

  async find(id: string): Promise<Release | undefined> {
    const row = await this.#db.selectFrom("releases").select(COLUMNS).where("id", "=", id).executeTakeFirst();
    return row && releaseFromRow(row);
  }

  async findLive(scope: ReleaseScope): Promise<LiveRelease | undefined> {
    const row = await this.#in(scope)
      .select([...COLUMNS, "candidate", "newest_commit_at"])
      .where("live", "=", 1)
      .executeTakeFirst();
    return (
      row && {
        release: releaseFromRow(row),
        candidate: unpack(row.candidate),
        newest_commit_at: row.newest_commit_at,
      }
    );
  }

  async getCandidate(id: string): Promise<ReleaseCandidate> {
    const row = await this.#db
      .selectFrom("releases")
      .select("candidate")
      .where("id", "=", id)
      .executeTakeFirstOrThrow();
    return unpack(row.candidate);
  }

  async findByNumber(scope: ReleaseScope, number: number): Promise<Release | undefined> {
    const row = await this.#in(scope).select(COLUMNS).where("number", "=", number).executeTakeFirst();
    return row && releaseFromRow(row);
  }

  /** The newest release of a commit, found by the first digits of its hash. */
  async findByCommit(scope: ReleaseScope, digits: string): Promise<Release | undefined> {
    const row = await this.#in(scope)
      .select(COLUMNS)
      .where(sql<boolean>`substr(commit_sha, 1, ${sql.lit(digits.length)}) = ${digits}`)
      .where("rollback_of", "is", null)
      .orderBy("number", "desc")
      .executeTakeFirst();
    return row && releaseFromRow(row);
  }

  /** The newest deploy (no rollback) with a smaller number. */
  async findBefore(scope: ReleaseScope, number: number): Promise<Release | undefined> {
    const row = await this.#in(scope)
      .select(COLUMNS)
      .where("number", "<", number)
      .where("rollback_of", "is", null)
      .orderBy("number", "desc")
      .executeTakeFirst();
    return row && releaseFromRow(row);
  }

  /** The newest first. */
  async list(
    { live, ...scope }: Scoped & { live?: boolean | undefined },
    page: { limit: number; offset: number },
  ): Promise<Release[]> {
    const rows = await this.#in(scope)
      .select(COLUMNS)
      .$if(live !== undefined, (query) => query.where("live", "=", toBit(live === true)))
      .orderBy("created", "desc")
      .orderBy("number", "desc")
      .limit(page.limit)
      .offset(page.offset)
      .execute();
    return rows.map(releaseFromRow);
  }

  /** The number that the scope's next release gets. */
  async nextNumber(scope: ReleaseScope): Promise<number> {
    const row = await this.#in(scope)
      .select(sql<number>`coalesce(max(number), 0) + 1`.as("next"))
      .executeTakeFirstOrThrow();
    return row.next;
  }

  /** Inserts it as the live one. */
  async insertLive(release: StoredRelease, deploymentNames: readonly string[]): Promise<void> {
    const { scope } = release;
    await this.#db
      .updateTable("releases")
      .set({ live: 0 })
      .where("repository", "=", scope.repository)
      .where("project_path", "=", scope.project_path)
      .where("environment", "=", scope.environment)
      .where("live", "=", 1)
      .execute();
    await this.#db
      .insertInto("releases")
      .values({
        id: release.id,
        created: release.created,
        ...scope,
        number: release.number,
        live: 1,
        commit_sha: release.source.commit_sha ?? null,
        newest_commit_at: notAfter(release.source.committed_at ?? null, release.created),
        source: toJson(release.source),
        plan_hash: release.plan_hash,
        images: toJson(release.images),
        deployment_names: toJson(deploymentNames),
        changes: toJson(release.changes),
        candidate: pack(release.candidate),
        rollback_of: release.rollback_of,
      })
      .execute();
  }

  /** A newer commit turned out to have the same state. */
  async noteCommit(id: string, committedAt: Timestamp, now: Timestamp): Promise<void> {
    const newest = notAfter(committedAt, now);
    await this.#db.updateTable("releases").set({ newest_commit_at: newest }).where("id", "=", id).execute();
  }

  /** The same state in other words. */
  async replaceCandidate(id: string, candidate: ReleaseCandidate, names: readonly string[]): Promise<void> {
    await this.#db
      .updateTable("releases")
      .set({ candidate: pack(candidate), deployment_names: toJson(names) })
      .where("id", "=", id)
      .execute();
  }

  /** Those that a release with these names in this scope may be about, in one question. */
  async listTouched(
    scope: ReleaseScope,
    names: { flows: string[]; deployments: string[] },
  ): Promise<TouchedDeployment[]> {
    const rows = await this.#db
      .selectFrom("deployments as d")
      .innerJoin("flows as f", "f.id", "d.flow_id")
      .leftJoin("deployment_owners as o", "o.deployment_id", "d.id")
      .select(["d.id", "f.name as flow_name", "o.repository", "o.project_path", "o.environment"])
      .select(["o.is_missing", "o.missing_since_commit", "o.paused_by_pruning"])
      .where((expression) =>
        expression.or([
          // A list without members is an error to PostgreSQL.
          ...(names.flows.length === 0
            ? []
            : [
                expression.and([
                  expression("f.name", "in", names.flows),
                  expression("d.name", "in", names.deployments),
                ]),
              ]),
          expression.and([
            expression("o.repository", "=", scope.repository),
            expression("o.project_path", "=", scope.project_path),
            expression("o.environment", "=", scope.environment),
          ]),
        ]),
      )
      .execute();
    return rows.map((row) => ({
      id: row.id,
      flow_name: row.flow_name,
      owner:
        row.repository === null || row.project_path === null || row.environment === null
          ? null
          : { repository: row.repository, project_path: row.project_path, environment: row.environment },
      missing:
        row.is_missing === 1 ? { commit_sha: row.missing_since_commit, paused: row.paused_by_pruning === 1 } : null,
    }));
  }

  /** The scope owns them from now on, and its release has them. */
  async own(scope: ReleaseScope, deploymentIds: readonly string[]): Promise<void> {
    const has = { ...scope, is_missing: 0, missing_since_commit: null, paused_by_pruning: 0 };
    if (deploymentIds.length > 0) {
      await this.#db
        .insertInto("deployment_owners")
        .values(deploymentIds.map((id) => ({ deployment_id: id, ...has })))
        .onConflict((conflict) => conflict.column("deployment_id").doUpdateSet(has))
        .execute();
    }
  }

  async noteMissing(deploymentId: string, since: { commit_sha: string | null; paused: boolean }): Promise<void> {
    await this.#db
      .updateTable("deployment_owners")
      .set({ is_missing: 1, missing_since_commit: since.commit_sha, paused_by_pruning: toBit(since.paused) })
      .where("deployment_id", "=", deploymentId)
      .execute();
  }

  #in(scope: Scoped) {
    return this.#db
      .selectFrom("releases")
      .$if(scope.repository !== undefined, (query) => query.where("repository", "=", scope.repository ?? ""))
      .$if(scope.project_path !== undefined, (query) => query.where("project_path", "=", scope.project_path ?? ""))
      .$if(scope.environment !== undefined, (query) => query.where("environment", "=", scope.environment ?? ""));
  }
}

/** A commit from the future (somebody's clock is wrong) must not make every later one look old. */
function notAfter(committedAt: Timestamp | null, now: Timestamp): Timestamp | null {
  return committedAt !== null && committedAt > now ? now : committedAt;
}

/** A push a release, and each repeats most of the one before: packed, they take a tenth. */
function pack(candidate: ReleaseCandidate): string {
  return deflateSync(toJson(candidate)).toString("base64");
}

function unpack(text: string): ReleaseCandidate {
  return fromJson(inflateSync(Buffer.from(text, "base64")).toString());
}

function releaseFromRow(row: ReleaseRow): Release {
  return {
    id: row.id,
    number: row.number,
    created: row.created,
    scope: { repository: row.repository, project_path: row.project_path, environment: row.environment },
    source: fromJson(row.source),
    plan_hash: row.plan_hash,
    images: fromJson(row.images),
    deployments: fromJson(row.deployment_names),
    changes: fromJson<Change[]>(row.changes),
    rollback_of: row.rollback_of,
    live: fromBit(row.live),
  };
}
