import { existsSync, readdirSync, statSync } from "node:fs";
import { join, posix } from "node:path";
import { namesBoundBy } from "./assign.ts";
import { type Interpreter, OutOfSteps, PythonError } from "./interpreter.ts";
import { comesWithPrefect } from "./known-modules.ts";
import { parseSource } from "./parse-module.ts";
import { readSource } from "./source-file.ts";
import type { ModuleSyntax, Statement } from "./syntax.ts";
import { type ModuleValue, type Scope, type SourceOfModule, str, unknown, type Value } from "./value.ts";

/** More files than this are not read for one flow. */
const MAX_MODULES = 300;

/** Files that say which packages a project installs. */
const DEPENDENCY_FILES =
  /^(?:requirements.*\.(?:txt|in)|pyproject\.toml|setup\.(?:py|cfg)|Pipfile|environment\.ya?ml|conda\.ya?ml|uv\.lock|poetry\.lock|Dockerfile.*|.*\.Dockerfile)$/;

/** The project's own modules, each executed at most once. */
export class ProjectModules {
  readonly #root: string;
  readonly #folders: readonly string[];
  readonly #modules = new Map<string, ModuleValue | null>();
  #declaresDependencies: boolean | null = null;

  /** `folder`: where the entrypoint's file is, relative to the root; its modules are found before the root's. */
  constructor(root: string, folder: string) {
    this.#root = root;
    this.#folders = [...new Set([folder, ""])];
  }

  import(name: string, interpreter: Interpreter): ModuleValue | null {
    const cached = this.#modules.get(name);
    if (cached !== undefined) return cached;
    if (!/^[\p{L}_][\p{L}\p{N}_]*(?:\.[\p{L}_][\p{L}\p{N}_]*)*$/u.test(name) || this.#modules.size >= MAX_MODULES)
      return null;
    const parentName = name.slice(0, Math.max(0, name.lastIndexOf(".")));
    const parent = parentName === "" ? null : this.import(parentName, interpreter);
    if (parentName !== "" && (parent === null || parent.failure !== null)) return parent;
    // The parent's own code may have imported it meanwhile.
    const meanwhile = this.#modules.get(name);
    if (meanwhile !== undefined) return meanwhile;
    const module = this.#load(name, interpreter);
    if (module !== null && parent !== null) parent.scope.names.set(name.slice(parentName.length + 1), module);
    return module;
  }

  #load(name: string, interpreter: Interpreter): ModuleValue | null {
    const way = name.replaceAll(".", "/");
    for (const folder of this.#folders) {
      for (const file of [`${way}/__init__.py`, `${way}.py`]) {
        const path = posix.join(folder, file);
        const source = readSource(this.#root, path);
        if (typeof source === "string" && source !== "too-large" && source !== "undecodable") continue;
        const module = createModule(name, typeof source === "string" ? { file: path, text: "", md5: "" } : source);
        this.#modules.set(name, module);
        if (typeof source === "string") module.scope.isOpen = true;
        else runModule(module, interpreter);
        return module;
      }
    }
    return this.#namespacePackage(name, way);
  }

  /** A folder without `__init__.py`; an installed package of that name comes first. */
  #namespacePackage(name: string, way: string): ModuleValue | null {
    const isFolder = this.#folders.some((folder) => {
      const path = join(this.#root, folder, way);
      return existsSync(path) && statSync(path).isDirectory();
    });
    const isTaken = !name.includes(".") && comesWithPrefect(name);
    const module = isFolder && !isTaken ? createModule(name, { file: way, text: "", md5: "" }) : null;
    this.#modules.set(name, module);
    return module;
  }

  /**
   * Whether a package that is not the project's counts as installed: Prefect brings it, or the project says in any
   * way what it installs. Else nothing can provide it, and the import fails as it does with Prefect's own tool.
   */
  isInstalled(topLevelName: string): boolean {
    return comesWithPrefect(topLevelName) || this.declaresDependencies();
  }

  declaresDependencies(): boolean {
    this.#declaresDependencies ??= this.#folders.some((folder) => {
      const path = join(this.#root, folder);
      return existsSync(path) && readdirSync(path).some((name) => DEPENDENCY_FILES.test(name));
    });
    return this.#declaresDependencies;
  }
}

export function createModule(name: string, source: SourceOfModule): ModuleValue {
  const module: ModuleValue = {
    kind: "module",
    name,
    path: source.file,
    source,
    hasFutureAnnotations: false,
    isImported: true,
    isScript: false,
    isLoading: false,
    failure: null,
    get scope(): Scope {
      return scope;
    },
  };
  const scope: Scope = {
    names: new Map<string, Value>([
      ["__name__", str(name)],
      ["__file__", unknown("the place of the file")],
    ]),
    parent: null,
    module,
    kind: "module",
    isOpen: false,
    qualname: "",
    annotations: null,
  };
  return module;
}

/** Executes a module's statements; what stops it is noted in `failure`. */
export function runModule(module: ModuleValue, interpreter: Interpreter, syntax = parseSource(module.source)): void {
  const { scope } = module;
  module.hasFutureAnnotations = hasFutureAnnotations(syntax);
  scope.isOpen ||= syntax.errors.length > 0;
  module.isLoading = true;
  try {
    for (const statement of syntax.body) runStatement(statement, scope, interpreter);
  } catch (error) {
    if (!(error instanceof PythonError)) throw error;
    module.failure = error.failure;
  } finally {
    module.isLoading = false;
  }
}

export function runStatement(statement: Statement, scope: Scope, interpreter: Interpreter): void {
  interpreter.refill();
  try {
    interpreter.execute([statement], scope);
  } catch (error) {
    // A stack that overflows is the other way of asking for too much.
    if (!(error instanceof OutOfSteps || error instanceof RangeError)) throw error;
    for (const name of namesBoundBy([statement])) scope.names.set(name, unknown("it takes too long to find out"));
  }
}

function hasFutureAnnotations(syntax: ModuleSyntax): boolean {
  return syntax.body.some(
    (statement) =>
      statement.kind === "import-from" &&
      statement.module === "__future__" &&
      statement.names.some(({ name }) => name === "annotations"),
  );
}
