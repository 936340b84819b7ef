import type { DatabaseSync } from "node:sqlite";
import { toStorageError } from "./sqlite.ts";
import type { Tx } from "./store.ts";
import type { WakeUp } from "./wake-ups.ts";

/** Bounds how long the first of a batch waits for the last. */
const MAX_BATCH = 64;

type Effects = Pick<Tx, "afterCommit" | "wakeUps">;

interface Waiting<T> {
  /** Runs the transaction's code; the answer tells its caller of the success, and is called after the commit. */
  attempt(tx: T): Promise<() => void>;
  fail(error: unknown): void;
}

/**
 * Group commit. Transactions that wait at the same moment run one after the other, each in its own savepoint, and share
 * one commit, and so one wait for the disk. A caller hears of its success only after that commit, and a failing one
 * undoes only itself.
 */
export class TransactionQueue<T> {
  readonly #statements: ReturnType<typeof prepareStatements>;
  readonly #connection: DatabaseSync;
  readonly #tx: T;
  #waiting: Waiting<T>[] = [];
  #draining: Promise<void> | undefined;
  #afterCommit: (() => void)[] = [];
  #wakeUps = new Map<string, WakeUp>();
  readonly #wake: (wakeUps: Iterable<WakeUp>) => void;

  constructor(connection: DatabaseSync, buildTx: (effects: Effects) => T, wake: (wakeUps: Iterable<WakeUp>) => void) {
    this.#connection = connection;
    this.#statements = prepareStatements(connection);
    this.#wake = wake;
    this.#tx = buildTx({
      afterCommit: (callback) => {
        this.#afterCommit.push(callback);
      },
      wakeUps: { notify: (channel, key) => this.#wakeUps.set(`${channel} ${key}`, { channel, key }) },
    });
  }

  run<Result>(fn: (tx: T) => Promise<Result>): Promise<Result> {
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    const attempt = async (tx: T) => {
      const value = await fn(tx);
      return () => resolve(value);
    };
    this.#waiting.push({ attempt, fail: reject });
    this.#draining ??= this.#drain();
    return promise;
  }

  /** Resolves when nothing is waiting or running. */
  async idle(): Promise<void> {
    await this.#draining;
  }

  async #drain(): Promise<void> {
    // One turn of the event loop: requests whose bytes are already here join this batch.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.slice(0, MAX_BATCH);
      this.#waiting = this.#waiting.slice(MAX_BATCH);
      await this.#runBatch(batch);
    }
    this.#draining = undefined;
  }

  async #runBatch(batch: Waiting<T>[]): Promise<void> {
    const afterCommit: (() => void)[] = [];
    try {
      this.#statements.begin.run();
      for (const waiting of batch) {
        afterCommit.push(...(await this.#runOne(waiting)));
      }
      this.#statements.commit.run();
    } catch (error) {
      // A promise that was already rejected ignores the second rejection.
      const failure = toStorageError(error);
      for (const waiting of batch) {
        waiting.fail(failure);
      }
      if (this.#connection.isTransaction) {
        this.#statements.rollback.run();
      }
      return;
    }
    for (const callback of afterCommit) {
      callback();
    }
  }

  /** Answers what is to be called after the commit. Throws only when the savepoint itself fails. */
  async #runOne(waiting: Waiting<T>): Promise<(() => void)[]> {
    this.#afterCommit = [];
    this.#wakeUps = new Map();
    this.#statements.savepoint.run();
    try {
      const succeed = await waiting.attempt(this.#tx);
      const wakeUps = this.#wakeUps;
      return [succeed, ...this.#afterCommit, () => this.#wake(wakeUps.values())];
    } catch (error) {
      waiting.fail(toStorageError(error));
      this.#statements.rollbackToSavepoint.run();
      return [];
    } finally {
      if (this.#connection.isTransaction) {
        this.#statements.release.run();
      }
    }
  }
}

function prepareStatements(connection: DatabaseSync) {
  return {
    begin: connection.prepare("begin immediate"),
    commit: connection.prepare("commit"),
    rollback: connection.prepare("rollback"),
    savepoint: connection.prepare("savepoint one"),
    rollbackToSavepoint: connection.prepare("rollback to one"),
    release: connection.prepare("release one"),
  };
}
