import { assignNames, namesBoundBy } from "./assign.ts";
import { defineClass } from "./define-class.ts";
import { defineFunction } from "./define-function.ts";
import { executeImport } from "./execute-import.ts";
import { type Completion, type Interpreter, PythonError, type Site } from "./interpreter.ts";
import { iterate } from "./iterate.ts";
import { catches } from "./known-names.ts";
import { applyBinary } from "./operators.ts";
import { runSpeculatively } from "./speculate.ts";
import type { Expression, Handler, Statement } from "./syntax.ts";
import { putEntry, type Scope, truthOf, unknown, type Value } from "./value.ts";
import { admit } from "./weight.ts";

const MAX_ROUNDS = 1_000;
const RERAISE = "<raise again>";

export function execute(statements: readonly Statement[], scope: Scope, interpreter: Interpreter): Completion {
  for (const statement of statements) {
    const completion = executeOne(statement, scope, interpreter);
    if (completion !== null) return completion;
  }
  return null;
}

function executeOne(statement: Statement, scope: Scope, interpreter: Interpreter): Completion {
  interpreter.step();
  switch (statement.kind) {
    case "function":
      scope.names.set(statement.name, defineFunction(statement, scope, interpreter));
      return null;
    case "class":
      scope.names.set(statement.name, defineClass(statement, scope, interpreter));
      return null;
    case "import":
    case "import-from":
      executeImport(statement, scope, interpreter);
      return null;
    case "return":
      return {
        kind: "return",
        value: statement.value === null ? { kind: "none" } : interpreter.evaluate(statement.value, scope),
      };
    case "break":
    case "continue":
      return { kind: statement.kind };
    case "pass":
      return null;
    case "opaque":
      scope.isOpen = true;
      return null;
    case "scope":
      // Names of an outer scope are assigned here without us following it.
      if (scope.kind === "function")
        for (const name of statement.names) scope.names.set(name, unknown(`${name} is assigned elsewhere`));
      return null;
    case "if":
    case "try":
    case "for":
    case "while":
    case "with":
    case "match":
      return executeBlock(statement, scope, interpreter);
    default:
      executeSimple(statement, scope, interpreter);
      return null;
  }
}

type Simple = Extract<
  Statement,
  { kind: "assign" | "annotated" | "update" | "type-alias" | "expression" | "raise" | "assert" | "delete" }
>;

function executeSimple(statement: Simple, scope: Scope, interpreter: Interpreter): void {
  const site: Site = { scope, at: statement.at };
  switch (statement.kind) {
    case "assign": {
      const value = interpreter.evaluate(statement.value, scope);
      for (const target of statement.targets) assign(target, value, scope, interpreter);
      break;
    }
    case "annotated":
      executeAnnotated(statement, scope, interpreter);
      break;
    case "update": {
      const before = interpreter.evaluate(statement.target, scope);
      const value = applyBinary(statement.operator, before, interpreter.evaluate(statement.value, scope), site);
      assign(statement.target, value, scope, interpreter);
      break;
    }
    case "type-alias":
      scope.names.set(statement.name, { kind: "alias", name: statement.name, expression: statement.value, scope });
      break;
    case "expression":
      interpreter.evaluate(statement.value, scope);
      break;
    case "raise":
      throw exceptionOf(statement.value, site, interpreter);
    case "assert":
      if (truthOf(interpreter.evaluate(statement.test, scope)) === false)
        throw new PythonError("AssertionError", "an assertion fails", site);
      break;
    default:
      for (const target of statement.targets) if (target.kind === "name") scope.names.delete(target.name);
      break;
  }
}

function executeAnnotated(
  statement: Extract<Statement, { kind: "annotated" }>,
  scope: Scope,
  interpreter: Interpreter,
): void {
  // Annotations of local variables are never evaluated.
  const isLater = scope.module.hasFutureAnnotations || scope.kind === "function";
  const annotation = isLater
    ? { kind: "later" as const, expression: statement.annotation }
    : { kind: "value" as const, value: interpreter.evaluate(statement.annotation, scope) };
  if (statement.target.kind === "name") scope.annotations?.push({ name: statement.target.name, annotation });
  if (statement.value !== null)
    assign(statement.target, interpreter.evaluate(statement.value, scope), scope, interpreter);
}

function assign(target: Expression, value: Value, scope: Scope, interpreter: Interpreter): void {
  if (target.kind === "attribute") {
    const object = interpreter.evaluate(target.object, scope);
    if (object.kind === "instance") object.fields.set(target.name, value);
    else if (object.kind === "class") object.attributes.set(target.name, value);
    return;
  }
  if (target.kind === "subscript") {
    const object = interpreter.evaluate(target.object, scope);
    if (object.kind === "dict")
      putEntry(object.entries, interpreter.evaluate(target.index, scope), admit(object, value));
    return;
  }
  assignNames(target, value, scope);
}

