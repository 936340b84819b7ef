import { type Dirent, readdirSync } from "node:fs";
import { join, posix } from "node:path";
import { parseModule } from "./parse-module.ts";
import { blocksOf } from "./read-in-pieces.ts";
import { readSource } from "./source-file.ts";
import type { Expression, FunctionDefinition, Statement } from "./syntax.ts";

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
    const { body } = parseModule(source.text);
    const names = flowNames(body);
    for (const { definition, owner } of functionsOf(body, [])) {
      const decorator = definition.decorators.find((one) => isFlow(one, names));
      if (decorator === undefined) continue;
      if (flows.length >= options.limit) return flows;
      const object = [...owner, definition.name].join(".");
      flows.push({
        flow_name: givenName(decorator) ?? definition.name.replaceAll("_", "-"),
        function_name: definition.name,
        path,
        entrypoint: `${path}:${object}`,
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

interface FlowNames {
  /** Names that stand for `flow` itself. */
  direct: Set<string>;
  /** Names of modules that have it as an attribute. */
  modules: Set<string>;
}

function flowNames(body: readonly Statement[]): FlowNames {
  const names: FlowNames = { direct: new Set(), modules: new Set() };
  for (const statement of body) {
    if (statement.kind === "import") {
      for (const { name, as } of statement.names)
        if (name === "prefect" || name === "prefect.flows") names.modules.add(as ?? name);
    }
    if (statement.kind === "import-from" && statement.level === 0 && /^prefect(?:\.flows)?$/.test(statement.module)) {
      for (const { name, as } of statement.names) {
        if (name === "flow") names.direct.add(as ?? name);
        if (name === "flows") names.modules.add(as ?? name);
      }
    }
    const inner = flowNames(blocksOf(statement));
    for (const name of inner.direct) names.direct.add(name);
    for (const name of inner.modules) names.modules.add(name);
  }
  return names;
}

/** Functions that can be named in an entrypoint: at the top, in conditions, and in classes; none inside functions. */
function functionsOf(
  body: readonly Statement[],
  owner: readonly string[],
): { definition: FunctionDefinition; owner: readonly string[] }[] {
  return body.flatMap((statement) => {
    if (statement.kind === "function") return [{ definition: statement, owner }];
    return functionsOf(blocksOf(statement), statement.kind === "class" ? [...owner, statement.name] : owner);
  });
}

function isFlow(decorator: Expression, names: FlowNames): boolean {
  const callee = decorator.kind === "call" ? decorator.callee : decorator;
  if (callee.kind === "name") return names.direct.has(callee.name);
  return callee.kind === "attribute" && callee.name === "flow" && names.modules.has(dotted(callee.object));
}

function dotted(expression: Expression): string {
  if (expression.kind === "name") return expression.name;
  return expression.kind === "attribute" ? `${dotted(expression.object)}.${expression.name}` : "";
}

function givenName(decorator: Expression): string | null {
  if (decorator.kind !== "call") return null;
  const value = decorator.args.find((arg) => arg.name === "name")?.value;
  return value?.kind === "string" && value.value !== "" ? value.value : null;
}
