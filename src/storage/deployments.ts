import { type CompiledQuery, type Kysely, sql } from "kysely";
import type { CatchUp } from "../flowyard-api/catch-up.ts";
import type { Deployment } from "../prefect-api/deployments.ts";
import type { FilterDeployments } from "../prefect-api/filters.ts";
import type { JsonObject } from "../prefect-api/primitives.ts";
import { timestampFromDate } from "../prefect-api/timestamp.ts";
import type { Clock } from "../shared/clock.ts";
import { asRepeatable } from "./batch-answers.ts";
import { fromBit, fromJson, toBit, toJson, toJsonOrNull } from "./columns.ts";
import { ConcurrencyLimitStore } from "./concurrency-limits.ts";
import { anyOf, combine } from "./conditions.ts";
import { type CrossFilters, crossMatchDeployments, findRunFilters } from "./cross-filters.ts";
import type { Database } from "./database-types.ts";
import {
  changesToRow,
  type DeploymentChanges,
  type DeploymentRow,
  deploymentFromRow,
  type RunSource,
  type StoredDeployment,
} from "./deployment-rows.ts";
import { DeploymentScheduleStore } from "./deployment-schedules.ts";
import { FlowRunSearch } from "./flow-run-search.ts";

const SORTS: Record<FilterDeployments["sort"], string> = {
  CREATED_DESC: "d.created desc",
  UPDATED_DESC: "d.updated desc",
  NAME_ASC: "d.name asc",
  NAME_DESC: "d.name desc",
};

interface DeploymentPage {
  sort: FilterDeployments["sort"];
  limit: number;
  offset: number;
}

export class DeploymentStore {
  readonly schedules: DeploymentScheduleStore;
  readonly #db: Kysely<Database>;
  readonly #search: FlowRunSearch;
  readonly #clock: Clock;
  /** Compiled once: every run that is made asks it. */
  readonly #runSource: CompiledQuery<RunSourceRow>;

  constructor(db: Kysely<Database>, clock: Clock) {
    this.#db = db;
    this.#search = new FlowRunSearch(db);
    this.#clock = clock;
    this.#runSource = asRepeatable(selectRunSource(db).where("d.id", "=", "").compile());
    this.schedules = new DeploymentScheduleStore(db, clock);
  }

  /** Images that deployments of the pool changed after `since` run, each once. */
  async listChangedImages(poolId: string, since: string, limit: number): Promise<string[]> {
    const rows = await this.#db
      .selectFrom("deployments as d")
      .innerJoin("work_queues as q", "q.id", "d.work_queue_id")
      .select("d.job_variables")
      .where("q.work_pool_id", "=", poolId)
      .where("d.updated", ">", since)
      .orderBy("d.updated", "desc")
      .limit(limit)
      .execute();
    const images = rows.map((row) => fromJson<JsonObject>(row.job_variables)["image"]);
    return [...new Set(images.filter((image) => typeof image === "string"))];
  }

