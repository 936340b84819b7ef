import { assignNames } from "./assign.ts";
import type { Interpreter } from "./interpreter.ts";
import { iterate } from "./iterate.ts";
import type { Clause, Expression } from "./syntax.ts";
import { type DictEntry, putEntry, type Scope, truthOf, uniqueItems, unknown, type Value } from "./value.ts";

type Comprehension = Extract<Expression, { kind: "comprehension" }>;

const MAX_ITEMS = 10_000;

export function evaluateComprehension(expression: Comprehension, scope: Scope, interpreter: Interpreter): Value {
  const inner: Scope = { ...scope, names: new Map(), parent: scope, kind: "function", isOpen: false };
  const items: Value[] = [];
  const entries: DictEntry[] = [];
  const emit = (): void => {
    const element = interpreter.evaluate(expression.element, inner);
    items.push(element);
    if (expression.value !== null) putEntry(entries, element, interpreter.evaluate(expression.value, inner));
  };
  if (!runClauses(expression.clauses, inner, interpreter, emit) || items.length > MAX_ITEMS) {
    return unknown("what it goes through is not known");
  }
  if (expression.of === "dict") return { kind: "dict", entries };
  return expression.of === "set" ? { kind: "set", items: uniqueItems(items) } : { kind: "list", items };
}

/** False if it is not known how often the element is made. */
function runClauses(clauses: readonly Clause[], scope: Scope, interpreter: Interpreter, emit: () => void): boolean {
  const [clause, ...rest] = clauses;
  if (clause === undefined) {
    emit();
    return true;
  }
  if (clause.kind === "if") {
    const truth = truthOf(interpreter.evaluate(clause.test, scope));
    return truth === true ? runClauses(rest, scope, interpreter, emit) : truth === false;
  }
  const items = iterate(interpreter.evaluate(clause.iterable, scope));
  if (items === null || items.length > MAX_ITEMS) return false;
  return items.every((item) => {
    interpreter.step();
    assignNames(clause.target, item, scope);
    return runClauses(rest, scope, interpreter, emit);
  });
}
