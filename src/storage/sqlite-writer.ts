import type { DatabaseSync } from "node:sqlite";
import { TransientError } from "../shared/errors.ts";
import { toStorageError } from "./sqlite.ts";
import type { WritingConnection } from "./transaction-queue.ts";

/** The one connection that writes to the file. */
export class SqliteWriter implements WritingConnection {
  readonly asksAhead = false;
  readonly #connection: DatabaseSync;
  readonly #statements: ReturnType<typeof prepareStatements>;

  constructor(connection: DatabaseSync) {
    this.#connection = connection;
    this.#statements = prepareStatements(connection);
  }

  async begin(): Promise<void> {
    this.#statements.begin.run();
    this.#statements.savepoint.run();
  }

  keep(): void {
    this.#statements.release.run();
    this.#statements.savepoint.run();
  }

  undo(): void {
    if (!this.#connection.isTransaction) {
      // SQLite has undone the whole batch by itself, as it does when the disk is full.
      throw new TransientError("SERVICE_UNAVAILABLE", "The database undid what was written at the same time.");
    }
    this.#statements.undo.run();
  }

  /** Nothing is held. */
  async settle(): Promise<boolean> {
    return false;
  }

  async commit(): Promise<void> {
    this.#statements.commit.run();
  }

  async rollback(): Promise<void> {
    if (this.#connection.isTransaction) {
      this.#statements.rollback.run();
    }
  }

  toStorageError(error: unknown): unknown {
    return toStorageError(error);
  }
}

function prepareStatements(connection: DatabaseSync) {
  return {
    begin: connection.prepare("begin immediate"),
    commit: connection.prepare("commit"),
    rollback: connection.prepare("rollback"),
    savepoint: connection.prepare("savepoint one"),
    undo: connection.prepare("rollback to one"),
    release: connection.prepare("release one"),
  };
}
