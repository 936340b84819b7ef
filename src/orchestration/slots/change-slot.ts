import { v7 as uuidv7 } from "uuid";
import { holdsSlot } from "../../prefect-api/occupancy.ts";
import { addSeconds, type Timestamp } from "../../prefect-api/timestamp.ts";
import type { Tx } from "../../storage/store.ts";
import type { ChangingRun } from "../../storage/transitions.ts";
import type { EnteredState } from "../states/bookkeeping.ts";
import type { DeploymentConcurrency, SlotChange, WorkGate } from "../states/transition.ts";
import { wakeSlotWaiters } from "./wake-slot-waiters.ts";

/** Prefect's default for a slot whose run has not started to renew its lease yet. */
const DEFAULT_GRACE_SECONDS = 300;

/** Ends of a run that its own engine may not have reported: what its task runs hold would stay until it expires. */
const ABRUPT_ENDS: ReadonlySet<string> = new Set(["CRASHED", "CANCELLED"]);

export async function findConcurrency(tx: Tx, run: ChangingRun, now: Timestamp): Promise<DeploymentConcurrency | null> {
  if (run.concurrency_limit_id === null) {
    return null;
  }
  const leaseId = run.state?.state_details.deployment_concurrency_lease_id ?? null;
  const [usage, lease] = await Promise.all([
    tx.leases.findUsage(run.concurrency_limit_id, leaseId, now),
    leaseId === null ? undefined : tx.leases.find(leaseId),
  ]);
  if (usage === undefined || !usage.active) {
    return null;
  }
  return {
    limit: usage.limit,
    takenByOthers: usage.takenByOthers,
    leaseHeld: lease !== undefined && lease.expires_at > now,
    collisionStrategy: run.concurrency_options?.collision_strategy ?? "ENQUEUE",
    graceSeconds: run.concurrency_options?.grace_period_seconds ?? DEFAULT_GRACE_SECONDS,
  };
}

/** What the run's pool and queue let through at this moment, counted in the transaction that may take a slot. */
export async function findGates(tx: Tx, run: ChangingRun): Promise<WorkGate[]> {
  const { workPool: pool, workQueue: queue } = run;
  // Started together they share one way to PostgreSQL and back.
  return await Promise.all([
    ...(pool === null ? [] : [buildGate(tx, "pool", pool, { poolId: pool.id })]),
    ...(queue === null ? [] : [buildGate(tx, "queue", queue, { queueId: queue.id })]),
  ]);
}

async function buildGate(
  tx: Tx,
  kind: WorkGate["kind"],
  { name, is_paused, concurrency_limit: limit }: NonNullable<ChangingRun["workQueue"]>,
  owner: { queueId: string } | { poolId: string },
): Promise<WorkGate> {
  return { kind, name, paused: is_paused, limit, taken: limit === null ? 0 : await tx.waitingRuns.countHolding(owner) };
}

/** Answers the lease that the new state names; undefined leaves the state as it is. */
export async function changeSlot(
  tx: Tx,
  run: ChangingRun,
  slot: SlotChange,
  now: Timestamp,
): Promise<string | undefined> {
  const held = run.state?.state_details.deployment_concurrency_lease_id ?? null;
  switch (slot.action) {
    case "keep":
      return undefined;
    case "free":
      if (held !== null) {
        await freeLease(tx, held, now);
      }
      return undefined;
    case "take": {
      const expires_at = addSeconds(now, slot.leaseSeconds);
      const existing = run.state?.type === "PENDING" && held !== null ? await tx.leases.find(held) : undefined;
      if (existing !== undefined) {
        await tx.leases.update(existing.id, { expires_at });
        return existing.id;
      }
      const id = uuidv7();
      await tx.leases.insert(
        { id, created: now, expires_at, slots: 1, is_plain: false, holder_type: "flow_run", holder_id: run.id },
        run.concurrency_limit_id === null ? [] : [{ id: run.concurrency_limit_id, decays_at: null }],
      );
      return id;
    }
  }
}

async function freeLease(tx: Tx, leaseId: string, now: Timestamp): Promise<void> {
  const lease = await tx.leases.find(leaseId);
  await tx.leases.remove(leaseId);
  for (const { id } of lease?.limits ?? []) {
    await wakeSlotWaiters(tx, now, id);
  }
}

/** After the new state is written: who waits for a slot of queue and pool is told, and what a dead run held is free. */
export async function noteFreedSlots(
  tx: Tx,
  run: ChangingRun,
  entered: Pick<EnteredState, "state" | "policy">,
  now: Timestamp,
): Promise<void> {
  if (!holdsSlot(run.state, run.empirical_policy) || holdsSlot(entered.state, entered.policy)) {
    return;
  }
  for (const gate of [run.workQueue, run.workPool]) {
    if (gate !== null && gate.concurrency_limit !== null) {
      tx.wakeUps.notify("slot_released", gate.id);
    }
  }
  if (ABRUPT_ENDS.has(entered.state.type)) {
    for (const limitId of await tx.leases.removeOfFlowRun(run.id)) {
      await wakeSlotWaiters(tx, now, limitId);
    }
  }
}
