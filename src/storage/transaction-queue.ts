import type { Outbox } from "./postgres-messages.ts";
import type { Announcement, Tx } from "./store.ts";
import type { WakeUp } from "./wake-ups.ts";

/** Bounds how long the first of a batch waits for the last. */
const MAX_BATCH = 64;

/**
 * The connection that writes. Called in this order: begin, (keep or undo) per transaction, settle, commit; or rollback.
 * One that asks ahead may begin the next batch while it commits.
 */
export interface WritingConnection {
  /** Whether it keeps answers for the transactions of a batch; else what is asked ahead would be asked twice. */
  readonly asksAhead: boolean;
  /** Opens the transaction of a batch, and the savepoint of the first in it. */
  begin(): Promise<void>;
  /**
   * Keeps what the one that ran wrote, for the commit, and opens the savepoint of the next. `undone` is called when the
   * database turns out not to take it, before `settle` resolves.
   */
  keep(undone: (error: unknown) => void): void;
  /** Undoes what the one that ran wrote. */
  undo(): void;
  /** Writes what it still holds, and answers whether that was anything. */
  settle(): Promise<boolean>;
  /** Resolves when the batch is on disk. */
  commit(outbox: Outbox): Promise<void>;
  /** Does not throw. */
  rollback(): Promise<void>;
  toStorageError(error: unknown): unknown;
}

type Effects = Pick<Tx, "afterCommit" | "wakeUps" | "announce">;

/** What one transaction leaves to be done after the commit. */
interface Left {
  afterCommit: (() => void)[];
  wakeUps: Map<string, WakeUp>;
  /** To other planes. */
  announced: Announcement[];
  /** To this one. */
  announcedHere: Announcement[];
}

/** Who of this plane hears what was committed. Neither throws. */
interface Tell {
  wake(wakeUps: Iterable<WakeUp>): void;
  announce(announced: readonly Announcement[]): void;
}

interface Waiting<T> {
  /** Runs the transaction's code; the answer tells its caller of the success, and is called after the commit. */
  attempt(tx: T): Promise<() => void>;
  fail(error: unknown): void;
  askAhead: ((tx: T) => Promise<unknown>) | undefined;
}

/** A batch whose transaction is being opened. */
interface Begun<T> {
  batch: Waiting<T>[];
  beginning: Promise<void>;
}

/**
 * Group commit. Transactions that wait at the same moment run one after the other, each in its own savepoint, and share
 * one commit, and so one wait for the disk. A caller hears of its success only after that commit, and a failing one
 * undoes only itself.
 */
export class TransactionQueue<T> {
  readonly #connection: WritingConnection;
  readonly #tx: T;
  readonly #tell: Tell;
  #waiting: Waiting<T>[] = [];
  #draining: Promise<void> | undefined;
  #left = leaveNothing();

  constructor(connection: WritingConnection, buildTx: (effects: Effects) => T, tell: Tell) {
    this.#connection = connection;
    this.#tell = tell;
    this.#tx = buildTx({
      afterCommit: (callback) => {
        this.#left.afterCommit.push(callback);
      },
      wakeUps: { notify: (channel, key) => this.#left.wakeUps.set(`${channel} ${key}`, { channel, key }) },
      announce: (kind, ids, to) => {
        this.#left.announced.push({ kind, ids });
        if (to === "every plane") {
          this.#left.announcedHere.push({ kind, ids });
        }
      },
    });
  }

  run<Result>(fn: (tx: T) => Promise<Result>, askAhead?: (tx: T) => Promise<unknown>): Promise<Result> {
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    const attempt = async (tx: T) => {
      const value = await fn(tx);
      return () => resolve(value);
    };
    this.#waiting.push({ attempt, fail: reject, askAhead });
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
    let begun: Begun<T> | undefined;
    while (begun !== undefined || this.#waiting.length > 0) {
      begun = await this.#runBatch(begun ?? this.#begin());
    }
    this.#draining = undefined;
  }

  #begin(): Begun<T> {
    const batch = this.#waiting.slice(0, MAX_BATCH);
    this.#waiting = this.#waiting.slice(MAX_BATCH);
    return this.#beginWith(batch);
  }

  #beginWith(batch: Waiting<T>[]): Begun<T> {
    const beginning = this.#connection.begin().then(() => this.#askAhead(batch));
    beginning.catch(() => undefined); // it may be looked at after the commit of the batch before
    return { batch, beginning };
  }

  /** Answers the batch that was begun while this one was committed. */
  async #runBatch({ batch, beginning }: Begun<T>): Promise<Begun<T> | undefined> {
    const kept = new Set<Left>();
    let next: Begun<T> | undefined;
    try {
      await beginning;
      for (const waiting of batch) {
        await this.#runOne(waiting, kept);
      }
      await this.#connection.settle();
      const committed = this.#connection.commit({
        wakeUps: [...kept].flatMap(({ wakeUps }) => [...wakeUps.values()]),
        announced: [...kept].flatMap(({ announced }) => announced),
      });
      // What the next ones ask goes with the commit, and is answered after it.
      next = this.#connection.asksAhead && this.#waiting.length > 0 ? this.#begin() : undefined;
      await committed;
    } catch (error) {
      // A promise that was already rejected ignores the second rejection.
      const failure = this.#connection.toStorageError(error);
      for (const waiting of batch) {
        waiting.fail(failure);
      }
      await next?.beginning.catch(() => undefined);
      await this.#connection.rollback();
      return next && this.#beginWith(next.batch);
    }
    for (const left of kept) {
      this.#finish(left);
    }
    return next;
  }

  #finish({ afterCommit, wakeUps, announcedHere }: Left): void {
    for (const callback of afterCommit) {
      callback();
    }
    this.#tell.wake(wakeUps.values());
    if (announcedHere.length > 0) {
      this.#tell.announce(announcedHere);
    }
  }

  /** Waits for nothing: who asks again is given the answer, or the error. */
  #askAhead(batch: readonly Waiting<T>[]): void {
    if (this.#connection.asksAhead) {
      for (const { askAhead } of batch) {
        askAhead?.(this.#tx).catch(() => undefined);
      }
    }
  }

  /** Throws only when the savepoint itself fails. */
  async #runOne(waiting: Waiting<T>, kept: Set<Left>): Promise<void> {
    const left = leaveNothing();
    this.#left = left;
    try {
      const succeed = await waiting.attempt(this.#tx);
      left.afterCommit.unshift(succeed);
    } catch (error) {
      waiting.fail(this.#connection.toStorageError(error));
      this.#connection.undo();
      return;
    }
    kept.add(left);
    this.#connection.keep((error) => {
      kept.delete(left);
      waiting.fail(this.#connection.toStorageError(error));
    });
  }
}

function leaveNothing(): Left {
  return { afterCommit: [], wakeUps: new Map(), announced: [], announcedHere: [] };
}
