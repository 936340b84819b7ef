import { mkdirSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { sql } from "kysely";
import type { Clock } from "../shared/clock.ts";
import { errorMessage, UserError } from "../shared/errors.ts";
import { migrate } from "./migrate.ts";
import { buildKysely, type Durability, lockDatabase, openConnection } from "./sqlite.ts";
import { buildNouns, type Store } from "./store.ts";
import { TransactionQueue } from "./transaction-queue.ts";
import { WakeUps } from "./wake-ups.ts";

export interface StoreOptions {
  /** Made, with its folder, when it is not there. */
  file: string;
  clock: Clock;
  /** Defaults to FULL: what was answered is on disk, whatever happens to the machine. */
  durability?: Durability;
}

/**
 * Opens and migrates the database, for this process alone. Throws UserError DATABASE_IN_USE when another plane has it,
 * DATABASE_UNUSABLE when it cannot be opened or is no database of ours.
 */
export async function openStore({ file, clock, durability = "FULL" }: StoreOptions): Promise<Store> {
  const path = resolve(file);
  const lock = asUnusable(path, () => {
    mkdirSync(dirname(path), { recursive: true });
    return lockDatabase(path);
  });
  const opened: DatabaseSync[] = [lock];
  try {
    const writer = asUnusable(path, () => openConnection(path, durability));
    opened.push(writer);
    const writing = buildKysely(writer);
    await migrate(writing).catch((error: unknown) => {
      throw unusable(path, error);
    });
    const reader = openConnection(path, durability);
    opened.push(reader);
    reader.exec("pragma query_only = on");
    const reading = buildKysely(reader);
    const wakeUps = new WakeUps();
    const queue = new TransactionQueue(
      writer,
      (effects) => ({ ...buildNouns(writing, clock), ...effects }),
      (sent) => wakeUps.deliver(sent),
    );
    return {
      ...buildNouns(reading, clock),
      transaction: (fn) => queue.run(fn),
      wakeUps,
      ping: () => ping(reading),
      close: async () => {
        await queue.idle();
        closeAll(opened);
      },
    };
  } catch (error) {
    closeAll(opened);
    throw error;
  }
}

async function ping(reading: ReturnType<typeof buildKysely>): Promise<boolean> {
  try {
    await sql`select 1 from configuration limit 1`.execute(reading);
    return true;
  } catch {
    return false;
  }
}

/** The lock goes last: until then the file is still ours. */
function closeAll(connections: DatabaseSync[]): void {
  for (const connection of connections.toReversed()) {
    connection.close();
  }
}

function asUnusable<T>(path: string, open: () => T): T {
  try {
    return open();
  } catch (error) {
    throw error instanceof UserError ? error : unusable(path, error);
  }
}

function unusable(path: string, cause: unknown): UserError {
  return new UserError("DATABASE_UNUSABLE", `the database ${path} cannot be used: ${errorMessage(cause)}`, {
    hint: "Check that the folder is writable and that the file is a database of Flowyard's, or name another file.",
    cause,
  });
}
