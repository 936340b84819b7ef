import type { Kysely } from "kysely";
import type { Clock } from "../shared/clock.ts";
import { ArtifactStore } from "./artifacts.ts";
import { AutomationStore } from "./automations.ts";
import { BlockStore } from "./blocks.ts";
import { ConcurrencyLimitStore } from "./concurrency-limits.ts";
import { ConfigurationStore } from "./configuration.ts";
import type { Database } from "./database-types.ts";
import { DeploymentStore } from "./deployments.ts";
import { EventStore } from "./events.ts";
import { FlowRunClaimStore } from "./flow-run-claims.ts";
import { FlowRunInputStore } from "./flow-run-inputs.ts";
import { FlowRunStore } from "./flow-runs.ts";
import { FlowStore } from "./flows.ts";
import { LeaseStore } from "./leases.ts";
import { LogStore } from "./logs.ts";
import { OverdueRunStore } from "./overdue-runs.ts";
import { ReleaseStore } from "./releases.ts";
import { RetentionStore } from "./retention.ts";
import { ScheduledFlowRunStore } from "./scheduled-flow-runs.ts";
import { SituationStore } from "./situations.ts";
import { StatusStore } from "./statuses.ts";
import { TaskRunStore } from "./task-runs.ts";
import { TransitionStore } from "./transitions.ts";
import { VariableStore } from "./variables.ts";
import { WaitingRunStore } from "./waiting-runs.ts";
import type { WakeUpChannel, WakeUps } from "./wake-ups.ts";
import { WorkPoolStore } from "./work-pools.ts";
import { WorkQueueStore } from "./work-queues.ts";
import { WorkerStore } from "./workers.ts";

/** The nouns over one connection. */
export function buildNouns(db: Kysely<Database>, clock: Clock) {
  return {
    flows: new FlowStore(db, clock),
    flowRuns: new FlowRunStore(db, clock),
    scheduledFlowRuns: new ScheduledFlowRunStore(db, clock),
    flowRunInputs: new FlowRunInputStore(db),
    flowRunClaims: new FlowRunClaimStore(db),
    deployments: new DeploymentStore(db, clock),
    waitingRuns: new WaitingRunStore(db, clock),
    workPools: new WorkPoolStore(db, clock),
    workQueues: new WorkQueueStore(db, clock),
    workers: new WorkerStore(db, clock),
    logs: new LogStore(db),
    concurrencyLimits: new ConcurrencyLimitStore(db, clock),
    artifacts: new ArtifactStore(db),
    configuration: new ConfigurationStore(db),
    transitions: new TransitionStore(db),
    leases: new LeaseStore(db),
    events: new EventStore(db),
    taskRuns: new TaskRunStore(db, clock),
    automations: new AutomationStore(db),
    variables: new VariableStore(db, clock),
    blocks: new BlockStore(db),
    releases: new ReleaseStore(db),
    overdueRuns: new OverdueRunStore(db),
    statuses: new StatusStore(db),
    retention: new RetentionStore(db),
    situations: new SituationStore(db, clock),
  };
}

export type Nouns = ReturnType<typeof buildNouns>;

/** The nouns inside a transaction. Code that changes something is given this and nothing else. */
export interface Tx extends Nouns {
  /**
   * Calls back, in order, once the transaction is on disk; not at all when it is undone. For telling sockets.
   * The callback must not throw.
   */
  afterCommit(callback: () => void): void;
  /**
   * Wakes who waits for this, on every plane of the database, once the transaction is on disk; not at all when it is
   * undone. The same wake-up twice in a transaction is sent once.
   */
  wakeUps: { notify(channel: WakeUpChannel, key: string): void };
  /**
   * Tells planes, once the transaction is on disk, that rows are there which sockets may wait for: the other ones, when
   * this one shows them its sockets itself, or every one.
   */
  announce(kind: Announcement["kind"], ids: readonly string[], to: "other planes" | "every plane"): void;
}

/** Rows that a plane has written. */
export interface Announcement {
  kind: "events" | "logs";
  ids: readonly string[];
}

/**
 * The nouns for reading: what is committed, and nothing else (the connection refuses writes), so that an answer never
 * shows what a crash could take back. Changes go through `transaction`.
 */
export interface Store extends Nouns {
  /**
   * Runs `fn` alone on the writing connection, and resolves when what it wrote is on disk; a throw undoes it. Waiting
   * transactions share one commit, so `fn` awaits nothing but `tx`.
   *
   * `askAhead` asks what `fn` asks first: those of all transactions that share a commit go to PostgreSQL together.
   */
  transaction<T>(fn: (tx: Tx) => Promise<T>, askAhead?: (nouns: Nouns) => Promise<unknown>): Promise<T>;
  /** Hints that something may be there for who waits; see `WakeUps`. */
  wakeUps: Pick<WakeUps, "subscribe">;
  /** The one listener to what other planes announce, and what this one announces to every plane. It must not throw. */
  onAnnounced(listen: (announced: readonly Announcement[]) => void): void;
  /** Whether the database answers. */
  ping(): Promise<boolean>;
  /** Waits for running transactions, then closes. */
  close(): Promise<void>;
}
