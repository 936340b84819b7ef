import { checkSignature, defineFunction } from "./define-function.ts";
import { importFrom, importName, importSource } from "./execute-import.ts";
import { type Interpreter, PythonError } from "./interpreter.ts";
import { createModule, runStatement } from "./project-modules.ts";
import type { ClassDefinition, Expression, FunctionDefinition, ModuleSyntax, Statement } from "./syntax.ts";
import type { ModuleValue, PythonFailure, Scope, SourceOfModule, Value } from "./value.ts";

/**
 * Finds a flow in a file that cannot be imported, as Prefect does: whatever can be imported, then whatever can be
 * defined, then the function itself without the annotations and defaults that need what is missing.
 * Source: `safe_load_flow_from_entrypoint` in Prefect's flows.py. Throws PythonError when even that fails.
 */
export function readInPieces(
  source: SourceOfModule,
  syntax: ModuleSyntax,
  path: readonly string[],
  interpreter: Interpreter,
): Value | null {
  const [first = "", second] = path;
  const definition = findDefinition(syntax.body, first);
  if (definition === null) return null;
  const scope = loadPieces(source, syntax, interpreter);
  const value = scope.names.get(first);
  if (value !== undefined) return followPath(value, path.slice(1), scope, interpreter);
  if (definition.kind === "function") return defineStripped(definition, scope, interpreter);
  const method = definition.body.find(
    (one): one is FunctionDefinition => one.kind === "function" && one.name === second,
  );
  return method === undefined ? null : defineStripped(method, scope, interpreter);
}

function followPath(value: Value, path: readonly string[], scope: Scope, interpreter: Interpreter): Value | null {
  let current = value;
  for (const name of path) {
    try {
      current = interpreter.getAttribute(current, name, { scope, at: 0 });
    } catch (error) {
      if (error instanceof PythonError) return null;
      throw error;
    }
  }
  return current;
}

/** Breadth first, as `ast.walk` goes: the outermost, then the first. */
export function findDefinition(body: readonly Statement[], name: string): FunctionDefinition | ClassDefinition | null {
  let level: readonly Statement[] = body;
  while (level.length > 0) {
    const found = level.find(
      (statement): statement is FunctionDefinition | ClassDefinition =>
        (statement.kind === "function" || statement.kind === "class") && statement.name === name,
    );
    if (found !== undefined) return found;
    level = level.flatMap(blocksOf);
  }
  return null;
}

/** The statements directly inside a statement. */
export function blocksOf(statement: Statement): Statement[] {
  switch (statement.kind) {
    case "function":
    case "class":
    case "while":
    case "with":
      return statement.body;
    case "if":
      return statement.branches.flatMap((branch) => branch.body);
    case "for":
      return [...statement.body, ...statement.otherwise];
    case "try":
      return [
        ...statement.body,
        ...statement.handlers.flatMap((one) => one.body),
        ...statement.otherwise,
        ...statement.final,
      ];
    case "match":
      return statement.bodies.flat();
    default:
      return [];
  }
}

function loadPieces(source: SourceOfModule, syntax: ModuleSyntax, interpreter: Interpreter): Scope {
  const module: ModuleValue = createModule("prefect_safe_namespace_loader", source);
  module.isImported = false;
  module.isScript = true;
  const { scope } = module;
  // Prefect does not set it either.
  scope.names.delete("__file__");
  for (const statement of syntax.body) {
    if (statement.kind === "import")
      for (const name of statement.names) attempt(() => importName(name, { scope, at: statement.at }, interpreter));
    if (statement.kind === "import-from" && statement.module !== "__future__") {
      attempt(() => {
        const from = importSource(statement.level, statement.module, { scope, at: statement.at }, interpreter);
        for (const name of statement.names)
          attempt(() => importFrom(from, name, { scope, at: statement.at }, interpreter));
      });
    }
  }
  for (const statement of syntax.body) {
    const isDefinition =
      statement.kind === "class" ||
      statement.kind === "assign" ||
      (statement.kind === "function" && !statement.isAsync);
    if (isDefinition) attempt(() => runStatement(statement, scope, interpreter));
  }
  return scope;
}

/** Runs a piece that may fail; what stopped it otherwise. */
function attempt(run: () => void): PythonFailure | null {
  try {
    run();
    return null;
  } catch (error) {
    if (error instanceof PythonError) return error.failure;
    throw error;
  }
}

function defineStripped(definition: FunctionDefinition, scope: Scope, interpreter: Interpreter): Value {
  checkSignature(definition, scope);
  const missing: Expression = { kind: "none", at: definition.at };
  const parameters = definition.parameters.map((parameter) => {
    const { annotation, default: value } = parameter;
    const isRead = (expression: typeof annotation): boolean =>
      expression !== null && attempt(() => void interpreter.evaluate(expression, scope)) === null;
    // Prefect gives a keyword-only parameter without a default the default None here.
    const stripped = value === null ? (parameter.kind === "keyword" ? missing : null) : isRead(value) ? value : missing;
    return { ...parameter, annotation: isRead(annotation) ? annotation : null, default: stripped };
  });
  return defineFunction({ ...definition, parameters, returns: null }, scope, interpreter);
}
