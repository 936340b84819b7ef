import { childrenOf, isOperand, opaque, type Reader, type SyntaxNode } from "./parse-node.ts";
import { parseParameters } from "./parse-parameters.ts";
import { parseString } from "./parse-string.ts";
import type { Argument, Clause, ComprehensionKind, Expression } from "./syntax.ts";

/** Deeper nesting than this is read as unknown: real code stays below 30, and the readers recurse. */
const MAX_DEPTH = 200;

const COMPREHENSIONS: Readonly<Record<string, ComprehensionKind>> = {
  ArrayComprehensionExpression: "list",
  SetComprehensionExpression: "set",
  DictionaryComprehensionExpression: "dict",
  ComprehensionExpression: "generator",
};

export function parseExpression(node: SyntaxNode, reader: Reader): Expression {
  if (reader.depth >= MAX_DEPTH) return opaque(node);
  reader.depth += 1;
  try {
    return parseByName(node, reader);
  } finally {
    reader.depth -= 1;
  }
}

function parseByName(node: SyntaxNode, reader: Reader): Expression {
  const at = node.from;
  switch (node.name) {
    case "VariableName":
      return { kind: "name", at, name: reader.textOf(node).normalize("NFKC") };
    case "Number":
      return parseNumber(reader.textOf(node), node);
    case "String":
    case "ContinuedString":
    case "FormatString":
      return parseString(node, reader);
    case "Boolean":
      return { kind: reader.textOf(node) === "True" ? "true" : "false", at };
    case "None":
      return { kind: "none", at };
    case "Ellipsis":
      return { kind: "ellipsis", at };
    case "ParenthesizedExpression": {
      const inner = operandsOf(node, reader)[0];
      return inner === undefined ? opaque(node) : inner;
    }
    case "TupleExpression":
      return { kind: "tuple", at, items: operandsOf(node, reader) };
    case "ArrayExpression":
      return { kind: "list", at, items: operandsOf(node, reader) };
    case "SetExpression":
      return { kind: "set", at, items: operandsOf(node, reader) };
    case "DictionaryExpression":
      return parseDictionary(node, reader);
    case "MemberExpression":
      return parseMember(node, reader);
    case "CallExpression":
      return parseCall(node, reader);
    case "LambdaExpression":
      return parseLambda(node, reader);
    default:
      return parseOperation(node, reader);
  }
}

function parseOperation(node: SyntaxNode, reader: Reader): Expression {
  const at = node.from;
  const parts = childrenOf(node);
  const comprehension = COMPREHENSIONS[node.name];
  if (comprehension !== undefined) return parseComprehension(parts.slice(1, -1), comprehension, node, reader);
  switch (node.name) {
    case "BinaryExpression":
      return parseBinary(node, reader);
    case "UnaryExpression": {
      const [operator, operand] = parts;
      if (operator === undefined || operand === undefined) return opaque(node);
      return { kind: "unary", at, operator: reader.textOf(operator), operand: parseExpression(operand, reader) };
    }
    case "ConditionalExpression": {
      const [then, test, otherwise] = operandsOf(node, reader);
      if (then === undefined || test === undefined || otherwise === undefined) return opaque(node);
      return { kind: "conditional", at, test, then, otherwise };
    }
    case "NamedExpression": {
      const [name, , value] = parts;
      if (name === undefined || value === undefined) return opaque(node);
      return { kind: "walrus", at, name: reader.textOf(name), value: parseExpression(value, reader) };
    }
    default:
      return opaque(node);
  }
}

/** The operands among a node's children: everything but punctuation, keywords and comments, stars applied. */
function operandsOf(node: SyntaxNode, reader: Reader): Expression[] {
  return parseOperands(childrenOf(node), reader);
}

/** Comma-separated operands from a run of nodes; `*x` becomes a starred one. */
export function parseOperands(nodes: readonly SyntaxNode[], reader: Reader): Expression[] {
  const operands: Expression[] = [];
  let star: SyntaxNode | null = null;
  for (const node of nodes) {
    if (node.name === "*") {
      star = node;
      continue;
    }
    if (!isOperand(node)) continue;
    const operand = parseExpression(node, reader);
    operands.push(star === null ? operand : { kind: "starred", at: star.from, operand });
    star = null;
  }
  return operands;
}

