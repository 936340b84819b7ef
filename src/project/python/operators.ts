import { formatPercent } from "./format.ts";
import { PythonError, type Site } from "./interpreter.ts";
import { joinPath } from "./known-objects.ts";
import {
  areEqual,
  bool,
  type DictEntry,
  float,
  int,
  isSequence,
  lookUp,
  numberOf,
  putEntry,
  str,
  truthOf,
  uniqueItems,
  unknown,
  type Value,
} from "./value.ts";

/** Results longer than this are not worth computing for a signature. */
const MAX_LENGTH = 10_000;
const MAX_BITS = 4096;

export function applyUnary(operator: string, operand: Value): Value {
  if (operator === "not") {
    const truth = truthOf(operand);
    return truth === null ? unknown("its condition is not known") : bool(!truth);
  }
  const number = numberOf(operand);
  if (number !== null) {
    if (operator === "+") return toNumber(number);
    if (operator === "-") return toNumber(-number);
    if (operator === "~" && typeof number === "bigint") return int(~number);
  }
  return unknown(`the result of ${operator} is not known`);
}

export function applyBinary(operator: string, left: Value, right: Value, site: Site): Value {
  const [a, b] = [numberOf(left), numberOf(right)];
  if (a !== null && b !== null) return arithmetic(operator, a, b, site);
  const result = operator === "+" ? concatenate(left, right) : operator === "*" ? repeat(left, right) : null;
  if (result !== null) return result;
  if (operator === "|" && isTypeLike(left) && isTypeLike(right)) return uniteTypes([left, right]);
  if (operator === "|" && left.kind === "dict" && right.kind === "dict") return mergeDicts(left.entries, right.entries);
  if (operator === "%" && left.kind === "str") return formatPercent(left.value, right);
  if (operator === "/" && left.kind === "object") return joinPath(left, right);
  return setOperation(operator, left, right) ?? unknown(`the result of ${operator} is not known`);
}

function toNumber(value: bigint | number): Value {
  return typeof value === "bigint" ? int(value) : float(value);
}

function arithmetic(operator: string, a: bigint | number, b: bigint | number, site: Site): Value {
  if (/^(?:\/|\/\/|%)$/.test(operator) && Number(b) === 0)
    throw new PythonError("ZeroDivisionError", "division by zero", site);
  if (operator === "/") return float(Number(a) / Number(b));
  if (typeof a === "bigint" && typeof b === "bigint") return integerArithmetic(operator, a, b);
  const [x, y] = [Number(a), Number(b)];
  switch (operator) {
    case "+":
      return float(x + y);
    case "-":
      return float(x - y);
    case "*":
      return float(x * y);
    case "//":
      return float(Math.floor(x / y));
    case "%":
      return float(x - y * Math.floor(x / y));
    case "**":
      return float(x ** y);
    default:
      return unknown(`the result of ${operator} is not known`);
  }
}

function integerArithmetic(operator: string, a: bigint, b: bigint): Value {
  const bits = a.toString(2).length;
  if (bits > MAX_BITS || b.toString(2).length > MAX_BITS) return unknown("the number is too large");
  switch (operator) {
    case "+":
      return int(a + b);
    case "-":
      return int(a - b);
    case "*":
      return int(a * b);
    case "//":
      return int(floorDivide(a, b));
    case "%":
      return int(a - b * floorDivide(a, b));
    case "**":
      if (b < 0n) return float(Number(a) ** Number(b));
      return BigInt(bits) * b > MAX_BITS ? unknown("the number is too large") : int(a ** b);
    case "<<":
      return b < 0n || b > MAX_BITS ? unknown("the number is too large") : int(a << b);
    case ">>":
      return b < 0n || b > MAX_BITS ? unknown("the number is too large") : int(a >> b);
    case "&":
      return int(a & b);
    case "|":
      return int(a | b);
    case "^":
      return int(a ^ b);
    default:
      return unknown(`the result of ${operator} is not known`);
  }
}

function floorDivide(a: bigint, b: bigint): bigint {
  const quotient = a / b;
  return a % b !== 0n && a < 0n !== b < 0n ? quotient - 1n : quotient;
}

function concatenate(left: Value, right: Value): Value | null {
  if (left.kind === "str" && right.kind === "str") return limitedText(left.value + right.value, "str");
  if (left.kind === "bytes" && right.kind === "bytes") return limitedText(left.value + right.value, "bytes");
  if ((left.kind === "list" || left.kind === "tuple") && isSequence(right) && left.kind === right.kind) {
    const items = [...left.items, ...right.items];
    return items.length > MAX_LENGTH ? unknown("it is too long") : { kind: left.kind, items };
  }
  return null;
}

