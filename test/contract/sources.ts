import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

export const root = join(import.meta.dirname, "../..");

/** Files that are committed or would be: tracked ones and new ones that git does not ignore. */
export async function listProjectFiles(): Promise<string[]> {
  const { stdout } = await promisify(execFile)(
    "git",
    ["ls-files", "--cached", "--others", "--exclude-standard", "-z"],
    {
      cwd: root,
      maxBuffer: 64 * 1024 * 1024,
    },
  );
  return stdout.split("\0").filter((path) => path !== "");
}

/** Each line of the files that matches, as `path:line: text`. A file deleted but not yet committed has none. */
export async function findLines(paths: string[], pattern: RegExp): Promise<string[]> {
  const found = await Promise.all(
    paths.map(async (path) => {
      const text = await readFile(join(root, path), "utf8").catch(() => "");
      return text
        .split("\n")
        .flatMap((line, index) => (pattern.test(line) ? [`${path}:${index + 1}: ${line.trim()}`] : []));
    }),
  );
  return found.flat();
}
