import { link, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isAlive, waitUntil } from "./background-process.ts";
import { say } from "./part.ts";

const LOCK_TIMEOUT_MS = 1_800_000; // a set-up of a new machine takes five to ten minutes, most of it for Docker's plugins

/** Runs `work` while no other set-up of this user does: two of them would install and build the same twice. */
export async function withLock<T>(directory: string, work: () => Promise<T>): Promise<T> {
  const file = join(directory, "setup.lock");
  const own = `${file}.${process.pid}`;
  await writeFile(own, String(process.pid));
  let told = false;
  try {
    const taken = await waitUntil(async () => {
      if (await takeLock(own, file)) {
        return true;
      }
      if (!told) {
        say("another set-up is running on this machine, waiting for it");
        told = true;
      }
      return null;
    }, LOCK_TIMEOUT_MS);
    if (taken === null) {
      throw new Error(`another set-up holds ${file} for too long; remove the file if none is running`);
    }
    return await work().finally(() => rm(file, { force: true }));
  } finally {
    await rm(own, { force: true });
  }
}

/** A hard link appears whole, with its content, or not at all. A lock whose owner died is removed. */
async function takeLock(own: string, file: string): Promise<boolean> {
  try {
    await link(own, file);
    return true;
  } catch {
    const owner = Number(await readFile(file, "utf8").catch(() => "0"));
    const lockedAt = (await stat(file).catch(() => null))?.mtimeMs ?? Date.now();
    // The number of a dead owner may belong to a stranger by now, so age counts too.
    if (owner > 0 && (!(await isAlive(owner)) || Date.now() - lockedAt > LOCK_TIMEOUT_MS)) {
      await rm(file, { force: true });
      return link(own, file).then(
        () => true,
        () => false,
      );
    }
    return false;
  }
}
