import { Socket } from "node:net";
import { performance } from "node:perf_hooks";
import type { CompiledQuery } from "kysely";
import type { Client, QueryResult } from "pg";
import { TransientError } from "../shared/errors.ts";
import { BatchAnswers, isRepeatable } from "./batch-answers.ts";
import { type HeldWrite, listParts, WriteMerger } from "./held-writes.ts";
import { connect } from "./postgres.ts";
import { findCode, toPostgresError } from "./postgres-errors.ts";
import { buildMessages, CHANNEL, type Outbox } from "./postgres-messages.ts";
import { StatementNames } from "./statement-names.ts";
import type { WritingConnection } from "./transaction-queue.ts";

const NO_ROWS: QueryResult = { rows: [], rowCount: 0, command: "", oid: 0, fields: [] };
const NEXT_SAVEPOINT = "release one; savepoint one";
const UNDO = "rollback to one";

/** What a transaction writes and nobody has asked to see, and who is told when the database does not take it. */
interface Held {
  writes: readonly HeldWrite[];
  undone(error: unknown): void;
}

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
 * Rows that nobody asks for are held until the batch is to be committed, and are written together: such transactions
 * need no savepoint and no way of their own to the database. A statement that could see them has them written first.
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
  #held: Held[] = [];
  /** Of the transaction that runs. */
  #holding: HeldWrite[] = [];
  /** Whether the one that runs has sent something: then the savepoint is its own. */
  #isOpen = false;
  #writing: Promise<void> | undefined;
  readonly #merger = new WriteMerger();
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
    this.#unanswered = [];
    this.#held = [];
    this.#holding = [];
    this.#isOpen = false;
    this.#answers.clear();
    this.#batch = this.#client ?? (await this.connect());
    this.#send(`begin; select pg_advisory_xact_lock(${WRITER_LOCK}); savepoint one`);
  }

  run(statement: CompiledQuery): Promise<QueryResult> {
    return this.#answers.run(statement);
  }

  async #ask(statement: Pick<CompiledQuery, "query" | "sql" | "parameters">): Promise<QueryResult> {
    const parts = this.#isOpen ? undefined : listParts(statement);
    if (parts !== undefined) {
      this.#holding.push({ parts, parameters: statement.parameters });
      return NO_ROWS;
    }
    if (this.#held.length > 0 || this.#holding.length > 0 || this.#writing !== undefined) {
      this.#writing ??= this.#writeAll();
      await this.#writing;
    }
    this.#isOpen ||= !isRepeatable(statement);
    return await this.#query(statement);
  }

  async #query({ sql, parameters }: Pick<CompiledQuery, "sql" | "parameters">): Promise<QueryResult> {
    if (this.#batch === undefined) {
      throw new Error("a statement outside a transaction");
    }
    this.#gather();
    return await this.#batch.query(this.#names.buildQuery(sql, parameters));
  }

  /** Throws what the transaction that runs is to blame for. */
  async #writeAll(): Promise<void> {
    try {
      if (await this.settle()) {
        this.#send(NEXT_SAVEPOINT);
      }
      const own = this.#holding;
      this.#holding = [];
      this.#isOpen = true;
      await this.#write(own);
    } finally {
      this.#writing = undefined;
    }
  }

  async #write(writes: readonly HeldWrite[]): Promise<void> {
    await Promise.all(this.#merger.merge(writes).map((statement) => this.#query(statement)));
  }

  keep(undone: (error: unknown) => void): void {
    if (this.#isOpen) {
      this.#send(NEXT_SAVEPOINT);
    } else if (this.#holding.length > 0) {
      this.#held.push({ writes: this.#holding, undone });
    }
    this.#isOpen = false;
    this.#holding = [];
  }

  undo(): void {
    this.#isOpen = false;
    this.#holding = [];
    this.#answers.clear();
    this.#send(UNDO);
  }

  async settle(): Promise<boolean> {
    const held = this.#held;
    this.#held = [];
    try {
      await this.#write(held.flatMap(({ writes }) => writes));
    } catch {
      await this.#writeEach(held);
    }
    return held.length > 0;
  }

  /** Finds whose rows the database refuses. */
  async #writeEach(held: readonly Held[]): Promise<void> {
    this.#send(UNDO);
    for (const { writes, undone } of held) {
      try {
        await this.#write(writes);
        this.#send(NEXT_SAVEPOINT);
      } catch (error) {
        this.#answers.clear();
        this.#send(UNDO);
        undone(error);
      }
    }
  }

  async commit(outbox: Outbox): Promise<void> {
    const notify = buildMessages(outbox, this.#planeId)
      .map((message) => `select pg_notify('${CHANNEL}', '${message.replaceAll("'", "''")}'); `)
      .join("");
    this.#send(`${notify}commit`);
    const unanswered = this.#unanswered;
    const answer = (await Promise.all(unanswered)).at(-1);
    // A transaction that cannot be committed is rolled back, and that is no error.
    if (!Array.isArray(answer) ? !isCommit(answer) : !isCommit(answer.at(-1))) {
      throw new Error("the database rolled the transaction back");
    }
    if (this.#unanswered === unanswered) {
      this.#batch = undefined; // no other batch has begun meanwhile
    }
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