  async find(id: string): Promise<Deployment | undefined> {
    const row = await this.#select().where("d.id", "=", id).executeTakeFirst();
    return row && (await this.#complete([row]))[0];
  }

  async listByIds(ids: readonly string[]): Promise<Deployment[]> {
    return ids.length === 0 ? [] : this.#complete(await this.#select().where("d.id", "in", ids).execute());
  }

  /** Null: what Prefect does. Answers whether there was such a deployment. */
  async setCatchUp(id: string, catchUp: CatchUp | null): Promise<boolean> {
    const result = await this.#db
      .updateTable("deployments")
      .set({ catch_up: toJsonOrNull(catchUp) })
      .where("id", "=", id)
      .executeTakeFirst();
    return result.numUpdatedRows > 0n;
  }

  async findCatchUp(ids: readonly string[]): Promise<Map<string, CatchUp>> {
    const rows =
      ids.length === 0
        ? []
        : await this.#db
            .selectFrom("deployments")
            .select(["id", "catch_up"])
            .where("id", "in", ids)
            .where("catch_up", "is not", null)
            .execute();
    return new Map(rows.map((row) => [row.id, fromJson<CatchUp>(row.catch_up ?? "")]));
  }

  async findByName(flowName: string, name: string): Promise<Deployment | undefined> {
    const row = await this.#select()
      .innerJoin("flows as f", "f.id", "d.flow_id")
      .where("f.name", "=", flowName)
      .where("d.name", "=", name)
      .executeTakeFirst();
    return row && (await this.#complete([row]))[0];
  }

  async findIdByName(flowId: string, name: string): Promise<string | undefined> {
    const row = await this.#db
      .selectFrom("deployments")
      .select("id")
      .where("flow_id", "=", flowId)
      .where("name", "=", name)
      .executeTakeFirst();
    return row?.id;
  }

  async findRunSource(id: string): Promise<RunSource | undefined> {
    const query: CompiledQuery<RunSourceRow> = { ...this.#runSource, parameters: [id] };
    const [row] = (await this.#db.executeQuery(query)).rows;
    if (row === undefined) {
      return undefined;
    }
    const { parameter_openapi_schema: schema, ...columns } = row;
    return {
      ...columns,
      parameterSchema: schema === null ? null : { text: schema, load: () => fromJson<JsonObject>(schema) },
      parameters: fromJson(row.parameters),
      flow_tags: fromJson(row.flow_tags),
      tags: fromJson(row.tags),
      labels: fromJson(row.labels),
      job_variables: fromJson(row.job_variables),
      enforce_parameter_schema: fromBit(row.enforce_parameter_schema),
    };
  }

  async list(filters: CrossFilters, page: DeploymentPage): Promise<Deployment[]> {
    const ids = await this.#listWithRuns(filters, page);
    const rows = await this.#select()
      .where(ids === undefined ? crossMatchDeployments(filters) : combine("and_", anyOf("d.id", ids)))
      .orderBy(sql.raw(SORTS[page.sort]))
      .limit(page.limit)
      .offset(ids === undefined ? page.offset : 0)
      .execute();
    return this.#complete(rows);
  }

  /** A page of those that have a run as is asked for; undefined where no run is. */
  async #listWithRuns(filters: CrossFilters, page: DeploymentPage): Promise<string[] | undefined> {
    const asked = findRunFilters(filters);
    if (asked === undefined) {
      return undefined;
    }
    const rows = await this.#db
      .selectFrom("deployments as d")
      .select("d.id")
      .where(crossMatchDeployments(filters))
      .orderBy(sql.raw(SORTS[page.sort]))
      .execute();
    const owners = rows.map(({ id }) => id);
    const found = await this.#search.listOwners("r.deployment_id", owners, asked, page.offset + page.limit);
    return found.slice(page.offset);
  }

  async count(filters: CrossFilters): Promise<number> {
    const ids = await this.#listWithRuns(filters, { sort: "NAME_ASC", limit: Number.POSITIVE_INFINITY, offset: 0 });
    if (ids !== undefined) {
      return ids.length;
    }
    const row = await this.#db
      .selectFrom("deployments as d")
      .select(sql<number>`count(*)`.as("count"))
      .where(crossMatchDeployments(filters))
      .executeTakeFirstOrThrow();
    return row.count;
  }

  /** An unknown flow is a `foreign-key` storage error. */
  async insert(deployment: StoredDeployment): Promise<void> {
    await this.#db
      .insertInto("deployments")
      .values({
        id: deployment.id,
        created: deployment.created,
        updated: deployment.updated,
        name: deployment.name,
        flow_id: deployment.flow_id,
        version: deployment.version ?? null,
        description: deployment.description ?? null,
        paused: toBit(deployment.paused),
        concurrency_limit_id: deployment.concurrency_limit_id,
        concurrency_options: toJsonOrNull(deployment.concurrency_options),
        job_variables: toJson(deployment.job_variables),
        parameters: toJson(deployment.parameters),
        tags: toJson(deployment.tags),
        labels: toJson(deployment.labels ?? {}),
        work_queue_id: deployment.work_queue_id ?? null,
        parameter_openapi_schema: toJsonOrNull(deployment.parameter_openapi_schema),
        path: deployment.path ?? null,
        pull_steps: toJsonOrNull(deployment.pull_steps),
        entrypoint: deployment.entrypoint ?? null,
        storage_document_id: deployment.storage_document_id ?? null,
        infrastructure_document_id: deployment.infrastructure_document_id ?? null,
        created_by: toJsonOrNull(deployment.created_by),
        updated_by: toJsonOrNull(deployment.updated_by),
        enforce_parameter_schema: toBit(deployment.enforce_parameter_schema),
      })
      .execute();
  }

  /** Changes what is named, and always `updated`. */
  async update(id: string, changes: DeploymentChanges): Promise<void> {
    await this.#db
      .updateTable("deployments")
      .set({ updated: timestampFromDate(this.#clock.now()), ...changesToRow(changes) })
      .where("id", "=", id)
      .execute();
  }

  /** Gives it another name, or another flow. One that is taken is a storage error. */
  async rename(id: string, name: { name: string; flow_id: string }): Promise<void> {
    await this.#db.updateTable("deployments").set(name).where("id", "=", id).execute();
  }

  /** Answers whether there was such a deployment. Its runs stay. */
  async remove(id: string): Promise<boolean> {
    const result = await this.#db.deleteFrom("deployments").where("id", "=", id).executeTakeFirst();
    return result.numDeletedRows > 0n;
  }

  async #complete(rows: DeploymentRow[]): Promise<Deployment[]> {
    const limitIds = rows.flatMap((row) => row.concurrency_limit_id ?? []);
    const limits = limitIds.length === 0 ? new Map() : await this.#limits(limitIds);
    const schedules = await this.schedules.listOf(rows.map((row) => row.id));
    const now = timestampFromDate(this.#clock.now());
    return rows.map((row) => ({
      ...deploymentFromRow(row, now, {
        schedules: schedules.get(row.id) ?? [],
        limit: limits.get(row.concurrency_limit_id) ?? null,
      }),
    }));
  }

  async #limits(ids: readonly string[]): Promise<Map<string, NonNullable<Deployment["global_concurrency_limit"]>>> {
    const limits = await new ConcurrencyLimitStore(this.#db, this.#clock).listByIds(ids);
    return new Map(
      limits.map(({ avg_slot_occupancy_seconds: _average, decayed_at: _decayed, ...limit }) => [limit.id, limit]),
    );
  }

  #select() {
    return this.#db
      .selectFrom("deployments as d")
      .leftJoin("work_queues as q", "q.id", "d.work_queue_id")
      .leftJoin("work_pools as p", "p.id", "q.work_pool_id")
      .selectAll("d")
      .select(["q.name as work_queue_name", "q.last_polled as last_polled", "p.name as work_pool_name"]);
  }
}

function selectRunSource(db: Kysely<Database>) {
  return db
    .selectFrom("deployments as d")
    .innerJoin("flows as f", "f.id", "d.flow_id")
    .leftJoin("work_queues as q", "q.id", "d.work_queue_id")
    .leftJoin("work_pools as p", "p.id", "q.work_pool_id")
    .select([
      "d.id",
      "d.flow_id",
      "f.name as flow_name",
      "f.tags as flow_tags",
      "d.name",
      "d.version",
      "d.parameters",
      "d.tags",
      "d.labels",
      "d.job_variables",
      "d.infrastructure_document_id",
      "d.enforce_parameter_schema",
      "d.parameter_openapi_schema",
      "d.work_queue_id",
      "q.name as work_queue_name",
      "q.work_pool_id",
      "p.name as work_pool_name",
      "p.type as work_pool_type",
      "p.updated as work_pool_updated",
    ]);
}

type RunSourceRow = Awaited<ReturnType<ReturnType<typeof selectRunSource>["executeTakeFirstOrThrow"]>>;