/** One value from a run of nodes: `1, 2` without parentheses is a tuple; null if there is none. */
export function parseExpressionList(nodes: readonly SyntaxNode[], reader: Reader): Expression | null {
  const operands = parseOperands(nodes, reader);
  const first = operands[0];
  if (first === undefined) return null;
  const isTuple = operands.length > 1 || nodes.some((node) => node.name === ",");
  return isTuple ? { kind: "tuple", at: first.at, items: operands } : first;
}

function parseNumber(text: string, node: SyntaxNode): Expression {
  const at = node.from;
  const digits = text.replaceAll("_", "").toLowerCase();
  if (digits.endsWith("j")) return { kind: "complex", at, imaginary: Number(digits.slice(0, -1)) };
  if (/^(0x[\da-f]+|0o[0-7]+|0b[01]+|\d+)$/.test(digits)) {
    return digits.length > 400 ? opaque(node) : { kind: "int", at, value: BigInt(digits) };
  }
  const value = Number(digits);
  return Number.isNaN(value) ? opaque(node) : { kind: "float", at, value };
}

function parseDictionary(node: SyntaxNode, reader: Reader): Expression {
  const entries: { key: Expression | null; value: Expression }[] = [];
  let key: Expression | null = null;
  let isSplat = false;
  for (const part of childrenOf(node)) {
    if (part.name === "**") isSplat = true;
    if (!isOperand(part)) continue;
    const operand = parseExpression(part, reader);
    if (isSplat || key !== null) {
      entries.push({ key, value: operand });
      key = null;
      isSplat = false;
    } else key = operand;
  }
  return key === null ? { kind: "dict", at: node.from, entries } : opaque(node);
}

function parseMember(node: SyntaxNode, reader: Reader): Expression {
  const [target, mark, ...rest] = childrenOf(node);
  if (target === undefined || mark === undefined) return opaque(node);
  const object = parseExpression(target, reader);
  if (mark.name === ".") {
    const property = rest[0];
    // `5.` and `5.e3` are numbers that the grammar takes for an attribute.
    if (target.name === "Number") return parseNumber(reader.textOf(node), node);
    return property === undefined
      ? opaque(node)
      : { kind: "attribute", at: node.from, object, name: reader.textOf(property) };
  }
  const items = splitAtCommas(rest.filter((part) => part.name !== "]"));
  const parsed = items.groups.map((group) => parseIndex(group, node, reader));
  const first = parsed[0];
  if (first === undefined) return opaque(node);
  const isTuple = parsed.length > 1 || items.hasComma;
  const index: Expression = isTuple ? { kind: "tuple", at: first.at, items: parsed } : first;
  return { kind: "subscript", at: node.from, object, index };
}

function splitAtCommas(nodes: readonly SyntaxNode[]): { groups: SyntaxNode[][]; hasComma: boolean } {
  const groups: SyntaxNode[][] = [[]];
  for (const node of nodes) {
    if (node.name === ",") groups.push([]);
    else groups.at(-1)?.push(node);
  }
  return { groups: groups.filter((group) => group.length > 0), hasComma: groups.length > 1 };
}

function parseIndex(nodes: readonly SyntaxNode[], parent: SyntaxNode, reader: Reader): Expression {
  if (!nodes.some((node) => node.name === ":")) return parseOperands(nodes, reader)[0] ?? opaque(parent);
  const bounds: (Expression | null)[] = [null, null, null];
  let position = 0;
  for (const node of nodes) {
    if (node.name === ":") position += 1;
    else if (isOperand(node)) bounds[position] = parseExpression(node, reader);
  }
  const [start = null, stop = null, step = null] = bounds;
  return { kind: "slice", at: nodes[0]?.from ?? parent.from, start, stop, step };
}

