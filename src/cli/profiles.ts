import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { suggestNearest } from "../project/did-you-mean.ts";
import { errorMessage, UserError } from "../shared/errors.ts";

export const DEFAULT_PROFILE = "default";

const ProfileFile = z.object({
  active: z.string().default(DEFAULT_PROFILE),
  profiles: z.record(z.string(), z.record(z.string(), z.string())).default({}),
});
export type ProfileFile = z.infer<typeof ProfileFile>;

export function buildProfilePath(home: string): string {
  return join(home, "profiles.json");
}

/** A missing file is one empty profile. Throws UserError CONFIG_INVALID for a file that is not ours to understand. */
export function loadProfiles(home: string): ProfileFile {
  const path = buildProfilePath(home);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") {
      return { active: DEFAULT_PROFILE, profiles: { [DEFAULT_PROFILE]: {} } };
    }
    throw new UserError("CONFIG_INVALID", `${path} cannot be read: ${errorMessage(cause)}.`, { cause });
  }
  try {
    const file = ProfileFile.parse(JSON.parse(text));
    return { ...file, profiles: { [DEFAULT_PROFILE]: {}, ...file.profiles } };
  } catch (cause) {
    const problem = cause instanceof z.ZodError ? z.prettifyError(cause) : errorMessage(cause);
    throw new UserError("CONFIG_INVALID", `${path} is not a profile file: ${problem}.`, {
      hint: "Correct it, or remove it and set the values again with `flowyard config set`.",
      cause,
    });
  }
}

/**
 * Written whole and renamed, readable by its owner only: it may hold credentials. Throws UserError CONFIG_INVALID where
 * it cannot be written; what was there is kept then.
 */
export function saveProfiles(home: string, file: ProfileFile): void {
  const path = buildProfilePath(home);
  const draft = `${path}.${process.pid}`;
  try {
    mkdirSync(home, { recursive: true, mode: 0o700 });
    writeFileSync(draft, `${JSON.stringify(file, null, 2)}\n`, { mode: 0o600 });
    renameSync(draft, path);
  } catch (cause) {
    if (existsSync(draft)) {
      rmSync(draft);
    }
    throw new UserError("CONFIG_INVALID", `${path} cannot be written: ${errorMessage(cause)}.`, {
      hint: "Make room or let this user write there, or set FLOWYARD_HOME to another folder.",
      cause,
    });
  }
}

export function buildUnknownProfile(file: ProfileFile, name: string): UserError {
  const known = Object.keys(file.profiles);
  return new UserError("CONFIG_INVALID", `There is no profile "${name}".${suggestNearest(name, known)}`, {
    hint: `Profiles: ${known.join(", ")}. Make one with \`flowyard profile create ${name}\`.`,
  });
}
