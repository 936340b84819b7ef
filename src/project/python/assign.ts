import { iterate } from "./iterate.ts";
import type { Expression, Statement } from "./syntax.ts";
import { list, type Scope, unknown, type Value } from "./value.ts";

/** Binds the names of a target: `a`, `(a, b)`, `[a, *rest]`. Attributes and subscripts are no names. */
export function assignNames(target: Expression, value: Value, scope: Scope): void {
  if (target.kind === "name") {
    scope.names.set(target.name, value);
    return;
  }
  if (target.kind === "starred") {
    assignNames(target.operand, value, scope);
    return;
  }
  if (target.kind !== "tuple" && target.kind !== "list") return;
  const items = iterate(value);
  const starAt = target.items.findIndex((item) => item.kind === "starred");
  const surplus = (items?.length ?? 0) - target.items.length;
  for (const [index, item] of target.items.entries()) {
    if (items === null) assignNames(item, unknown("what it is taken from is not known"), scope);
    else if (index === starAt) assignNames(item, list(items.slice(index, index + surplus + 1)), scope);
    else {
      const position = starAt >= 0 && index > starAt ? index + surplus : index;
      assignNames(item, items[position] ?? unknown("there is nothing to take it from"), scope);
    }
  }
}

/** Every name that statements may bind in their scope, for when it is not known whether or how they run. */
export function namesBoundBy(statements: readonly Statement[]): Set<string> {
  const names = new Set<string>();
  for (const statement of statements) collect(statement, names);
  return names;
}

function collect(statement: Statement, names: Set<string>): void {
  const all = (statements: readonly Statement[]): void => {
    for (const inner of statements) collect(inner, names);
  };
  switch (statement.kind) {
    case "function":
    case "class":
    case "type-alias":
      names.add(statement.name);
      break;
    case "import":
    case "import-from":
      for (const { name, as } of statement.names) names.add(as ?? name.split(".")[0] ?? name);
      break;
    case "assign":
      for (const target of statement.targets) collectTarget(target, names);
      break;
    case "annotated":
    case "update":
      collectTarget(statement.target, names);
      break;
    case "if":
      for (const branch of statement.branches) all(branch.body);
      break;
    case "try":
      for (const body of [
        statement.body,
        statement.otherwise,
        statement.final,
        ...statement.handlers.map((one) => one.body),
      ])
        all(body);
      break;
    case "for":
      collectTarget(statement.target, names);
      all(statement.body);
      all(statement.otherwise);
      break;
    case "with":
      for (const item of statement.items) if (item.target !== null) collectTarget(item.target, names);
      all(statement.body);
      break;
    case "while":
      all(statement.body);
      break;
    case "match":
      for (const body of statement.bodies) all(body);
      break;
    default:
  }
}

function collectTarget(target: Expression, names: Set<string>): void {
  if (target.kind === "name") names.add(target.name);
  else if (target.kind === "starred") collectTarget(target.operand, names);
  else if (target.kind === "tuple" || target.kind === "list")
    for (const item of target.items) collectTarget(item, names);
}
