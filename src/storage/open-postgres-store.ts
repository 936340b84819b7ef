import { randomUUID } from "node:crypto";
import { Socket } from "node:net";
import { performance } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import { type Kysely, sql } from "kysely";
import type { Pool } from "pg";
import type { Clock } from "../shared/clock.ts";
import { errorMessage, TransientError, UserError } from "../shared/errors.ts";
import type { Database } from "./database-types.ts";
import { migrate } from "./migrate.ts";
import {
  buildMigratingKysely,
  buildPooledKysely,
  buildPostgresKysely,
  createMigrator,
  createReaders,
  describeLocation,
} from "./postgres.ts";
import { toPostgresError } from "./postgres-errors.ts";
import { PostgresListener } from "./postgres-listener.ts";
import { PostgresWriter } from "./postgres-writer.ts";
import { type Announcement, buildNouns, type Store } from "./store.ts";
import { TransactionQueue } from "./transaction-queue.ts";
import { WakeUps } from "./wake-ups.ts";

/** A database that is started together with the plane, as compose does, gets this long to be there. */
const START_TIMEOUT_MS = 15_000;
const RETRY_MS = 250;

export async function openPostgresStore({ url, clock }: { url: string; clock: Clock }): Promise<Store> {
  await migratePostgres(url);
  const planeId = randomUUID();
  const writer = new PostgresWriter(url, planeId);
  const readers = createReaders(url);
  const wakeUps = new WakeUps();
  let announce: ((announced: readonly Announcement[]) => void) | undefined;
  const listener = new PostgresListener(url, {
    onMessage: (message) => {
      // Of our own, the wake-ups were delivered when they were committed.
      if (message.plane !== planeId) {
        wakeUps.deliver(message.wakeUps);
        announce?.(message.announced);
      }
    },
    onMissed: () => wakeUps.wakeAll(),
  });
  const reading = buildPooledKysely(readers);
  const writing = buildPostgresKysely((statement) => writer.run(statement));
  const queue = new TransactionQueue(writer, (effects) => ({ ...buildNouns(writing, clock), ...effects }), {
    wake: (sent) => wakeUps.deliver(sent),
    announce: (announced) => announce?.(announced),
  });
  async function close(): Promise<void> {
    await queue.idle();
    await Promise.all([writer.close(), listener.close(), readers.end()]);
  }
  try {
    await Promise.all([writer.connect(), listener.start()]);
  } catch (error) {
    await close();
    throw unusable(url, error);
  }
  return {
    ...buildNouns(reading, clock),
    transaction: (fn, askAhead) => queue.run(fn, askAhead),
    wakeUps,
    onAnnounced: (listen) => {
      announce = listen;
    },
    ping: () => ping(readers),
    close,
  };
}

/** Waits for a database that is not there yet. Throws UserError DATABASE_UNUSABLE. */
export async function migratePostgres(url: string): Promise<void> {
  const deadlineMs = performance.now() + START_TIMEOUT_MS;
  for (;;) {
    try {
      await migrateOnce(url);
      return;
    } catch (error) {
      const failure = toPostgresError(error);
      if (!(failure instanceof TransientError) || performance.now() > deadlineMs) {
        throw failure instanceof UserError ? failure : unusable(url, error);
      }
      await delay(RETRY_MS);
    }
  }
}

async function migrateOnce(url: string): Promise<void> {
  await usingPool(url, migrate);
}

/** For questions of an administrator's. Throws UserError DATABASE_UNUSABLE. */
export async function usingPostgres<T>(url: string, use: (db: Kysely<Database>) => Promise<T>): Promise<T> {
  try {
    return await usingPool(url, use);
  } catch (error) {
    throw error instanceof UserError ? error : unusable(url, error);
  }
}

async function usingPool<T>(url: string, use: (db: Kysely<Database>) => Promise<T>): Promise<T> {
  const sockets: Socket[] = [];
  const pool = createMigrator(url, () => {
    const socket = new Socket();
    sockets.push(socket);
    return socket;
  });
  try {
    return await use(buildMigratingKysely(pool));
  } finally {
    await pool.end();
    for (const socket of sockets) {
      socket.destroy();
    }
  }
}

async function ping(readers: Pool): Promise<boolean> {
  try {
    await sql`select 1 from configuration limit 1`.execute(buildPooledKysely(readers));
    return true;
  } catch {
    return false;
  }
}

function unusable(url: string, error: unknown): UserError {
  const cause = error instanceof TransientError && error.cause !== undefined ? error.cause : error;
  return new UserError(
    "DATABASE_UNUSABLE",
    `the database ${describeLocation(url)} cannot be used: ${errorMessage(cause)}`,
    {
      hint: "Check the URL, the password (in it or in PGPASSWORD), that the server runs, and that the role may make tables.",
      cause,
    },
  );
}
