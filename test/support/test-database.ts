import { Client } from "pg";
import { loadMachine } from "../../scripts/setup/machine.ts";
import { buildUrl, TEST_DATABASE_PREFIX } from "../../scripts/setup/postgres.ts";
import { systemClock } from "../../src/shared/clock.ts";
import { openStore } from "../../src/storage/open-store.ts";

// biome-ignore lint/style/noProcessEnv: the tier says which database its tests run on
export const testDatabaseKind = process.env["FLOWYARD_TEST_DATABASE"] === "postgres" ? "postgres" : "sqlite";

export interface TestDatabase extends AsyncDisposable {
  url: string;
}

let template: Promise<string> | undefined;
let made = 0;
/** Emptied and used again: that takes a tenth of the time of making one. */
const free: string[] = [];

/** An empty database of ours on the PostgreSQL of the set-up. The tier's runner removes it when the process has ended. */
export async function takePostgresDatabase(): Promise<TestDatabase> {
  const directory = await findDirectory();
  const name = free.pop() ?? (await cloneTemplate(directory));
  const url = buildUrl({ directory }, name);
  return {
    url,
    async [Symbol.asyncDispose]() {
      await withClient(url, empty);
      free.push(name);
    },
  };
}

/** A database without any table, removed afterwards. `options` are those of `create database`. */
export async function createBlankDatabase(options = ""): Promise<TestDatabase> {
  const directory = await findDirectory();
  const name = nextName();
  await withClient(buildUrl({ directory }, "postgres"), (client) =>
    client.query(`create database ${name} template template0 ${options}`),
  );
  return {
    url: buildUrl({ directory }, name),
    async [Symbol.asyncDispose]() {
      await withClient(buildUrl({ directory }, "postgres"), (client) =>
        client.query(`drop database ${name} with (force)`),
      );
    },
  };
}

async function cloneTemplate(directory: string): Promise<string> {
  template ??= makeTemplate(directory);
  const original = await template;
  const name = nextName();
  await withClient(buildUrl({ directory }, "postgres"), (client) =>
    client.query(`create database ${name} template ${original}`),
  );
  return name;
}

/** One of this process, so that a test never has the tables of an earlier commit. */
async function makeTemplate(directory: string): Promise<string> {
  const name = `${nextName()}_template`;
  await withClient(buildUrl({ directory }, "postgres"), (client) => client.query(`create database ${name}`));
  const store = await openStore({ database: buildUrl({ directory }, name), clock: systemClock });
  await store.close();
  return name;
}

function nextName(): string {
  made += 1;
  return `${TEST_DATABASE_PREFIX}${process.pid}_${made}`;
}

async function empty(client: Client): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    `select quote_ident(table_name) as name from information_schema.tables
      where table_schema = 'public' and table_name not like 'kysely%'`,
  );
  // Without its triggers, so that the order does not matter; many times faster than truncate.
  const statements = rows.map(({ name }) => `delete from ${name}`);
  await client.query(`set session_replication_role = replica; ${statements.join("; ")}`);
}

async function findDirectory(): Promise<string> {
  const { postgres } = await loadMachine();
  if (!postgres.available) {
    throw new Error(`there is no PostgreSQL: ${postgres.reason}`);
  }
  return postgres.directory;
}

async function withClient(url: string, use: (client: Client) => Promise<unknown>): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await use(client);
  } finally {
    await client.end();
  }
}
