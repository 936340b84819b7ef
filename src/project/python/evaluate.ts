import { evaluateComprehension } from "./comprehension.ts";
import { formatParts } from "./format.ts";
import { type Interpreter, PythonError, type Site } from "./interpreter.ts";
import { builtinValue } from "./known-names.ts";
import { applyBinary, applyUnary, compare } from "./operators.ts";
import { subscript } from "./subscript.ts";
import type { Argument, Expression } from "./syntax.ts";
import {
  areEqual,
  bool,
  type CallArguments,
  type DictEntry,
  FALSE,
  float,
  int,
  isSequence,
  NONE,
  putEntry,
  type Scope,
  str,
  TRUE,
  truthOf,
  uniqueItems,
  unknown,
  type Value,
} from "./value.ts";

/** The value of an expression in a scope. Throws PythonError where Python certainly would. */
export function evaluate(expression: Expression, scope: Scope, interpreter: Interpreter): Value {
  interpreter.step();
  switch (expression.kind) {
    case "name":
      return lookUpName(expression.name, { scope, at: expression.at }, interpreter);
    case "none":
      return NONE;
    case "true":
      return TRUE;
    case "false":
      return FALSE;
    case "ellipsis":
      return { kind: "ellipsis" };
    case "int":
      return int(expression.value);
    case "float":
      return float(expression.value);
    case "complex":
      return { kind: "complex", real: 0, imaginary: expression.imaginary };
    case "string":
      return str(expression.value);
    case "bytes":
      return { kind: "bytes", value: expression.value };
    case "format":
      return formatParts(expression.parts, (part) => interpreter.evaluate(part, scope));
    case "opaque":
      return unknown("it is written in a way that is not understood");
    default:
      return evaluateCompound(expression, scope, interpreter);
  }
}

type Compound = Exclude<
  Expression,
  {
    kind:
      | "name"
      | "none"
      | "true"
      | "false"
      | "ellipsis"
      | "int"
      | "float"
      | "complex"
      | "string"
      | "bytes"
      | "format"
      | "opaque";
  }
>;

function evaluateCompound(expression: Compound, scope: Scope, interpreter: Interpreter): Value {
  const site: Site = { scope, at: expression.at };
  const value = (part: Expression): Value => interpreter.evaluate(part, scope);
  switch (expression.kind) {
    case "attribute":
      return interpreter.getAttribute(value(expression.object), expression.name, site);
    case "subscript":
      return subscript(value(expression.object), value(expression.index), site);
    case "slice": {
      const [start, stop, step] = [expression.start, expression.stop, expression.step].map((part) =>
        part ? value(part) : NONE,
      );
      return { kind: "slice", start: start ?? NONE, stop: stop ?? NONE, step: step ?? NONE };
    }
    case "call": {
      const callee = value(expression.callee);
      return interpreter.call(callee, evaluateArguments(expression.args, scope, interpreter), site);
    }
    case "unary":
      return applyUnary(expression.operator, value(expression.operand));
    case "binary":
      return applyBinary(expression.operator, value(expression.left), value(expression.right), site);
    case "logical":
      return evaluateLogical(expression, value);
    case "compare":
      return evaluateComparison(expression, value);
    case "conditional": {
      const test = truthOf(value(expression.test));
      if (test === null) return unknown("its condition is not known");
      return value(test ? expression.then : expression.otherwise);
    }
    case "lambda":
      return evaluateLambda(expression, scope, value);
    case "list":
    case "tuple":
    case "set":
      return evaluateItems(expression, value);
    case "dict":
      return evaluateDict(expression, value);
    case "comprehension":
      return evaluateComprehension(expression, scope, interpreter);
    case "walrus": {
      const result = value(expression.value);
      scope.names.set(expression.name, result);
      return result;
    }
    default:
      return unknown("a star stands where none is understood");
  }
}

