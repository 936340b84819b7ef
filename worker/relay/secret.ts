import { randomUUID } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "../../src/shared/errors.ts";
import { writeFirst } from "../whole-files.ts";

const MIN_CHARACTERS = 32;

/**
 * The secret of a relay's folder, made by whoever came first, relay or worker: both sign and check with it. Throws
 * UserError CONFIG_INVALID.
 */
export async function provideSecret(folder: string): Promise<string> {
  const path = join(folder, "secret");
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeFirst(path, randomUUID() + randomUUID());
  const secret = (await readFile(path, "utf8")).trim();
  if (secret.length < MIN_CHARACTERS) {
    throw new UserError("CONFIG_INVALID", `The relay's secret in ${folder} is too short to be one.`, {
      hint: "Remove the file `secret` there; containers that were started with it lose their connection.",
    });
  }
  return secret;
}
