import { closeSync, existsSync, fsyncSync, linkSync, openSync, rmSync } from "node:fs";
import { resolve } from "node:path";
import { errorMessage, UserError } from "../shared/errors.ts";
import { describeDatabase, isPostgresUrl } from "./open-store.ts";
import { createPrivateFile, openReadOnly } from "./sqlite.ts";

/**
 * Copies a SQLite database as it is at one moment, also while a plane writes to it; the copy is on disk when this
 * returns, and is never half of one. Throws UserError BACKUP_REFUSED, for PostgreSQL with the command that does it.
 */
export function backUpDatabase(database: string, file: string): void {
  if (isPostgresUrl(database)) {
    throw new UserError("BACKUP_REFUSED", "A PostgreSQL database is backed up with PostgreSQL's own program.", {
      hint: `Run: pg_dump --format=custom --file=${quote(file)} ${quote(describeDatabase(database))}`,
    });
  }
  const [source, target] = [resolve(database), resolve(file)];
  if (!existsSync(source)) {
    throw refusal(`there is no database ${source}`);
  }
  if (existsSync(target)) {
    throw refusal(`${target} exists, and a backup overwrites nothing`);
  }
  const unfinished = `${target}.${process.pid}.unfinished`;
  try {
    copy(source, unfinished);
    linkSync(unfinished, target); // unlike a rename it refuses to take the place of a file
  } catch (error) {
    throw refusal(`${source} cannot be copied to ${target}: ${errorMessage(error)}`, error);
  } finally {
    rmSync(unfinished, { force: true });
  }
}

function copy(source: string, target: string): void {
  createPrivateFile(target);
  const connection = openReadOnly(source);
  try {
    connection.prepare("vacuum into ?").run(target);
  } finally {
    connection.close();
  }
  const copied = openSync(target, "r+");
  fsyncSync(copied);
  closeSync(copied);
}

function refusal(message: string, cause?: unknown): UserError {
  return new UserError("BACKUP_REFUSED", message, { cause });
}

/** For a shell. */
function quote(text: string): string {
  return /^[\w./:@=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