function exceptionOf(value: Expression | null, site: Site, interpreter: Interpreter): PythonError {
  if (value === null) return new PythonError(RERAISE, "", site);
  const isCall = value.kind === "call";
  const type = interpreter.evaluate(isCall ? value.callee : value, site.scope);
  const message = isCall ? value.args[0]?.value : undefined;
  const name = type.kind === "known" || type.kind === "class" ? type.name : "Exception";
  return new PythonError(name, message?.kind === "string" ? message.value : "raised by the file itself", site);
}

type Block = Extract<Statement, { kind: "if" | "try" | "for" | "while" | "with" | "match" }>;

function executeBlock(statement: Block, scope: Scope, interpreter: Interpreter): Completion {
  switch (statement.kind) {
    case "if":
      return executeIf(statement, scope, interpreter);
    case "try":
      return executeTry(statement, scope, interpreter);
    case "for":
      return executeFor(statement, scope, interpreter);
    case "while":
      if (truthOf(interpreter.evaluate(statement.test, scope)) !== false) forgetNames(statement.body, scope);
      return null;
    case "with":
      return executeWith(statement, scope, interpreter);
    default:
      return runSpeculatively(statement.bodies, scope, interpreter);
  }
}

function forgetNames(body: readonly Statement[], scope: Scope): void {
  for (const name of namesBoundBy(body)) scope.names.set(name, unknown(`${name} is set in a loop`));
}

function executeIf(statement: Extract<Statement, { kind: "if" }>, scope: Scope, interpreter: Interpreter): Completion {
  for (const [index, { test, body }] of statement.branches.entries()) {
    const truth = test === null ? true : truthOf(interpreter.evaluate(test, scope));
    if (truth === true) return execute(body, scope, interpreter);
    if (truth === null) {
      const rest = statement.branches.slice(index);
      const bodies = rest.map((branch) => branch.body);
      return runSpeculatively(rest.at(-1)?.test === null ? bodies : [...bodies, []], scope, interpreter);
    }
  }
  return null;
}

function executeTry(
  statement: Extract<Statement, { kind: "try" }>,
  scope: Scope,
  interpreter: Interpreter,
): Completion {
  let completion: Completion;
  try {
    completion = execute(statement.body, scope, interpreter) ?? execute(statement.otherwise, scope, interpreter);
  } catch (error) {
    if (!(error instanceof PythonError)) throw error;
    const handler = statement.handlers.find((one) => isCaughtBy(one, error, scope, interpreter));
    if (handler === undefined) throw error;
    completion = executeHandler(handler, error, scope, interpreter);
  }
  return execute(statement.final, scope, interpreter) ?? completion;
}

function isCaughtBy(handler: Handler, error: PythonError, scope: Scope, interpreter: Interpreter): boolean {
  if (handler.type === null) return true;
  const type = interpreter.evaluate(handler.type, scope);
  const types = type.kind === "tuple" ? type.items : [type];
  return types.some((one) =>
    one.kind === "known" || one.kind === "class" ? catches(one.name, error.failure.type) !== false : true,
  );
}

function executeHandler(handler: Handler, error: PythonError, scope: Scope, interpreter: Interpreter): Completion {
  if (handler.name !== null) scope.names.set(handler.name, unknown("it is an exception"));
  try {
    return execute(handler.body, scope, interpreter);
  } catch (inner) {
    throw inner instanceof PythonError && inner.failure.type === RERAISE ? error : inner;
  }
}

function executeFor(
  statement: Extract<Statement, { kind: "for" }>,
  scope: Scope,
  interpreter: Interpreter,
): Completion {
  const items = iterate(interpreter.evaluate(statement.iterable, scope));
  if (items === null || items.length > MAX_ROUNDS) {
    assignNames(statement.target, unknown("it is set in a loop"), scope);
    forgetNames(statement.body, scope);
    return null;
  }
  for (const item of items) {
    assignNames(statement.target, item, scope);
    const completion = execute(statement.body, scope, interpreter);
    if (completion?.kind === "return") return completion;
    if (completion?.kind === "break") return null;
  }
  return execute(statement.otherwise, scope, interpreter);
}

function executeWith(
  statement: Extract<Statement, { kind: "with" }>,
  scope: Scope,
  interpreter: Interpreter,
): Completion {
  let suppressed: Value[] = [];
  for (const { value, target } of statement.items) {
    const isCall = value.kind === "call";
    const callee = isCall ? interpreter.evaluate(value.callee, scope) : null;
    if (isCall && callee?.kind === "known" && callee.name === "contextlib.suppress") {
      suppressed = value.args.map((arg) => interpreter.evaluate(arg.value, scope));
    } else interpreter.evaluate(value, scope);
    if (target !== null) assignNames(target, unknown("it comes from a with statement"), scope);
  }
  try {
    return execute(statement.body, scope, interpreter);
  } catch (error) {
    const isSuppressed =
      error instanceof PythonError &&
      suppressed.some((type) => type.kind !== "known" || catches(type.name, error.failure.type) !== false);
    if (!isSuppressed) throw error;
    return null;
  }
}
