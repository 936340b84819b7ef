import type { Kysely } from "kysely";
import type { StateType } from "../prefect-api/states.ts";
import { fromBit, toBit } from "./columns.ts";
import type { Database } from "./database-types.ts";

/** Who has a run, and until when. One row a run: the token goes on rising over its attempts. */
export interface FlowRunClaim {
  flow_run_id: string;
  /** Of the lease, and the transition id of the PENDING state that it was taken with. */
  id: string;
  fencing_token: number;
  worker_name: string;
  worker_instance: string;
  work_pool_id: string;
  claimed_at: string;
  expires_at: string;
  /** Whether there is a container or process. */
  started: boolean;
  /** Claims in a row that ended without a start. */
  unstarted_claims: number;
}

/** A claim with what its run is doing. */
export interface HeldClaim extends FlowRunClaim {
  /** Nobody has the run any more. */
  ended: boolean;
  state_type: StateType | null;
}

const MAX_LISTED = 100;

export class FlowRunClaimStore {
  readonly #db: Kysely<Database>;

  constructor(db: Kysely<Database>) {
    this.#db = db;
  }

  /** Gives the run to a worker under the next fencing token. */
  async take(claim: Omit<FlowRunClaim, "fencing_token" | "started" | "unstarted_claims">): Promise<FlowRunClaim> {
    const before = await this.#db
      .selectFrom("flow_run_claims")
      .select(["fencing_token", "unstarted_claims"])
      .where("flow_run_id", "=", claim.flow_run_id)
      .executeTakeFirst();
    const fencing_token = (before?.fencing_token ?? 0) + 1;
    const unstarted_claims = before?.unstarted_claims ?? 0;
    const row = { ...claim, fencing_token, unstarted_claims, started: toBit(false), ended: toBit(false) };
    await this.#db
      .insertInto("flow_run_claims")
      .values(row)
      .onConflict((conflict) => conflict.column("flow_run_id").doUpdateSet(row))
      .execute();
    return { ...claim, fencing_token, unstarted_claims, started: false };
  }

  /** The claims asked for, ended or not, with the states of their runs. */
  async listByIds(ids: readonly string[]): Promise<HeldClaim[]> {
    if (ids.length === 0) {
      return [];
    }
    const rows = await this.#select().where("c.id", "in", ids).execute();
    return rows.map(claimFromRow);
  }

  /** Runs that a worker has claimed and not started, but for those it knows of. */
  async listUnknownTo(worker: {
    name: string;
    instance: string;
    poolId: string;
    knows: readonly string[];
  }): Promise<HeldClaim[]> {
    const rows = await this.#selectHeld()
      .where("c.worker_name", "=", worker.name)
      .where("c.worker_instance", "=", worker.instance)
      .where("c.work_pool_id", "=", worker.poolId)
      .where("c.started", "=", toBit(false))
      .$if(worker.knows.length > 0, (query) => query.where("c.id", "not in", worker.knows))
      .limit(MAX_LISTED)
      .execute();
    return rows.map(claimFromRow);
  }

  /** Claims whose leases ended before `now`, the longest ended first. */
  async listExpired(now: string, limit: number): Promise<HeldClaim[]> {
    const rows = await this.#selectHeld()
      .where("c.expires_at", "<=", now)
      .orderBy("c.expires_at")
      .limit(limit)
      .execute();
    return rows.map(claimFromRow);
  }

  async renew(flowRunId: string, lease: { worker_name: string; expires_at: string; started: boolean }): Promise<void> {
    await this.#db
      .updateTable("flow_run_claims")
      .set({
        worker_name: lease.worker_name, // who adopted the run has it from now on
        expires_at: lease.expires_at,
        started: toBit(lease.started),
        ...(lease.started && { unstarted_claims: 0 }),
      })
      .where("flow_run_id", "=", flowRunId)
      .execute();
  }

  /** Nobody has the run any more. */
  async end(flowRunId: string): Promise<void> {
    await this.#db
      .updateTable("flow_run_claims")
      .set({ ended: toBit(true) })
      .where("flow_run_id", "=", flowRunId)
      .execute();
  }

  /** The same, and whoever still writes in its name is refused from now on. */
  async revoke(flowRunId: string, unstartedClaims: number): Promise<void> {
    await this.#db
      .updateTable("flow_run_claims")
      .set((row) => ({
        ended: toBit(true),
        fencing_token: row("fencing_token", "+", 1),
        unstarted_claims: unstartedClaims,
      }))
      .where("flow_run_id", "=", flowRunId)
      .execute();
  }

  #select() {
    return this.#db
      .selectFrom("flow_run_claims as c")
      .innerJoin("flow_runs as r", "r.id", "c.flow_run_id")
      .selectAll("c")
      .select("r.state_type");
  }

  #selectHeld() {
    return this.#select().where("c.ended", "=", toBit(false));
  }
}

function claimFromRow(row: Database["flow_run_claims"] & { state_type: StateType | null }): HeldClaim {
  const { ended, started, ...claim } = row;
  return { ...claim, started: fromBit(started), ended: fromBit(ended) };
}
