import type { StateType } from "../../../src/prefect-api/states.ts";
import type { Case, Command } from "./commands.ts";

/** What the model knows of a run: what the outside can see of it, and its times in milliseconds. */
export interface ModelRun {
  type: StateType;
  name: string;
  since: number;
  scheduledAt: number | null;
  expectedStart: number;
  reschedules: boolean;
  pauseTimeout: number | null;
  runCount: number;
  resuming: boolean;
  keys: string[];
  retryType: "in_process" | "reschedule" | null;
  /** The number of the lease that its state names; the lease itself may be gone. */
  lease: number | null;
  /** States that were written. */
  states: number;
}

type Next = Partial<Omit<ModelRun, "states" | "since" | "runCount">> & { type: StateType };

const ENDED: readonly string[] = ["COMPLETED", "FAILED", "CANCELLED", "CRASHED"];
const LIVE: readonly string[] = ["PENDING", "RUNNING", "CANCELLING"];
const SLOT_WAIT_MS = 30_000;
const RENEWAL_MS = 300_000;

export function hasEnded({ type }: Pick<ModelRun, "type">): boolean {
  return ENDED.includes(type);
}

export function isLive(run: Pick<ModelRun, "type" | "name" | "retryType" | "reschedules">): boolean {
  return LIVE.includes(run.type) || (run.type === "PAUSED" && !run.reschedules) || waitsInProcess(run);
}

function waitsInProcess({ type, name, retryType }: Pick<ModelRun, "type" | "name" | "retryType">): boolean {
  return type === "SCHEDULED" && name === "AwaitingRetry" && retryType === "in_process";
}

function defaultName(type: StateType): string {
  return type.slice(0, 1) + type.slice(1).toLowerCase();
}

/** A second, plain account of the rules for flow runs, written from Prefect's documentation and not from our code. */
export class Model {
  readonly runs: ModelRun[];
  readonly leases = new Map<number, { run: number; endsAt: number }>();
  readonly #case: Case;
  #now: number;
  #leaseCount = 0;

  constructor(of: Case, runs: number, now: number) {
    this.#case = of;
    this.#now = now;
    this.runs = Array.from({ length: runs }, () => ({
      type: "SCHEDULED",
      name: "Scheduled",
      since: now,
      scheduledAt: now,
      expectedStart: now,
      reschedules: false,
      pauseTimeout: null,
      runCount: 0,
      resuming: false,
      keys: [],
      retryType: null,
      lease: null,
      states: 1,
    }));
  }

  /** Leases of the run that hold their slot now. */
  countSlots(run: number): number {
    return [...this.leases.values()].filter((lease) => lease.run === run && lease.endsAt > this.#now).length;
  }

  apply(command: Command): void {
    switch (command.kind) {
      case "repeat":
        // Sending again what has been answered changes nothing.
        return;
      case "wait":
        this.#now += command.seconds * 1000;
        return;
      case "loop":
        this.#runs((run, index) => this.#tick(command.loop, run, index));
        return;
      case "renew":
        this.#renew(this.#get(command.run).lease);
        return;
      case "resume": {
        const run = this.#get(command.run);
        if (run.type === "PAUSED") {
          const next: Next = run.reschedules
            ? { type: "SCHEDULED", name: "Resuming", scheduledAt: this.#now }
            : { type: "RUNNING" };
          this.#propose(command.run, run, next);
        }
        return;
      }
      case "pause": {
        const { run, reschedules, key, timeoutSeconds } = command;
        const pauseTimeout = timeoutSeconds === null ? null : this.#now + timeoutSeconds * 1000;
        const name = reschedules ? "Suspended" : "Paused";
        const keys = key === null ? [] : [key];
        this.#propose(run, this.#get(run), { type: "PAUSED", name, reschedules, pauseTimeout, keys });
        return;
      }
      case "propose": {
        const { type, name, force, delaySeconds } = command;
        const next = {
          type,
          name: name ?? defaultName(type),
          ...(type === "SCHEDULED" && { scheduledAt: this.#now + delaySeconds * 1000 }),
          ...(type === "PAUSED" && { keys: [] }),
        };
        const run = this.#get(command.run);
        if (force) {
          this.#force(command.run, run, next);
        } else {
          this.#propose(command.run, run, next);
        }
      }
    }
  }

  #get(index: number): ModelRun {
    const run = this.runs[index];
    if (run === undefined) {
      throw new Error(`there is no run ${index}`);
    }
    return run;
  }

  #runs(visit: (run: ModelRun, index: number) => void): void {
    for (const [index, run] of this.runs.entries()) {
      visit(run, index);
    }
  }

  #tick(loop: "late" | "pauses" | "cancelling" | "leases", run: ModelRun, index: number): void {
    const overdue =
      run.type === "SCHEDULED" && run.name === "Scheduled" && (run.scheduledAt ?? 0) <= this.#now - 15_000;
    if (loop === "late" && overdue) {
      const cancels = this.#case.strategy === "CANCEL_NEW" && this.#isFull(run);
      const late: Next = { type: "SCHEDULED", name: "Late", scheduledAt: run.scheduledAt, lease: null };
      this.#write(index, run, cancels ? { type: "CANCELLED", lease: null } : late);
    }
    if (loop === "pauses" && this.#pauseIsOver(run)) {
      this.#force(index, run, { type: "FAILED" });
    }
    if (loop === "cancelling" && run.type === "CANCELLING" && run.since <= this.#now - 300_000) {
      this.#propose(index, run, { type: "CANCELLED" });
    }
    if (loop === "leases") {
      for (const [id, lease] of this.leases) {
        if (lease.endsAt < this.#now - 3_600_000) {
          this.leases.delete(id);
        }
      }
    }
  }

  #pauseIsOver(run: ModelRun): boolean {
    return run.type === "PAUSED" && run.pauseTimeout !== null && run.pauseTimeout < this.#now;
  }

