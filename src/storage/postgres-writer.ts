import { Socket } from "node:net";
import { performance } from "node:perf_hooks";
import type { CompiledQuery } from "kysely";
import type { Client, QueryResult } from "pg";
import { TransientError } from "../shared/errors.ts";
import { BatchAnswers } from "./batch-answers.ts";
import { connect } from "./postgres.ts";
import { findCode, toPostgresError } from "./postgres-errors.ts";
import { buildMessages, CHANNEL, type Outbox } from "./postgres-messages.ts";
import { StatementNames } from "./statement-names.ts";
import type { WritingConnection } from "./transaction-queue.ts";

/** Any number, the same in all planes; the advisory locks of others on this database are unlikely to have it. */
const WRITER_LOCK = 7_046_029_254;
const READ_ONLY = "25006";
const FIRST_BACK_OFF_MS = 50;
const MAX_BACK_OFF_MS = 2000;

/**
 * The one connection of this plane that writes. All planes take turns, a batch of transactions each: an advisory lock,
 * held until the commit, makes what one reads and then writes as safe as on SQLite, and no transaction has to be tried
 * again. What needs no answer before the next statement is sent without waiting for one; the commit waits for all.
 *
 * A lost connection undoes the batch and fails all its transactions; the next batch connects again.
 */
export class PostgresWriter implements WritingConnection {
  readonly asksAhead = true;
  readonly #url: string;
  readonly #planeId: string;
  #client: Client | undefined;
  #socket = new Socket();
  #isGathering = false;
  #names = new StatementNames();
  /** The connection of the batch, lost or not: what is left of a batch must not run on another one. */
  #batch: Client | undefined;
  #unanswered: Promise<unknown>[] = [];
  readonly #answers = new BatchAnswers((statement) => this.#ask(statement));
  #failures = 0;
  #retryAtMs = 0;

  constructor(url: string, planeId: string) {
    this.#url = url;
    this.#planeId = planeId;
  }

  async connect(): Promise<Client> {
    if (performance.now() < this.#retryAtMs) {
      throw new TransientError("SERVICE_UNAVAILABLE", "The database is away.");
    }
    try {
      const socket = new Socket();
      const client = await connect(this.#url, socket);
      this.#socket = socket;
      this.#failures = 0;
      this.#names = new StatementNames();
      this.#client = client;
      client.once("end", () => {
        this.#client = this.#client === client ? undefined : this.#client;
      });
      return client;
    } catch (error) {
      const backOffMs = Math.min(FIRST_BACK_OFF_MS * 2 ** this.#failures, MAX_BACK_OFF_MS);
      this.#failures += 1;
      this.#retryAtMs = performance.now() + backOffMs;
      throw error;
    }
  }

  async begin(): Promise<void> {
    this.#batch = this.#client ?? (await this.connect());
    this.#unanswered = [];
    this.#answers.clear();
    this.#send(`begin; select pg_advisory_xact_lock(${WRITER_LOCK}); savepoint one`);
  }

  run(statement: CompiledQuery): Promise<QueryResult> {
    return this.#answers.run(statement);
  }

  async #ask({ sql, parameters }: Pick<CompiledQuery, "sql" | "parameters">): Promise<QueryResult> {
    if (this.#batch === undefined) {
      throw new Error("a statement outside a transaction");
    }
    this.#gather();
    return await this.#batch.query(this.#names.buildQuery(sql, parameters));
  }

  keep(): void {
    this.#send("release one; savepoint one");
  }

  undo(): void {
    this.#answers.clear();
    this.#send("rollback to one");
  }

  async commit(outbox: Outbox): Promise<void> {
    const notify = buildMessages(outbox, this.#planeId)
      .map((message) => `select pg_notify('${CHANNEL}', '${message.replaceAll("'", "''")}'); `)
      .join("");
    this.#send(`${notify}commit`);
    const answer = (await Promise.all(this.#unanswered)).at(-1);
    // A transaction that cannot be committed is rolled back, and that is no error.
    if (!Array.isArray(answer) ? !isCommit(answer) : !isCommit(answer.at(-1))) {
      throw new Error("the database rolled the transaction back");
    }
    this.#batch = undefined;
    this.#answers.clear();
  }

  async rollback(): Promise<void> {
    const client = this.#batch;
    this.#batch = undefined;
    this.#answers.clear();
    try {
      await client?.query("rollback");
    } catch {
      await client?.end().catch(() => undefined);
    }
  }

  toStorageError(error: unknown): unknown {
    if (findCode(error) === READ_ONLY) {
      // The server is a standby by now: the next batch connects again, perhaps to its successor.
      this.#client?.end().catch(() => undefined);
      return new TransientError("SERVICE_UNAVAILABLE", "The database takes no changes.", { cause: error });
    }
    return toPostgresError(error);
  }

  async close(): Promise<void> {
    await this.#client?.end();
  }

  /** What is sent before the next answer can be read goes in one piece: each piece costs a fifth of a transaction. */
  #gather(): void {
    if (!this.#isGathering) {
      const socket = this.#socket;
      this.#isGathering = true;
      socket.cork();
      process.nextTick(() => {
        this.#isGathering = false;
        socket.uncork();
      });
    }
  }

  #send(statement: string): void {
    this.#gather();
    const answer = this.#batch?.query(statement);
    if (answer !== undefined) {
      answer.catch(() => undefined); // it is looked at when the batch is committed
      this.#unanswered.push(answer);
    }
  }
}

function isCommit(answer: unknown): boolean {
  return typeof answer === "object" && answer !== null && "command" in answer && answer.command === "COMMIT";
}
