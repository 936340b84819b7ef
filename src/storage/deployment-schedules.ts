import type { Kysely } from "kysely";
import type { DeploymentSchedule } from "../prefect-api/schedules.ts";
import { timestampFromDate } from "../prefect-api/timestamp.ts";
import type { Clock } from "../shared/clock.ts";
import { fromBit, fromJson, toBit, toJson } from "./columns.ts";
import type { Database } from "./database-types.ts";

export type StoredSchedule = Omit<DeploymentSchedule, "deployment_id"> & { deployment_id: string };

export type ScheduleChanges = Partial<
  Pick<DeploymentSchedule, "schedule" | "active" | "max_scheduled_runs" | "parameters" | "slug">
>;

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

  async removeAll(deploymentId: string): Promise<void> {
    await this.#db.deleteFrom("deployment_schedules").where("deployment_id", "=", deploymentId).execute();
  }
}

function scheduleFromRow(row: Database["deployment_schedules"]): StoredSchedule {
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
