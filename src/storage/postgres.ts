import { Socket } from "node:net";
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Driver,
  Kysely,
  PostgresAdapter,
  PostgresDialect,
  PostgresIntrospector,
  type QueryResult,
} from "kysely";
import { Client, type ClientConfig, type QueryResult as PgResult, Pool, type PoolClient, types } from "pg";
import { TransientError } from "../shared/errors.ts";
import type { Database } from "./database-types.ts";
import { createPostgresCompiler, withoutNul } from "./dialect.ts";
import { toPostgresError } from "./postgres-errors.ts";
import { StatementNames } from "./statement-names.ts";

const CONNECT_TIMEOUT_MS = 5000;
/** No statement of ours takes longer, and one that does must not hold up all others. */
const STATEMENT_TIMEOUT_MS = 30_000;
const MIGRATION_TIMEOUT_MS = 3_600_000;
/** Later than the database's own limit: it only ends the wait for a database that says nothing any more. */
const ANSWER_TIMEOUT_MS = 35_000;
/** A plane that hangs in the middle of a transaction holds up all planes no longer than this. */
const IDLE_IN_TRANSACTION_MS = 10_000;
/** The database notices within 25 s that the machine of a plane is gone, and frees what it held. */
const SESSION = `set tcp_keepalives_idle = 10; set tcp_keepalives_interval = 5; set tcp_keepalives_count = 3;
  set client_min_messages = warning; set standard_conforming_strings = on`;
/** Reads at the same time; each is a process of the database. */
const MAX_READERS = 5;

/** `int8` and `numeric` are numbers here: no count of ours comes near 2^53. */
const NUMBERS: ReadonlySet<number> = new Set([types.builtins.INT8, types.builtins.NUMERIC]);

export function buildClientConfig(url: string): ClientConfig {
  return {
    // Prefect's URLs name SQLAlchemy's driver too.
    connectionString: url.replace(/^postgres(ql)?\+\w+:/i, "postgresql:"),
    fallback_application_name: "flowyard",
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    query_timeout: ANSWER_TIMEOUT_MS,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
    keepAlive: true,
    types: { getTypeParser },
  };
}

function getTypeParser(oid: number, format?: "text" | "binary") {
  return NUMBERS.has(oid) && format !== "binary" ? Number : types.getTypeParser(oid, "text");
}

/**
 * One connection on which statements may be sent before the answer to the one before is there. It says `end` when it is
 * lost. The socket is for who sends much. Throws what `toPostgresError` makes of it.
 */
export async function connect(url: string, socket = new Socket()): Promise<Client> {
  const client = new Client({ ...buildClientConfig(url), pipeline: true, stream: () => socket });
  client.on("error", () => undefined); // each statement that was under way has it too
  try {
    await client.connect();
    await client.query(SESSION);
    return client;
  } catch (error) {
    await client.end().catch(() => undefined);
    throw toPostgresError(error);
  }
}

/** Where it is, without the password. */
export function describeLocation(url: string): string {
  const { host, port, user, database } = new Client(buildClientConfig(url));
  const at = host.startsWith("/") ? "" : `${host}:${port}`;
  const socket = host.startsWith("/") ? `?host=${host}${port === DEFAULT_PORT ? "" : `&port=${port}`}` : "";
  return `postgresql://${user ?? ""}@${at}/${database ?? ""}${socket}`;
}

const DEFAULT_PORT = 5432;

/** Connections that only read, made as they are needed. One that is lost is replaced; a question on it fails. */
export function createReaders(url: string): Pool {
  const pool = new Pool({
    ...buildClientConfig(url),
    max: MAX_READERS,
    onConnect: async (client) => {
      await client.query(`${SESSION}; set default_transaction_read_only = on`);
    },
  });
  outliveLosses(pool);
  return pool;
}

/** One connection for the migrations, which may take their time. Sockets of clients that could not log in stay open. */
export function createMigrator(url: string, stream = () => new Socket()): Pool {
  const pool = new Pool({
    ...buildClientConfig(url),
    stream,
    max: 1,
    statement_timeout: MIGRATION_TIMEOUT_MS,
    query_timeout: MIGRATION_TIMEOUT_MS,
  });
  outliveLosses(pool);
  return pool;
}

