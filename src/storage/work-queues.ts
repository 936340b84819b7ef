import { type Kysely, sql } from "kysely";
import type { WorkQueueFilter } from "../prefect-api/filters.ts";
import { addSeconds, timestampFromDate } from "../prefect-api/timestamp.ts";
import type { WorkQueue } from "../prefect-api/work-queues.ts";
import type { Clock } from "../shared/clock.ts";
import { fromBit, fromJsonOrNull, toBit, toJsonOrNull } from "./columns.ts";
import { anyOf, combine } from "./conditions.ts";
import type { Database } from "./database-types.ts";
import { matchWorkQueue } from "./filters.ts";

/** A queue, and what waits in it, counts as served this long after a poll. */
export const POLLED_WITHIN_SECONDS = 60;
/** Polls closer together than this are written down once: a poll is then a read. */
export const POLL_PRECISION_SECONDS = 5;

export type QueueChanges = Partial<
  Pick<WorkQueue, "name" | "is_paused" | "concurrency_limit" | "priority" | "last_polled" | "filter">
> & { description?: string };

/** What a poll asks of its pool. */
export interface PollGate {
  id: string;
  is_paused: boolean;
  concurrency_limit: number | null;
  active_slots: number | null;
}

export class WorkQueueStore {
  readonly #db: Kysely<Database>;
  readonly #clock: Clock;

  constructor(db: Kysely<Database>, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
  }

  async find(id: string): Promise<WorkQueue | undefined> {
    const row = await this.#select().where("q.id", "=", id).executeTakeFirst();
    return row && this.#fromRow(row);
  }

  async findByName(poolName: string, name: string): Promise<WorkQueue | undefined> {
    const row = await this.#select().where("p.name", "=", poolName).where("q.name", "=", name).executeTakeFirst();
    return row && this.#fromRow(row);
  }

