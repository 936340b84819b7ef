import { glob } from "node:fs/promises";
import path from "node:path";
import { UserError } from "../shared/errors.ts";

/** One project file of the repository. */
export interface ProjectFile {
  /** Absolute folder that the project is seen from. */
  root: string;
  /** The file's name in that folder. */
  file: string;
  /** The folder from the repository's root, with `/`; `.` for the root. */
  projectPath: string;
}

/** The file's path from the repository's root, for people. */
export function showPlace({ projectPath, file }: Pick<ProjectFile, "projectPath" | "file">): string {
  return projectPath === "." ? file : `${projectPath}/${file}`;
}

const DEFAULT_FILE = "prefect.yaml";
const GLOB = /[*?[{]/;
const MAX_PROJECTS = 200;
const SKIPPED: ReadonlySet<string> = new Set(["node_modules", ".git", ".venv", "venv"]);

/** The project files that the input names, each once, in the order of their paths. Throws UserError INPUT_INVALID, PROJECT_FILE_MISSING. */
export async function listProjectFiles(workspace: string, patterns: readonly string[]): Promise<ProjectFile[]> {
  const found = new Set<string>();
  for (const pattern of patterns.length === 0 ? [DEFAULT_FILE] : patterns) {
    const matches = GLOB.test(pattern) ? await expandGlob(workspace, pattern) : [pattern];
    if (matches.length === 0) {
      throw new UserError("PROJECT_FILE_MISSING", `No file of the checkout matches ${JSON.stringify(pattern)}.`, {
        hint: "The pattern is seen from the root of the checkout; is actions/checkout a step before this one?",
      });
    }
    for (const match of matches) {
      found.add(path.resolve(workspace, match));
    }
  }
  if (found.size > MAX_PROJECTS) {
    throw new UserError(
      "INPUT_INVALID",
      `The input prefect-file names ${found.size} files; ${MAX_PROJECTS} are allowed.`,
    );
  }
  return [...found].sort().map((absolute) => describeFile(workspace, absolute));
}

async function expandGlob(workspace: string, pattern: string): Promise<string[]> {
  const matches: string[] = [];
  for await (const match of glob(pattern, { cwd: workspace, exclude: (name) => SKIPPED.has(path.basename(name)) })) {
    matches.push(match);
  }
  return matches;
}

function describeFile(workspace: string, absolute: string): ProjectFile {
  const relative = path.relative(workspace, absolute).split(path.sep).join("/");
  if (relative.startsWith("../") || path.isAbsolute(relative)) {
    throw new UserError(
      "INPUT_INVALID",
      `The input prefect-file names ${JSON.stringify(relative)}, outside of the checkout.`,
    );
  }
  return { root: path.dirname(absolute), file: path.basename(absolute), projectPath: path.posix.dirname(relative) };
}
