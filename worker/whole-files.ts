import { randomUUID } from "node:crypto";
import { link, readdir, readFile, rename, rm, stat, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { z } from "zod";

/** Small files that several processes share: a reader sees one as it was or as it is, never a part of it. */

/** Undefined for a file that is not there, or that a crash of the machine left half written. */
export async function readParsed<S extends z.ZodType>(path: string, schema: S): Promise<z.output<S> | undefined> {
  try {
    return schema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch {
    return undefined;
  }
}

/** Throws what the file system throws. */
export async function writeWhole(path: string, value: unknown): Promise<void> {
  const draft = `${path}.${randomUUID()}`;
  try {
    await writeFile(draft, JSON.stringify(value), { mode: 0o600 });
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

/** One that is not there is no error. Spares what `rm` does for folders, as this is done several times a run. */
export async function removeFile(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) {
      throw error;
    }
  }
}

/** Whoever writes for longer than this has been killed. */
const DRAFT_MS = 10_000;
const DRAFT = /\.[0-9a-f]{8}-[0-9a-f-]{27}$/;

/** Removes what writers that were killed left in a folder. */
export async function sweepDrafts(folder: string): Promise<void> {
  for (const name of (await readdir(folder)).filter((each) => DRAFT.test(each))) {
    const path = join(folder, name);
    const written = await stat(path).catch(() => undefined);
    if (written !== undefined && Date.now() - written.mtimeMs > DRAFT_MS) {
      await rm(path, { force: true });
    }
  }
}

/** Writes the file unless there is one; answers whether it did. */
export async function writeFirst(path: string, text: string): Promise<boolean> {
  const draft = `${path}.${randomUUID()}`;
  await writeFile(draft, text, { mode: 0o600 });
  try {
    await link(draft, path);
    return true;
  } catch {
    return false; // the first one stays
  } finally {
    await rm(draft, { force: true });
  }
}
