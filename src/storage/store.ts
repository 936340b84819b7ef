import type { Kysely } from "kysely";
import type { Clock } from "../shared/clock.ts";
import type { Database } from "./database-types.ts";
import { FlowRunStore } from "./flow-runs.ts";
import { FlowStore } from "./flows.ts";

/** The nouns over one connection. */
export function buildNouns(db: Kysely<Database>, clock: Clock) {
  return {
    flows: new FlowStore(db, clock),
    flowRuns: new FlowRunStore(db, clock),
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
}

/**
 * The nouns for reading: what is committed, and nothing else (the connection refuses writes), so that an answer never
 * shows what a crash could take back. Changes go through `transaction`.
 */
export interface Store extends Nouns {
  /**
   * Runs `fn` alone on the writing connection, and resolves when what it wrote is on disk; a throw undoes it. Waiting
   * transactions share one commit, so `fn` awaits nothing but `tx`.
   */
  transaction<T>(fn: (tx: Tx) => Promise<T>): Promise<T>;
  /** Whether the database answers. */
  ping(): Promise<boolean>;
  /** Waits for running transactions, then closes. */
  close(): Promise<void>;
}
