import type { DatabaseSync } from "node:sqlite";
import { toStorageError } from "./sqlite.ts";

/** Bounds how long the first of a batch waits for the last. */
const MAX_BATCH = 64;

interface Waiting<Tx> {
  /** Runs the transaction's code; the answer tells its caller of the success, and is called after the commit. */
  attempt(tx: Tx): Promise<() => void>;
  fail(error: unknown): void;
}

/**
 * Group commit. Transactions that wait at the same moment run one after the other, each in its own savepoint, and share
 * one commit, and so one wait for the disk. A caller hears of its success only after that commit, and a failing one
 * undoes only itself.
 */
export class TransactionQueue<Tx> {
  readonly #statements: ReturnType<typeof prepareStatements>;
  readonly #connection: DatabaseSync;
  readonly #tx: Tx;
  #waiting: Waiting<Tx>[] = [];
  #draining: Promise<void> | undefined;
  #afterCommit: (() => void)[] = [];

  constructor(connection: DatabaseSync, buildTx: (afterCommit: (callback: () => void) => void) => Tx) {
    this.#connection = connection;
    this.#statements = prepareStatements(connection);
    this.#tx = buildTx((callback) => {
      this.#afterCommit.push(callback);
    });
  }

  run<T>(fn: (tx: Tx) => Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const attempt = async (tx: Tx) => {
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

  async #runBatch(batch: Waiting<Tx>[]): Promise<void> {
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
  async #runOne(waiting: Waiting<Tx>): Promise<(() => void)[]> {
    this.#afterCommit = [];
    this.#statements.savepoint.run();
    try {
      const succeed = await waiting.attempt(this.#tx);
      return [succeed, ...this.#afterCommit];
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