  #isFull(run: ModelRun): boolean {
    const { limit } = this.#case;
    const others = [...this.leases].filter(([id, lease]) => id !== run.lease && lease.endsAt > this.#now);
    return limit !== null && others.length >= limit;
  }

  #renew(id: number | null): void {
    const lease = id === null ? undefined : this.leases.get(id);
    const holder = this.runs.find((run) => run.lease === id);
    if (lease !== undefined && holder !== undefined && (lease.endsAt > this.#now || !this.#isFull(holder))) {
      lease.endsAt = this.#now + RENEWAL_MS;
    }
  }

  #force(index: number, run: ModelRun, next: Next): void {
    if (next.type === "CANCELLING" && this.#hasNoInfrastructure(run)) {
      this.#write(index, run, { type: "CANCELLED", lease: null });
    } else {
      const leaves = next.type === "SCHEDULED" && run.type !== "SCHEDULED";
      this.#write(index, run, { ...next, keys: run.keys, retryType: leaves ? leave(run.retryType) : run.retryType });
    }
  }

  #hasNoInfrastructure(run: ModelRun): boolean {
    return run.type === "SCHEDULED" || (run.type === "PAUSED" && run.reschedules);
  }

  #propose(index: number, run: ModelRun, next: Next): void {
    if (hasEnded(run)) {
      this.#proposeToEnded(index, run, next);
    } else if (run.type === "CANCELLING") {
      if (next.type === "CANCELLED") {
        this.#write(index, run, next);
      }
    } else if (next.type === "CANCELLING" && this.#hasNoInfrastructure(run)) {
      this.#write(index, run, { type: "CANCELLED", lease: null });
    } else if (run.type === "PAUSED") {
      this.#proposeToPaused(index, run, next);
    } else {
      this.#proposeToOpen(index, run, next);
    }
  }

  #proposeToEnded(index: number, run: ModelRun, next: Next): void {
    if (next.type === "SCHEDULED" && next.name !== "Late") {
      this.#write(index, run, { ...next, resuming: false, keys: [], retryType: "reschedule" });
    } else if (next.type === "RUNNING") {
      this.#write(index, run, { ...next, resuming: false, keys: [], retryType: null });
    } else if (next.type === "COMPLETED" || next.type === "FAILED" || next.type === "CANCELLED") {
      this.#write(index, run, next);
    }
  }

  #proposeToPaused(index: number, run: ModelRun, next: Next): void {
    if (next.type === "PENDING" || next.type === "PAUSED") {
      return;
    }
    if (next.type !== "CANCELLING" && this.#pauseIsOver(run)) {
      this.#write(index, run, { type: "FAILED", lease: null });
      return;
    }
    if (next.type === "SCHEDULED" && next.name === "Late") {
      return;
    }
    if (next.type === "SCHEDULED" && !run.reschedules) {
      this.#write(index, run, { ...next, resuming: false, keys: [], retryType: "reschedule" });
    } else {
      const retryType = next.type === "SCHEDULED" ? leave(run.retryType) : run.retryType;
      this.#write(index, run, { ...next, resuming: true, retryType });
    }
  }

  #proposeToOpen(index: number, run: ModelRun, next: Next): void {
    switch (next.type) {
      case "PENDING":
        this.#proposePending(index, run, next);
        return;
      case "RUNNING":
        this.#proposeRunning(index, run, next);
        return;
      case "SCHEDULED":
        if (next.name === "Late" && (run.type !== "SCHEDULED" || run.name === "Late")) {
          return;
        }
        this.#write(index, run, {
          ...next,
          retryType: run.type === "SCHEDULED" ? run.retryType : leave(run.retryType),
        });
        return;
      case "PAUSED":
        if (run.type === "RUNNING" && !next.keys?.some((key) => run.keys.includes(key))) {
          this.#write(index, run, { ...next, keys: [...run.keys, ...(next.keys ?? [])] });
        }
        return;
      case "FAILED":
        this.#proposeFailed(index, run, next);
        return;
      default:
        this.#write(index, run, next);
    }
  }

  #proposePending(index: number, run: ModelRun, next: Next): void {
    if (run.type === "PENDING") {
      if (next.name !== run.name && next.name !== "Pending") {
        this.#write(index, run, { ...next, scheduledAt: run.scheduledAt });
      }
      return;
    }
    if (run.type === "RUNNING" || waitsInProcess(run)) {
      return;
    }
    if (this.#isFull(run)) {
      const waiting: Next = {
        type: "SCHEDULED",
        name: "AwaitingConcurrencySlot",
        scheduledAt: this.#now + SLOT_WAIT_MS,
      };
      this.#write(
        index,
        run,
        this.#case.strategy === "ENQUEUE" ? { ...waiting, lease: null } : { type: "CANCELLED", lease: null },
      );
      return;
    }
    const waitedForSlot = run.name === "AwaitingConcurrencySlot" && (run.scheduledAt ?? 0) > this.#now;
    const scheduledAt = waitedForSlot ? run.expectedStart : run.scheduledAt;
    this.#write(index, run, {
      ...next,
      scheduledAt,
      ...(this.#case.limit !== null && { lease: this.#take(index, null) }),
    });
  }

  #proposeRunning(index: number, run: ModelRun, next: Next): void {
    const startsUp = run.type === "PENDING" && this.#case.limit !== null && run.lease !== null;
    const isHeld = (this.leases.get(run.lease ?? 0)?.endsAt ?? 0) > this.#now;
    if (startsUp && !isHeld && this.#isFull(run)) {
      this.#write(index, run, { type: "CANCELLED", lease: null });
      return;
    }
    if (run.type !== "RUNNING" && Math.round(((run.scheduledAt ?? 0) - this.#now) / 1000) > 0) {
      return;
    }
    this.#write(index, run, { ...next, ...(startsUp && { lease: this.#take(index, run.lease) }) });
  }

  #proposeFailed(index: number, run: ModelRun, next: Next): void {
    const { retries, retryDelaySeconds } = this.#case;
    if (run.type !== "RUNNING") {
      this.#write(index, run, next);
    } else if (retries === null || run.runCount > retries) {
      this.#write(index, run, { ...next, retryType: null });
    } else {
      const scheduledAt = this.#now + (retryDelaySeconds ?? 0) * 1000;
      const policy = { resuming: false, keys: [], retryType: "in_process" as const };
      this.#write(index, run, { type: "SCHEDULED", name: "AwaitingRetry", scheduledAt, ...policy });
    }
  }

  #take(run: number, held: number | null): number {
    const endsAt = this.#now + this.#case.graceSeconds * 1000;
    const id = held !== null && this.leases.has(held) ? held : ++this.#leaseCount;
    this.leases.set(id, { run, endsAt });
    return id;
  }

  #write(index: number, before: ModelRun, next: Next): void {
    const after = {
      ...before,
      name: defaultName(next.type),
      scheduledAt: null,
      reschedules: false,
      pauseTimeout: null,
      ...next,
    };
    this.#free(index, before, after);
    const countsUp = after.type === "RUNNING" && !after.resuming;
    const settles = after.type === "RUNNING" || hasEnded(after);
    this.runs[index] = {
      ...after,
      since: this.#now,
      runCount: before.runCount + (countsUp ? 1 : 0),
      resuming: settles ? false : after.resuming,
      states: before.states + 1,
    };
  }

  #free(index: number, before: ModelRun, after: ModelRun): void {
    if (!isLive(before) || isLive(after)) {
      return;
    }
    if (before.lease !== null) {
      this.leases.delete(before.lease);
    }
    if (after.type === "CRASHED" || after.type === "CANCELLED") {
      for (const [id, lease] of this.leases) {
        if (lease.run === index) {
          this.leases.delete(id);
        }
      }
    }
  }
}

function leave(retryType: ModelRun["retryType"]): ModelRun["retryType"] {
  return retryType === "in_process" ? "reschedule" : retryType;
}
