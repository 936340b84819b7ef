import { type Kysely, type SqlBool, sql } from "kysely";
import type { CatchUp } from "../flowyard-api/catch-up.ts";
import type { DeploymentSchedule } from "../prefect-api/schedules.ts";
import { type Timestamp, timestampFromDate } from "../prefect-api/timestamp.ts";
import type { Clock } from "../shared/clock.ts";
import { fromBit, fromJson, fromJsonOrNull, toBit, toJson } from "./columns.ts";
import type { Database } from "./database-types.ts";

export type StoredSchedule = Omit<DeploymentSchedule, "deployment_id"> & { deployment_id: string };

export type ScheduleChanges = Partial<
  Pick<DeploymentSchedule, "schedule" | "active" | "max_scheduled_runs" | "parameters" | "slug">
>;

/** A schedule that the scheduler has to look at. */
export interface DueSchedule extends Omit<StoredSchedule, "updated" | "active"> {
  scheduled_until: Timestamp | null;
  /** When it was to be looked at; empty: as soon as possible. */
  look_at: Timestamp;
  revision: number;
  /** Of its deployment; null where nothing was said. */
  catch_up: CatchUp | null;
  /** Whether its deployment is. */
  paused: boolean;
}

export class DeploymentScheduleStore {
  readonly #db: Kysely<Database>;
  readonly #clock: Clock;

  constructor(db: Kysely<Database>, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
  }

  /** The schedules of each deployment, the newest change first, as Prefect lists them. */
  async listOf(deploymentIds: readonly string[]): Promise<Map<string, StoredSchedule[]>> {
    if (deploymentIds.length === 0) {
      return new Map();
    }
    const rows = await this.#db
      .selectFrom("deployment_schedules")
      .selectAll()
      .where("deployment_id", "in", deploymentIds)
      .orderBy("updated", "desc")
      .orderBy("id")
      .execute();
    return Map.groupBy(rows.map(scheduleFromRow), (schedule) => schedule.deployment_id);
  }

  /** Active schedules, those first that wait the longest; also of deployments that were paused since the last look. */
  listDue(now: Timestamp, limit: number): Promise<DueSchedule[]> {
    return this.#list((query) => query.where("s.look_at", "<=", now).orderBy("s.look_at").limit(limit));
  }

  /** The active schedules of one deployment, paused or not. */
  listActive(deploymentId: string): Promise<DueSchedule[]> {
    return this.#list((query) => query.where("s.deployment_id", "=", deploymentId));
  }