function lookUpName(name: string, site: Site, interpreter: Interpreter): Value {
  let isOpen = false;
  for (let scope: Scope | null = site.scope; scope !== null; scope = scope.parent) {
    // A class body's names are visible in the body itself, not in the functions defined there.
    if (scope.kind === "class" && scope !== site.scope) continue;
    const value = scope.names.get(name);
    if (value !== undefined) return value;
    isOpen ||= scope.isOpen;
  }
  const builtin = builtinValue(name);
  if (builtin !== null) return builtin;
  if (isOpen || interpreter.speculation > 0) return unknown(`where ${name} comes from is not known`);
  throw new PythonError("NameError", `name '${name}' is not defined`, site);
}

/** Arguments as a call gets them; stars of known values are spread out. */
export function evaluateArguments(args: readonly Argument[], scope: Scope, interpreter: Interpreter): CallArguments {
  const result: CallArguments = { positional: [], named: new Map(), isPartial: false };
  for (const arg of args) {
    const value = interpreter.evaluate(arg.value, scope);
    if (arg.star === "*") {
      if (isSequence(value)) result.positional.push(...value.items);
      else result.isPartial = true;
    } else if (arg.star === "**") {
      if (value.kind !== "dict") result.isPartial = true;
      else
        for (const entry of value.entries) if (entry.key.kind === "str") result.named.set(entry.key.value, entry.value);
    } else if (arg.name === null) result.positional.push(value);
    else result.named.set(arg.name, value);
  }
  return result;
}

function evaluateLogical(
  expression: Extract<Expression, { kind: "logical" }>,
  value: (part: Expression) => Value,
): Value {
  const left = value(expression.left);
  const truth = truthOf(left);
  if (truth === null) return unknown("its condition is not known");
  return truth === (expression.operator === "or") ? left : value(expression.right);
}

function evaluateComparison(
  expression: Extract<Expression, { kind: "compare" }>,
  value: (part: Expression) => Value,
): Value {
  let left = value(expression.first);
  for (const { operator, operand } of expression.rest) {
    const right = value(operand);
    const result = compare(operator, left, right);
    if (result === null) return unknown("its comparison is not known");
    if (!result) return FALSE;
    left = right;
  }
  return bool(true);
}

function evaluateLambda(
  expression: Extract<Expression, { kind: "lambda" }>,
  scope: Scope,
  value: (part: Expression) => Value,
): Value {
  return {
    kind: "function",
    name: "<lambda>",
    docstring: null,
    definition: {
      parameters: expression.parameters,
      isAsync: false,
      isGenerator: false,
      at: expression.at,
      body: expression.body,
    },
    parameters: expression.parameters.map((parameter) => ({
      name: parameter.name,
      kind: parameter.kind,
      at: parameter.at,
      default: parameter.default === null ? null : value(parameter.default),
      annotation: null,
    })),
    returns: null,
    scope,
    wrapped: null,
    decoratedBy: null,
  };
}

function evaluateItems(
  expression: Extract<Expression, { kind: "list" | "tuple" | "set" }>,
  value: (part: Expression) => Value,
): Value {
  const items: Value[] = [];
  for (const item of expression.items) {
    if (item.kind !== "starred") {
      items.push(value(item));
      continue;
    }
    const spread = value(item.operand);
    if (!isSequence(spread)) return unknown("what is spread into it is not known");
    items.push(...spread.items);
  }
  return { kind: expression.kind, items: expression.kind === "set" ? uniqueItems(items) : items };
}

function evaluateDict(expression: Extract<Expression, { kind: "dict" }>, value: (part: Expression) => Value): Value {
  const entries: DictEntry[] = [];
  for (const entry of expression.entries) {
    const result = value(entry.value);
    if (entry.key !== null) {
      const key = value(entry.key);
      if (areEqual(key, key) === null) entries.push({ key, value: result });
      else putEntry(entries, key, result);
    } else if (result.kind === "dict") for (const inner of result.entries) putEntry(entries, inner.key, inner.value);
    else return unknown("what is spread into it is not known");
  }
  return { kind: "dict", entries };
}