/** Whoever has a connection is told by the answer to his question. The pool listens only to those that nobody has. */
function outliveLosses(pool: Pool): void {
  pool.on("connect", (client) => client.on("error", () => undefined));
  pool.on("error", () => undefined); // an idle one was lost: the pool has forgotten it already
}

/** Kysely over one connection; `runStatement` runs a statement on it. */
export function buildPostgresKysely(runStatement: RunStatement): Kysely<Database> {
  const connection = new StatementConnection(runStatement);
  return kyselyOver({ acquire: async () => connection, release: () => undefined });
}

/** Kysely over a pool. */
export function buildPooledKysely(pool: Pool): Kysely<Database> {
  const names = new WeakMap<PoolClient, StatementNames>();
  const clients = new WeakMap<DatabaseConnection, PoolClient>();
  const suspect = new WeakSet<PoolClient>();
  return kyselyOver({
    acquire: async () => {
      const client = await pool.connect().catch((error: unknown) => {
        throw toPostgresError(error);
      });
      const named = names.get(client) ?? new StatementNames();
      names.set(client, named);
      const connection = new StatementConnection(({ sql, parameters }) =>
        client.query(named.buildQuery(sql, parameters)).catch((error: unknown) => {
          if (toPostgresError(error) instanceof TransientError) {
            suspect.add(client);
          }
          throw error;
        }),
      );
      clients.set(connection, client);
      return connection;
    },
    release: (connection) => {
      const client = clients.get(connection);
      // The database says so before the socket is closed: nobody must be given it in between.
      client?.release(client !== undefined && suspect.has(client));
    },
  });
}

/** For migrations, which bring their own transaction. */
export function buildMigratingKysely(pool: Pool): Kysely<Database> {
  return new Kysely<Database>({ dialect: new MigratingDialect({ pool }) });
}

class MigratingDialect extends PostgresDialect {
  override createQueryCompiler() {
    return createPostgresCompiler();
  }
}

interface Connections {
  acquire(): Promise<DatabaseConnection>;
  release(connection: DatabaseConnection): void;
}

/** Transactions are the transaction queue's: this driver has none. */
function kyselyOver({ acquire, release }: Connections): Kysely<Database> {
  const driver: Driver = {
    init: async () => undefined,
    acquireConnection: acquire,
    releaseConnection: async (connection) => release(connection),
    beginTransaction: refuse,
    commitTransaction: refuse,
    rollbackTransaction: refuse,
    destroy: async () => undefined,
  };
  return new Kysely<Database>({
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createDriver: () => driver,
      createIntrospector: (db) => new PostgresIntrospector(db),
      createQueryCompiler: createPostgresCompiler,
    },
  });
}

async function refuse(): Promise<never> {
  throw new Error("a transaction of Kysely's own, outside the transaction queue");
}

type RunStatement = (statement: CompiledQuery) => Promise<PgResult>;

class StatementConnection implements DatabaseConnection {
  readonly #run: RunStatement;

  constructor(run: RunStatement) {
    this.#run = run;
  }

  async executeQuery<R>(statement: CompiledQuery): Promise<QueryResult<R>> {
    try {
      const { rows, rowCount } = await this.#run({ ...statement, parameters: statement.parameters.map(toSqlValue) });
      return { rows, numAffectedRows: BigInt(rowCount ?? 0) };
    } catch (error) {
      throw toPostgresError(error);
    }
  }

  // biome-ignore lint/correctness/useYield: nothing streams, and Kysely asks for the method
  async *streamQuery(): AsyncIterableIterator<never> {
    throw new Error("streaming is not supported");
  }
}

/** `pg` makes text of whatever it is given: refuse here what a column cannot hold. */
function toSqlValue(value: unknown): unknown {
  if (typeof value === "string") {
    return withoutNul(value);
  }
  if (value === null || typeof value === "number" || typeof value === "bigint") {
    return value;
  }
  throw new TypeError(`a ${typeof value} cannot be a SQL parameter`);
}