  async #list(narrow: (query: ActiveQuery) => ActiveQuery): Promise<DueSchedule[]> {
    const rows = await narrow(selectActive(this.#db)).execute();
    return rows.map((row) => ({
      ...row,
      paused: fromBit(row.paused),
      schedule: fromJson<DeploymentSchedule["schedule"]>(row.schedule),
      parameters: fromJson<DeploymentSchedule["parameters"]>(row.parameters),
      catch_up: fromJsonOrNull<CatchUp>(row.catch_up),
    }));
  }

  /**
   * Notes how far the scheduler has come. Answers false when somebody else changed the schedule, or came as far, since
   * it was read. Comes before the runs are written: the row is this transaction's from here on.
   */
  async advance(
    { id, revision }: Pick<DueSchedule, "id" | "revision">,
    next: { scheduled_until: Timestamp; look_at: Timestamp },
  ): Promise<boolean> {
    const result = await this.#db
      .updateTable("deployment_schedules")
      .set({ ...next, revision: revision + 1 })
      .where("id", "=", id)
      .where("revision", "=", revision)
      .executeTakeFirst();
    return result.numUpdatedRows > 0n;
  }

  /**
   * Lets the scheduler begin anew after `from`, for all schedules of a deployment or for some. Answers their ids. Comes
   * before their runs are removed: a scheduler that is making some has them on disk then.
   */
  async restart(deploymentId: string, from: Timestamp, ids?: readonly string[]): Promise<string[]> {
    const rows = await this.#db
      .updateTable("deployment_schedules")
      .set({ scheduled_until: from, look_at: "", revision: sql<number>`revision + 1` })
      .where("deployment_id", "=", deploymentId)
      .$if(ids !== undefined, (query) => query.where("id", "in", [...(ids ?? [])]))
      .returning("id")
      .execute();
    return rows.map(({ id }) => id);
  }

  /** Lets no scheduler go on with what it read of the deployment before. Answers its schedules' own parameters. */
  async outdate(deploymentId: string): Promise<Pick<StoredSchedule, "id" | "parameters">[]> {
    const rows = await this.#db
      .updateTable("deployment_schedules")
      .set({ revision: sql<number>`revision + 1` })
      .where("deployment_id", "=", deploymentId)
      .returning(["id", "parameters"])
      .execute();
    return rows.map(({ id, parameters }) => ({ id, parameters: fromJson(parameters) }));
  }

  /** A slug that the deployment has already is a `unique` storage error. */
  async insert(schedules: readonly StoredSchedule[]): Promise<void> {
    if (schedules.length === 0) {
      return;
    }
    const rows = schedules.map((schedule) => ({
      id: schedule.id,
      created: schedule.created,
      updated: schedule.updated,
      deployment_id: schedule.deployment_id,
      schedule: toJson(schedule.schedule),
      active: toBit(schedule.active),
      max_scheduled_runs: schedule.max_scheduled_runs ?? null,
      parameters: toJson(schedule.parameters),
      slug: schedule.slug ?? null,
      scheduled_until: schedule.created,
    }));
    await this.#db.insertInto("deployment_schedules").values(rows).execute();
  }

  /** Answers whether the deployment had such a schedule. */
  async update(deploymentId: string, id: string, changes: ScheduleChanges): Promise<boolean> {
    const { schedule, active, parameters, max_scheduled_runs, slug } = changes;
    const result = await this.#db
      .updateTable("deployment_schedules")
      .set({
        updated: timestampFromDate(this.#clock.now()),
        ...(max_scheduled_runs !== undefined && { max_scheduled_runs }),
        ...(slug !== undefined && { slug }),
        ...(schedule !== undefined && { schedule: toJson(schedule) }),
        ...(active !== undefined && { active: toBit(active) }),
        ...(parameters !== undefined && { parameters: toJson(parameters) }),
      })
      .where("deployment_id", "=", deploymentId)
      .where("id", "=", id)
      .executeTakeFirst();
    return result.numUpdatedRows > 0n;
  }

  /** Answers whether the deployment had such a schedule. */
  async remove(deploymentId: string, id: string): Promise<boolean> {
    const result = await this.#db
      .deleteFrom("deployment_schedules")
      .where("deployment_id", "=", deploymentId)
      .where("id", "=", id)
      .executeTakeFirst();
    return result.numDeletedRows > 0n;
  }
}

/** A literal, or the index of the active ones would not be used. */
const IS_ACTIVE = sql<SqlBool>`s.active = 1`;

type ActiveQuery = ReturnType<typeof selectActive>;

function selectActive(db: Kysely<Database>) {
  return db
    .selectFrom("deployment_schedules as s")
    .innerJoin("deployments as d", "d.id", "s.deployment_id")
    .select([
      "s.id",
      "s.created",
      "s.deployment_id",
      "s.schedule",
      "s.max_scheduled_runs",
      "s.parameters",
      "s.slug",
      "s.scheduled_until",
      "s.look_at",
      "s.revision",
      "d.catch_up",
      "d.paused",
    ])
    .where(IS_ACTIVE);
}

type ScheduleRow = Omit<Database["deployment_schedules"], "look_at" | "revision" | "scheduled_until">;

function scheduleFromRow(row: ScheduleRow): StoredSchedule {
  return {
    id: row.id,
    created: row.created,
    updated: row.updated,
    deployment_id: row.deployment_id,
    schedule: fromJson(row.schedule),
    active: fromBit(row.active),
    max_scheduled_runs: row.max_scheduled_runs,
    parameters: fromJson(row.parameters),
    slug: row.slug,
  };
}