function limitedText(value: string, kind: "str" | "bytes"): Value {
  return value.length > MAX_LENGTH ? unknown("it is too long") : { kind, value };
}

function repeat(left: Value, right: Value): Value | null {
  if (left.kind === "int" || left.kind === "bool")
    return right.kind === "int" || right.kind === "bool" ? null : repeat(right, left);
  const times = numberOf(right);
  if (typeof times !== "bigint") return null;
  const count = times < 0n ? 0 : Number(times);
  if (left.kind === "str")
    return left.value.length * count > MAX_LENGTH ? unknown("it is too long") : str(left.value.repeat(count));
  if (left.kind !== "list" && left.kind !== "tuple") return null;
  if (left.items.length * count > MAX_LENGTH) return unknown("it is too long");
  return { kind: left.kind, items: Array.from({ length: count }, () => left.items).flat() };
}

function mergeDicts(left: readonly DictEntry[], right: readonly DictEntry[]): Value {
  const entries = left.map((entry) => ({ ...entry }));
  for (const entry of right) putEntry(entries, entry.key, entry.value);
  return { kind: "dict", entries };
}

function setOperation(operator: string, left: Value, right: Value): Value | null {
  if ((left.kind !== "set" && left.kind !== "frozenset") || !isSequence(right)) return null;
  const isInRight = (item: Value): boolean => right.items.some((other) => areEqual(item, other) === true);
  if (operator === "|") return { kind: left.kind, items: uniqueItems([...left.items, ...right.items]) };
  if (operator === "&") return { kind: left.kind, items: left.items.filter(isInRight) };
  if (operator === "-") return { kind: left.kind, items: left.items.filter((item) => !isInRight(item)) };
  return null;
}

/** Whether a value can stand in `X | Y` as a type. */
export function isTypeLike(value: Value): boolean {
  return /^(?:known|class|generic|union|annotated|literal|newtype|typevar|alias|none|unknown)$/.test(value.kind);
}

/** `Union[…]`: flat, each member once. */
export function uniteTypes(types: readonly Value[]): Value {
  const members: Value[] = [];
  for (const type of types) {
    for (const member of type.kind === "union" ? type.members : [type]) {
      if (!members.some((other) => isSameType(other, member))) members.push(member);
    }
  }
  const [only] = members;
  return members.length === 1 && only !== undefined ? only : { kind: "union", members };
}

export function isSameType(a: Value, b: Value): boolean {
  if (a === b) return true;
  if (a.kind === "known" && b.kind === "known") return a.name === b.name;
  if (a.kind === "none" && b.kind === "none") return true;
  if (a.kind === "generic" && b.kind === "generic") {
    return (
      isSameType(a.origin, b.origin) &&
      a.args.length === b.args.length &&
      a.args.every((arg, index) => isSameType(arg, b.args[index] ?? arg))
    );
  }
  if (a.kind === "str" && b.kind === "str") return a.value === b.value;
  return false;
}

/** Python's comparison; null if the result is not known. */
export function compare(operator: string, left: Value, right: Value): boolean | null {
  switch (operator) {
    case "==":
      return areEqual(left, right);
    case "!=":
      return negate(areEqual(left, right));
    case "is":
      return isIdentical(left, right);
    case "is not":
      return negate(isIdentical(left, right));
    case "in":
      return contains(right, left);
    case "not in":
      return negate(contains(right, left));
    default:
      return order(operator, left, right);
  }
}

function negate(value: boolean | null): boolean | null {
  return value === null ? null : !value;
}

function isIdentical(left: Value, right: Value): boolean | null {
  if (left === right) return true;
  if (left.kind === "none" || right.kind === "none") return areEqual(left, right);
  if (left.kind === "bool" && right.kind === "bool") return left.value === right.value;
  if (left.kind === "member" || right.kind === "member") return areEqual(left, right);
  return null;
}

function contains(container: Value, item: Value): boolean | null {
  if (container.kind === "str" && item.kind === "str") return container.value.includes(item.value);
  if (container.kind === "dict") {
    const { found, isCertain } = lookUp(container.entries, item);
    return found !== null ? true : isCertain ? false : null;
  }
  if (!isSequence(container)) return null;
  const results = container.items.map((other) => areEqual(other, item));
  if (results.includes(true)) return true;
  return results.includes(null) ? null : false;
}

function order(operator: string, left: Value, right: Value): boolean | null {
  let [a, b]: [bigint | number | string | null, bigint | number | string | null] = [numberOf(left), numberOf(right)];
  if (left.kind === "str" && right.kind === "str") [a, b] = [left.value, right.value];
  if (a === null || b === null) return null;
  switch (operator) {
    case "<":
      return a < b;
    case "<=":
      return a <= b;
    case ">":
      return a > b;
    case ">=":
      return a >= b;
    default:
      return null;
  }
}
