import { type Dirent, readdirSync } from "node:fs";
import { join, posix } from "node:path";
import { listDecoratedFlows } from "./decorated-flows.ts";
import { parseModule } from "./parse-module.ts";
import { readSource } from "./source-file.ts";

/** A function that is decorated as a flow. */
export interface DiscoveredFlow {
  /** The name that the decorator gives, or the function's with dashes. */
  flow_name: string;
  function_name: string;
  /** The file, relative to the root, with `/`. */
  path: string;
  entrypoint: string;
}

const SKIPPED_FOLDERS =
  /^(?:\..*|__pycache__|node_modules|site-packages|dist-packages|venv|env|virtualenv|build|dist|.*\.egg-info)$/;
/** Deeper or larger projects are searched only so far: the wizard asks, it does not index. */
const MAX_DEPTH = 12;
const MAX_FILES = 2_000;

/**
 * Lists the flows of a project for a person to choose from, at most `limit`: by file, then in the order of the file.
 * Files are read, never executed, so a flow that is made by a call is not listed. Unreadable files are passed over.
 */
export async function discoverFlows(root: string, options: { limit: number }): Promise<DiscoveredFlow[]> {
  const flows: DiscoveredFlow[] = [];
  for (const path of listPythonFiles(root)) {
    const source = readSource(root, path);
    // Only files that mention Prefect can hold a flow: parsing is what costs.
    if (typeof source === "string" || !/\bprefect\b/.test(source.text)) continue;
    for (const { objectPath, functionName, givenName } of listDecoratedFlows(parseModule(source.text).body)) {
      if (flows.length >= options.limit) return flows;
      flows.push({
        flow_name: givenName ?? functionName.replaceAll("_", "-"),
        function_name: functionName,
        path,
        entrypoint: `${path}:${objectPath}`,
      });
    }
  }
  return flows;
}

function listPythonFiles(root: string): string[] {
  const files: string[] = [];
  const visit = (folder: string, depth: number): void => {
    if (depth > MAX_DEPTH) return;
    for (const entry of entriesOf(join(root, folder))) {
      if (files.length >= MAX_FILES) return;
      const path = posix.join(folder, entry.name);
      if (entry.isFile() && entry.name.endsWith(".py")) files.push(path);
      else if (entry.isDirectory() && !SKIPPED_FOLDERS.test(entry.name) && !isVirtualEnvironment(join(root, path)))
        visit(path, depth + 1);
    }
  };
  visit("", 0);
  return files;
}

/** Files before folders, each by name, so that the flows at the top come first. */
function entriesOf(folder: string): Dirent[] {
  try {
    const entries = readdirSync(folder, { withFileTypes: true });
    return entries.toSorted((a, b) => Number(a.isDirectory()) - Number(b.isDirectory()) || (a.name < b.name ? -1 : 1));
  } catch {
    // A folder that may not be read holds nothing to choose from.
    return [];
  }
}

function isVirtualEnvironment(folder: string): boolean {
  return entriesOf(folder).some((entry) => entry.name === "pyvenv.cfg");
}