function parseCall(node: SyntaxNode, reader: Reader): Expression {
  const [callee, list] = childrenOf(node);
  if (callee === undefined || list === undefined) return opaque(node);
  return { kind: "call", at: node.from, callee: parseExpression(callee, reader), args: parseArguments(list, reader) };
}

/** The arguments of a call, a decorator or a class. */
export function parseArguments(list: SyntaxNode, reader: Reader): Argument[] {
  const inner = childrenOf(list).filter((node) => node.name !== "(" && node.name !== ")");
  if (inner.some((node) => node.name === "for")) {
    return [{ name: null, star: "", value: parseComprehension(inner, "generator", list, reader) }];
  }
  const args: Argument[] = [];
  for (const group of splitAtCommas(inner).groups) {
    const value = group.findLast(isOperand);
    if (value === undefined) continue;
    const [first, second] = group;
    const star = first?.name === "*" ? "*" : first?.name === "**" ? "**" : "";
    const isNamed = first !== undefined && second?.name === "AssignOp" && value !== first;
    args.push({ name: isNamed ? reader.textOf(first) : null, star, value: parseExpression(value, reader) });
  }
  return args;
}

function parseComprehension(
  parts: readonly SyntaxNode[],
  of: ComprehensionKind,
  node: SyntaxNode,
  reader: Reader,
): Expression {
  const start = parts.findIndex((part) => part.name === "for" || part.name === "async");
  const [element, value = null] = parseOperands(parts.slice(0, start), reader);
  const clauses = parseClauses(parts.slice(start), reader);
  if (element === undefined || clauses === null) return opaque(node);
  return { kind: "comprehension", at: node.from, of, element, value, clauses };
}

function parseClauses(parts: readonly SyntaxNode[], reader: Reader): Clause[] | null {
  const clauses: Clause[] = [];
  let words: { word: string; nodes: SyntaxNode[] }[] = [];
  for (const part of parts) {
    if (part.name === "async") return null;
    if (part.name === "for" || part.name === "in" || part.name === "if") words.push({ word: part.name, nodes: [] });
    else words.at(-1)?.nodes.push(part);
  }
  while (words.length > 0) {
    const [first, second] = words;
    const value = parseExpressionList(first?.nodes ?? [], reader);
    if (first === undefined || value === null) return null;
    if (first.word === "if") {
      clauses.push({ kind: "if", test: value });
      words = words.slice(1);
      continue;
    }
    const iterable = parseExpressionList(second?.nodes ?? [], reader);
    if (second?.word !== "in" || iterable === null) return null;
    clauses.push({ kind: "for", target: value, iterable });
    words = words.slice(2);
  }
  return clauses;
}

function parseLambda(node: SyntaxNode, reader: Reader): Expression {
  const parts = childrenOf(node);
  const list = parts.find((part) => part.name === "ParamList");
  const body = parts.findLast(isOperand);
  if (list === undefined || body === undefined || body === list) return opaque(node);
  const parameters = parseParameters(list, reader);
  return { kind: "lambda", at: node.from, parameters, body: parseExpression(body, reader) };
}

function parseBinary(node: SyntaxNode, reader: Reader): Expression {
  const parts = childrenOf(node);
  const [left, right] = [parts[0], parts.at(-1)];
  const operator = parts
    .slice(1, -1)
    .map((part) => reader.textOf(part))
    .join(" ");
  if (left === undefined || right === undefined || operator === "") return opaque(node);
  const operand = parseExpression(right, reader);
  if (operator === "and" || operator === "or") {
    return { kind: "logical", at: node.from, operator, left: parseExpression(left, reader), right: operand };
  }
  if (!/^(?:[<>]=?|[=!]=|in|is|not in|is not)$/.test(operator)) {
    return { kind: "binary", at: node.from, operator, left: parseExpression(left, reader), right: operand };
  }
  const before = parseExpression(left, reader);
  // `a < b < c` nests to the left; parentheses would make the left one a ParenthesizedExpression.
  const isChain = before.kind === "compare" && left.name === "BinaryExpression";
  return isChain
    ? { ...before, rest: [...before.rest, { operator, operand }] }
    : { kind: "compare", at: node.from, first: before, rest: [{ operator, operand }] };
}
