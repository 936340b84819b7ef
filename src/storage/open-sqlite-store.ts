import { mkdirSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { sql } from "kysely";
import type { Clock } from "../shared/clock.ts";
import { errorMessage, UserError } from "../shared/errors.ts";
import { migrate } from "./migrate.ts";
import { buildKysely, createPrivateFile, lockDatabase, openConnection } from "./sqlite.ts";
import { SqliteWriter } from "./sqlite-writer.ts";
import { type Announcement, buildNouns, type Store } from "./store.ts";
import { TransactionQueue } from "./transaction-queue.ts";
import { WakeUps } from "./wake-ups.ts";

export async function openSqliteStore({ file, clock }: { file: string; clock: Clock }): Promise<Store> {
  const path = resolve(file);
  const lock = asUnusable(path, () => {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    return lockDatabase(path);
  });
  const opened: DatabaseSync[] = [lock];
  try {
    const writer = asUnusable(path, () => {
      createPrivateFile(path);
      return openConnection(path);
    });
    opened.push(writer);
    const writing = buildKysely(writer);
    await migrate(writing).catch((error: unknown) => {
      throw error instanceof UserError ? error : unusable(path, error);
    });
    const reader = openConnection(path);
    opened.push(reader);
    reader.exec("pragma query_only = on");
    const reading = buildKysely(reader);
    const wakeUps = new WakeUps();
    // No other plane has the file: only this one announces.
    let announce: ((announced: readonly Announcement[]) => void) | undefined;
    const queue = new TransactionQueue(
      new SqliteWriter(writer),
      (effects) => ({ ...buildNouns(writing, clock), ...effects }),
      { wake: (sent) => wakeUps.deliver(sent), announce: (announced) => announce?.(announced) },
    );
    return {
      ...buildNouns(reading, clock),
      transaction: (fn, askAhead) => queue.run(fn, askAhead),
      wakeUps,
      onAnnounced: (listen) => {
        announce = listen;
      },
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

export function unusable(path: string, cause: unknown): UserError {
  return new UserError("DATABASE_UNUSABLE", `the database ${path} cannot be used: ${errorMessage(cause)}`, {
    hint: "Check that the folder is writable and that the file is a database of Flowyard's, or name another file.",
    cause,
  });
}
