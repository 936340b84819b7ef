import { moduleAttribute } from "./attributes.ts";
import { type Interpreter, PythonError, type Site } from "./interpreter.ts";
import { isStandardLibrary } from "./known-modules.ts";
import { knownValue } from "./known-names.ts";
import type { ImportedName, Statement } from "./syntax.ts";
import { known, type ModuleValue, type Scope, unknown, type Value } from "./value.ts";

type ImportStatement = Extract<Statement, { kind: "import" | "import-from" }>;

export function executeImport(statement: ImportStatement, scope: Scope, interpreter: Interpreter): void {
  const site: Site = { scope, at: statement.at };
  if (statement.kind === "import") {
    for (const imported of statement.names) importName(imported, site, interpreter);
    return;
  }
  if (statement.level === 0 && statement.module === "__future__") return;
  const source = importSource(statement.level, statement.module, site, interpreter);
  for (const imported of statement.names) importFrom(source, imported, site, interpreter);
}

/** `import a.b` binds `a`; `import a.b as c` binds the inner one. */
export function importName({ name, as }: ImportedName, site: Site, interpreter: Interpreter): void {
  const value = importModule(name, site, interpreter);
  const top = name.split(".")[0] ?? name;
  site.scope.names.set(as ?? top, as !== null || top === name ? value : importModule(top, site, interpreter));
}

function importModule(name: string, site: Site, interpreter: Interpreter): Value {
  const top = name.split(".")[0] ?? name;
  if (isStandardLibrary(top) || top === "prefect") return known(name);
  const module = interpreter.importProjectModule(name);
  if (module !== null) {
    if (module.failure !== null) throw failureAgain(module, site);
    return module;
  }
  const isOurs = name !== top && interpreter.importProjectModule(top) !== null;
  if (!isOurs && interpreter.isInstalled(top)) return knownValue(name);
  throw new PythonError("ModuleNotFoundError", `No module named '${isOurs ? name : top}'`, site);
}

function failureAgain(module: ModuleValue, site: Site): PythonError {
  const { type, message } = module.failure ?? { type: "ImportError", message: "" };
  return new PythonError(type, message === "" ? `${module.path} cannot be imported` : message, site);
}

/** The module that a `from … import` takes from. Dots start at the importing module's own package. */
export function importSource(level: number, module: string, site: Site, interpreter: Interpreter): Value {
  if (level === 0) return importModule(module, site, interpreter);
  const importing = site.scope.module;
  const isPackage = /(?:^|\/)__init__\.py$/.test(importing.path);
  const parts = importing.isScript ? [] : importing.name.split(".");
  const drop = importing.isScript ? level - 1 : isPackage ? level - 1 : level;
  if (drop > parts.length || (!importing.isScript && drop === parts.length)) {
    throw new PythonError("ImportError", "attempted relative import beyond top-level package", site);
  }
  const absolute = [...parts.slice(0, parts.length - drop), ...(module === "" ? [] : [module])].join(".");
  if (absolute === "") return unknown("the folder of the file");
  const found = interpreter.importProjectModule(absolute);
  if (found === null) throw new PythonError("ModuleNotFoundError", `No module named '${absolute}'`, site);
  if (found.failure !== null) throw failureAgain(found, site);
  return found;
}

export function importFrom(source: Value, { name, as }: ImportedName, site: Site, interpreter: Interpreter): void {
  const { names } = site.scope;
  if (name === "*") {
    if (source.kind === "module") importAll(source, site.scope);
    else site.scope.isOpen = true;
  } else if (source.kind === "module") names.set(as ?? name, attributeOrModule(source, name, site, interpreter));
  else if (source.kind === "known") names.set(as ?? name, knownValue(`${source.name}.${name}`));
  else names.set(as ?? name, interpreter.importProjectModule(name) ?? unknown(`${name} is not found in the project`));
}

function attributeOrModule(module: ModuleValue, name: string, site: Site, interpreter: Interpreter): Value {
  try {
    const value = moduleAttribute(module, name, site, interpreter);
    if (value.kind === "module" && value.failure !== null) throw failureAgain(value, site);
    return value;
  } catch (error) {
    if (!(error instanceof PythonError) || error.failure.type !== "AttributeError") throw error;
    throw new PythonError("ImportError", `cannot import name '${name}' from '${module.name}' (${module.path})`, site);
  }
}

function importAll(source: ModuleValue, scope: Scope): void {
  const all = source.scope.names.get("__all__");
  const listed =
    all?.kind === "list" || all?.kind === "tuple"
      ? all.items.map((item) => (item.kind === "str" ? item.value : ""))
      : null;
  for (const [name, value] of source.scope.names) {
    if (listed === null ? !name.startsWith("_") : listed.includes(name)) scope.names.set(name, value);
  }
  scope.isOpen ||= source.scope.isOpen;
}
