import { type Kysely, type SqlBool, sql } from "kysely";
import { addSeconds } from "../prefect-api/timestamp.ts";
import type { Database } from "./database-types.ts";
import { AGENT_POOL_TYPE } from "./work-pools.ts";
import { POLL_PRECISION_SECONDS, POLLED_WITHIN_SECONDS } from "./work-queues.ts";

interface Named {
  id: string;
  name: string;
}

interface NamedPool extends Named {
  type: string;
}

export interface PoolStatusChange extends NamedPool {
  kind: "work-pool";
  status: "READY" | "NOT_READY" | "PAUSED";
  /** The status event before this one. */
  event: { id: string; at: string } | null;
}

export interface QueueStatusChange extends Named {
  kind: "work-queue";
  status: "READY" | "NOT_READY" | "PAUSED";
  pool: NamedPool;
}

export interface DeploymentStatusChange extends DeploymentSurroundings {
  kind: "deployment";
  status: "READY" | "NOT_READY";
}

/** A deployment, and what its events name beside it. */
export interface DeploymentSurroundings extends Named {
  flow: Named;
  queue: Named | null;
  pool: NamedPool | null;
  storageDocumentId: string | null;
  infrastructureDocumentId: string | null;
  concurrencyLimitId: string | null;
}

export type StatusChange = PoolStatusChange | QueueStatusChange | DeploymentStatusChange;

/**
 * Which statuses have changed since they were last announced. The statuses themselves are derived from heartbeats, polls
 * and pauses whenever somebody reads them; only what was said of them is kept.
 */
export class StatusStore {
  readonly #db: Kysely<Database>;

  constructor(db: Kysely<Database>) {
    this.#db = db;
  }

  async listChangedPools(now: string, most: number): Promise<PoolStatusChange[]> {
    const status = sql<PoolStatusChange["status"]>`case when p.is_paused = 1 then 'PAUSED'
      when exists (select 1 from workers w where w.work_pool_id = p.id and w.online_until >= ${now}) then 'READY'
      else 'NOT_READY' end`;
    const rows = await this.#db
      .selectFrom("work_pools as p")
      .select(["p.id", "p.name", "p.type", "p.status_event_id", "p.status_event_at", status.as("status")])
      .where("p.type", "!=", AGENT_POOL_TYPE)
      .where(sql<SqlBool>`${status} <> coalesce(p.announced_status, '')`)
      .orderBy("p.id")
      .limit(most)
      .execute();
    return rows.map(({ status_event_id, status_event_at, ...row }) => ({
      kind: "work-pool",
      ...row,
      event: status_event_id !== null && status_event_at !== null ? { id: status_event_id, at: status_event_at } : null,
    }));
  }

  /** A queue that was never announced counts as NOT_READY, which is what it is made as. */
  async listChangedQueues(now: string, most: number): Promise<QueueStatusChange[]> {
    const status = sql<QueueStatusChange["status"]>`case when q.is_paused = 1 then 'PAUSED'
      when ${isPolled(now)} then 'READY' else 'NOT_READY' end`;
    const rows = await this.#db
      .selectFrom("work_queues as q")
      .innerJoin("work_pools as p", "p.id", "q.work_pool_id")
      .select(["q.id", "q.name", "p.id as pool_id", "p.name as pool_name", "p.type as pool_type"])
      .select(status.as("status"))
      .where(sql<SqlBool>`${status} <> coalesce(q.announced_status, 'NOT_READY')`)
      .orderBy("q.id")
      .limit(most)
      .execute();
    return rows.map(({ id, name, status: changed, ...pool }) => ({
      kind: "work-queue",
      id,
      name,
      status: changed,
      pool: { id: pool.pool_id, name: pool.pool_name, type: pool.pool_type },
    }));
  }