  /** Of one pool, by priority; or of all, by name. */
  async list(
    where: { poolId?: string; names?: readonly string[]; filter?: WorkQueueFilter },
    page: { limit: number; offset: number },
  ): Promise<WorkQueue[]> {
    const { poolId, names, filter } = where;
    const rows = await this.#select()
      .where(combine("and_", [matchWorkQueue(filter)]))
      .$if(poolId !== undefined, (query) => query.where("q.work_pool_id", "=", poolId ?? ""))
      .$if(names !== undefined, (query) => query.where(combine("and_", anyOf("q.name", names))))
      .$if(poolId !== undefined, (query) => query.orderBy("q.priority"))
      .orderBy("q.name")
      .orderBy("q.id")
      .limit(page.limit)
      .offset(page.offset)
      .execute();
    return rows.map((row) => this.#fromRow(row));
  }

  /**
   * The queues of a pool and what the pool lets through, in one statement: what every poll reads. Undefined where there is
   * no such pool, or no such queue in it.
   */
  async listForPoll(
    poolName: string,
    names: readonly string[],
    limit: number,
  ): Promise<{ pool: PollGate; queues: WorkQueue[] } | undefined> {
    const rows = await this.#select()
      .select([
        "p.is_paused as pool_paused",
        "p.concurrency_limit as pool_limit",
        sql<number | null>`case when p.concurrency_limit is null then null else (select count(*) from flow_runs r
          join work_queues o on o.id = r.work_queue_id
          where o.work_pool_id = p.id and r.holds_slot = 1) end`.as("pool_slots"),
      ])
      .where("p.name", "=", poolName)
      .$if(names.length > 0, (query) => query.where(combine("and_", anyOf("q.name", names))))
      .orderBy("q.priority")
      .orderBy("q.name")
      .limit(limit)
      .execute();
    const [first] = rows;
    return (
      first && {
        pool: {
          id: first.work_pool_id,
          is_paused: fromBit(first.pool_paused),
          concurrency_limit: first.pool_limit,
          active_slots: first.pool_slots,
        },
        queues: rows.map((row) => this.#fromRow(row)),
      }
    );
  }

  /** Ids and priorities of a pool's queues, the most urgent first. */
  async listPriorities(poolId: string): Promise<{ id: string; priority: number }[]> {
    return await this.#db
      .selectFrom("work_queues")
      .select(["id", "priority"])
      .where("work_pool_id", "=", poolId)
      .orderBy("priority")
      .execute();
  }

  /** A name taken in the pool is a `unique` storage error. */
  async insert(queue: {
    id: string;
    created: string;
    name: string;
    description: string;
    is_paused: boolean;
    concurrency_limit: number | null;
    priority: number;
    work_pool_id: string;
    filter: WorkQueue["filter"];
  }): Promise<void> {
    await this.#db
      .insertInto("work_queues")
      .values({
        ...queue,
        updated: queue.created,
        is_paused: toBit(queue.is_paused),
        filter: toJsonOrNull(queue.filter),
        last_polled: null,
      })
      .execute();
  }

  async update(id: string, changes: QueueChanges): Promise<void> {
    const { is_paused, filter, name, description, priority, concurrency_limit, last_polled } = changes;
    await this.#db
      .updateTable("work_queues")
      .set({
        updated: timestampFromDate(this.#clock.now()),
        ...(name !== undefined && { name }),
        ...(description !== undefined && { description }),
        ...(priority !== undefined && { priority }),
        ...(concurrency_limit !== undefined && { concurrency_limit }),
        ...(last_polled !== undefined && { last_polled }),
        ...(is_paused !== undefined && { is_paused: toBit(is_paused) }),
        ...(filter !== undefined && { filter: toJsonOrNull(filter) }),
      })
      .where("id", "=", id)
      .execute();
  }

  async remove(id: string): Promise<void> {
    await this.#db.deleteFrom("work_queues").where("id", "=", id).execute();
  }

  /** Those of the queues whose last poll is so old: by default, old enough to be worth writing the next one down. */
  stalePolls(queues: readonly WorkQueue[], seconds = POLL_PRECISION_SECONDS): string[] {
    const threshold = addSeconds(timestampFromDate(this.#clock.now()), -seconds);
    return queues.filter((queue) => !queue.last_polled || queue.last_polled < threshold).map((queue) => queue.id);
  }

  async markPolled(ids: readonly string[]): Promise<void> {
    await this.#db
      .updateTable("work_queues")
      .set({ last_polled: timestampFromDate(this.#clock.now()) })
      .where("id", "in", ids)
      .execute();
  }

  #select() {
    return this.#db
      .selectFrom("work_queues as q")
      .innerJoin("work_pools as p", "p.id", "q.work_pool_id")
      .selectAll("q")
      .select([
        "p.name as work_pool_name",
        sql<number | null>`case when q.concurrency_limit is null then null else (select count(*) from flow_runs r
          where r.work_queue_id = q.id and r.holds_slot = 1) end`.as("active_slots"),
      ]);
  }

  #fromRow(row: QueueRow): WorkQueue {
    return {
      id: row.id,
      created: row.created,
      updated: row.updated,
      name: row.name,
      description: row.description,
      is_paused: fromBit(row.is_paused),
      concurrency_limit: row.concurrency_limit,
      priority: row.priority,
      work_pool_id: row.work_pool_id,
      filter: fromJsonOrNull(row.filter),
      last_polled: row.last_polled,
      work_pool_name: row.work_pool_name,
      status: queueStatus(row, timestampFromDate(this.#clock.now())),
      active_slots: row.active_slots,
    };
  }
}

type QueueRow = Database["work_queues"] & { work_pool_name: string; active_slots: number | null };

function queueStatus(row: QueueRow, now: string): WorkQueue["status"] {
  if (fromBit(row.is_paused)) {
    return "PAUSED";
  }
  return isRecentlyPolled(row.last_polled, now) ? "READY" : "NOT_READY";
}

export function isRecentlyPolled(lastPolled: string | null, now: string): boolean {
  return lastPolled !== null && lastPolled >= addSeconds(now, -POLLED_WITHIN_SECONDS);
}
