import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { errorMessage, UserError } from "../shared/errors.ts";
import type { CliContext } from "./context.ts";

/** A JSON object from a file that an option names. Throws UserError USAGE naming both. */
export async function loadJsonFile(
  context: CliContext,
  path: string,
  optionName: string,
): Promise<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(resolve(context.workingDirectory, path), "utf8"));
  } catch (cause) {
    const problem = cause instanceof SyntaxError ? "is not JSON" : "cannot be read";
    throw new UserError("USAGE", `${optionName}: "${path}" ${problem}: ${errorMessage(cause)}.`, { cause });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new UserError("USAGE", `${optionName}: "${path}" must hold a JSON object.`);
  }
  return Object.fromEntries(Object.entries(value));
}