  /** A deployment is as ready as its queue is polled, or as it is served. */
  async listChangedDeployments(now: string, most: number): Promise<DeploymentStatusChange[]> {
    const status = sql<DeploymentStatusChange["status"]>`case when ${isPolled(now)}
      or ${isServed(now)} then 'READY' else 'NOT_READY' end`;
    const rows = await selectSurroundings(this.#db)
      .select(status.as("status"))
      .where(sql<SqlBool>`${status} <> coalesce(d.announced_status, 'NOT_READY')`)
      .orderBy("d.id")
      .limit(most)
      .execute();
    return rows.map((row) => ({ kind: "deployment", status: row.status, ...surroundingsFromRow(row) }));
  }

  async findDeployment(id: string): Promise<DeploymentSurroundings | undefined> {
    const row = await selectSurroundings(this.#db).where("d.id", "=", id).executeTakeFirst();
    return row && surroundingsFromRow(row);
  }

  /** Those of the deployments whose last note of being served is old enough to be worth the next one. */
  async listStaleServed(ids: readonly string[], now: string): Promise<string[]> {
    const rows = await this.#db
      .selectFrom("deployments")
      .select("id")
      .where("id", "in", ids)
      .where((where) =>
        where.or([where("served_at", "is", null), where("served_at", "<", addSeconds(now, -POLL_PRECISION_SECONDS))]),
      )
      .execute();
    return rows.map(({ id }) => id);
  }

  async markServed(ids: readonly string[], now: string): Promise<void> {
    await this.#db.updateTable("deployments").set({ served_at: now }).where("id", "in", ids).execute();
  }

  /**
   * Notes that the status was announced. Answers false when another plane has announced the same one meanwhile: then
   * nothing is to be said.
   */
  async saveAnnounced(change: StatusChange, event: { id: string; at: string }): Promise<boolean> {
    const announced_status = change.status;
    const isNews = sql<SqlBool>`coalesce(announced_status, '') <> ${announced_status}`;
    switch (change.kind) {
      case "work-pool": {
        const changes = { announced_status, status_event_id: event.id, status_event_at: event.at };
        const query = this.#db.updateTable("work_pools").set(changes).where("id", "=", change.id).where(isNews);
        return (await query.executeTakeFirst()).numUpdatedRows > 0n;
      }
      case "work-queue": {
        const query = this.#db.updateTable("work_queues").set({ announced_status });
        return (await query.where("id", "=", change.id).where(isNews).executeTakeFirst()).numUpdatedRows > 0n;
      }
      case "deployment": {
        const query = this.#db.updateTable("deployments").set({ announced_status });
        return (await query.where("id", "=", change.id).where(isNews).executeTakeFirst()).numUpdatedRows > 0n;
      }
    }
  }
}

function selectSurroundings(db: Kysely<Database>) {
  return db
    .selectFrom("deployments as d")
    .innerJoin("flows as f", "f.id", "d.flow_id")
    .leftJoin("work_queues as q", "q.id", "d.work_queue_id")
    .leftJoin("work_pools as p", "p.id", "q.work_pool_id")
    .select(["d.id", "d.name", "d.storage_document_id", "d.infrastructure_document_id", "d.concurrency_limit_id"])
    .select(["f.id as flow_id", "f.name as flow_name", "q.id as queue_id", "q.name as queue_name"])
    .select(["p.id as pool_id", "p.name as pool_name", "p.type as pool_type"]);
}

function surroundingsFromRow(
  row: Awaited<ReturnType<ReturnType<typeof selectSurroundings>["executeTakeFirstOrThrow"]>>,
): DeploymentSurroundings {
  return {
    id: row.id,
    name: row.name,
    flow: { id: row.flow_id, name: row.flow_name },
    queue: row.queue_id === null ? null : { id: row.queue_id, name: row.queue_name ?? "" },
    pool: row.pool_id === null ? null : { id: row.pool_id, name: row.pool_name ?? "", type: row.pool_type ?? "" },
    storageDocumentId: row.storage_document_id,
    infrastructureDocumentId: row.infrastructure_document_id,
    concurrencyLimitId: row.concurrency_limit_id,
  };
}

function isServed(now: string) {
  return sql<SqlBool>`d.served_at >= ${addSeconds(now, -POLLED_WITHIN_SECONDS)}`;
}

function isPolled(now: string) {
  return sql<SqlBool>`q.last_polled >= ${addSeconds(now, -POLLED_WITHIN_SECONDS)}`;
}
