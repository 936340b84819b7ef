import { parseClass, parseFunction } from "./parse-definition.ts";
import { parseExpressionList, parseOperands } from "./parse-expression.ts";
import { parseImport } from "./parse-import.ts";
import { childrenOf, isOperand, type Reader, type SyntaxNode } from "./parse-node.ts";
import type { Expression, Handler, Statement } from "./syntax.ts";

const MAX_BLOCK_DEPTH = 100;

/** The statements of a file or of a `Body`. */
export function parseBlock(nodes: readonly SyntaxNode[], reader: Reader): Statement[] {
  if (reader.depth >= MAX_BLOCK_DEPTH) return [];
  reader.depth += 1;
  const statements: Statement[] = [];
  for (const node of nodes) {
    if (node.name === "StatementGroup")
      statements.push(
        ...childrenOf(node)
          .filter(isStatement)
          .map((one) => parseStatement(one, reader)),
      );
    else if (isStatement(node)) statements.push(parseStatement(node, reader));
  }
  reader.depth -= 1;
  return statements;
}

function isStatement(node: SyntaxNode): boolean {
  return /^[A-Z]/.test(node.name);
}

function parseStatement(node: SyntaxNode, reader: Reader): Statement {
  const at = node.from;
  const parts = childrenOf(node);
  switch (node.name) {
    case "FunctionDefinition":
      return parseFunction(node, [], reader);
    case "ClassDefinition":
      return parseClass(node, [], reader);
    case "DecoratedStatement": {
      const decorators = parts.filter((part) => part.name === "Decorator");
      const definition = parts.find((part) => /Definition$/.test(part.name));
      if (definition?.name === "FunctionDefinition") return parseFunction(definition, decorators, reader);
      if (definition?.name === "ClassDefinition") return parseClass(definition, decorators, reader);
      return { kind: "opaque", at, what: node.name };
    }
    case "ImportStatement":
      return parseImport(node, reader);
    case "AssignStatement":
      return parseAssign(node, reader);
    case "UpdateStatement": {
      const operator = parts.find((part) => part.name === "UpdateOp");
      const target = parts.find(isOperand);
      const value = operator && parseExpressionList(parts.slice(parts.indexOf(operator) + 1), reader);
      if (operator === undefined || target === undefined || !value) return { kind: "opaque", at, what: node.name };
      const sign = reader.textOf(operator).slice(0, -1);
      return { kind: "update", at, target: reader.expression(target), operator: sign, value };
    }
    case "ExpressionStatement": {
      const value = parseExpressionList(parts, reader);
      return value === null ? { kind: "pass", at } : { kind: "expression", at, value };
    }
    default:
      return parseSimple(node, parts, reader) ?? parseCompound(node, parts, reader);
  }
}

function parseSimple(node: SyntaxNode, parts: readonly SyntaxNode[], reader: Reader): Statement | null {
  const at = node.from;
  switch (node.name) {
    case "PassStatement":
      return { kind: "pass", at };
    case "BreakStatement":
      return { kind: "break", at };
    case "ContinueStatement":
      return { kind: "continue", at };
    case "ReturnStatement":
      return { kind: "return", at, value: parseExpressionList(parts, reader) };
    case "RaiseStatement":
      return { kind: "raise", at, value: parseOperands(parts, reader)[0] ?? null };
    case "AssertStatement": {
      const test = parseOperands(parts, reader)[0];
      return test === undefined ? null : { kind: "assert", at, test };
    }
    case "DeleteStatement":
      return { kind: "delete", at, targets: parseOperands(parts, reader) };
    case "ScopeStatement": {
      const names = parts.filter(isOperand).map((part) => reader.textOf(part));
      return { kind: "scope", at, global: parts[0]?.name === "global", names };
    }
    case "TypeDefinition": {
      const operands = parts.filter((part) => isOperand(part) && part.name !== "TypeParamList");
      const [name, value] = operands;
      if (name === undefined || value === undefined) return null;
      return {
        kind: "type-alias",
        at,
        name: reader.textOf(name),
        typeParameters: [],
        value: reader.expression(value),
      };
    }
    default:
      return null;
  }
}

function parseCompound(node: SyntaxNode, parts: readonly SyntaxNode[], reader: Reader): Statement {
  const at = node.from;
  switch (node.name) {
    case "IfStatement":
      return parseIf(node, parts, reader);
    case "TryStatement":
      return parseTry(node, parts, reader);
    case "ForStatement": {
      const heads = splitByWords(parts, ["for", "in"]);
      const target = parseExpressionList(heads.get("for") ?? [], reader);
      const iterable = parseExpressionList(heads.get("in") ?? [], reader);
      const [body, otherwise] = parts.filter((part) => part.name === "Body");
      if (target === null || iterable === null) return { kind: "opaque", at, what: node.name };
      return {
        kind: "for",
        at,
        target,
        iterable,
        body: reader.body(body),
        otherwise: reader.body(otherwise),
      };
    }
    case "WhileStatement": {
      const test = parts.find((part) => isOperand(part) && part.name !== "Body");
      const body = reader.body(parts.find((part) => part.name === "Body"));
      return test === undefined
        ? { kind: "opaque", at, what: node.name }
        : { kind: "while", at, test: reader.expression(test), body };
    }
    case "WithStatement":
      return { kind: "with", at, items: parseWithItems(parts, reader), body: reader.body(parts.at(-1)) };
    case "MatchStatement": {
      const clauses = parts.filter((part) => part.name === "MatchBody").flatMap((body) => childrenOf(body));
      const bodies = clauses.flatMap((clause) => childrenOf(clause).filter((part) => part.name === "Body"));
      return { kind: "match", at, bodies: bodies.map((body) => reader.body(body)) };
    }
    default:
      return { kind: "opaque", at, what: node.name };
  }
}

/** Groups nodes under the keyword before them; a `Body` ends the run. */
function splitByWords(parts: readonly SyntaxNode[], words: readonly string[]): Map<string, SyntaxNode[]> {
  const runs = new Map<string, SyntaxNode[]>();
  let run: SyntaxNode[] | null = null;
  for (const part of parts) {
    if (part.name === "Body") run = null;
    else if (words.includes(part.name)) {
      run = [];
      runs.set(part.name, run);
    } else run?.push(part);
  }
  return runs;
}

function parseAssign(node: SyntaxNode, reader: Reader): Statement {
  const at = node.from;
  const parts = childrenOf(node);
  const runs: SyntaxNode[][] = [[]];
  for (const part of parts) {
    if (part.name === "AssignOp") runs.push([]);
    else runs.at(-1)?.push(part);
  }
  const value = runs.length > 1 ? parseExpressionList(runs.at(-1) ?? [], reader) : null;
  const type = parts.find((part) => part.name === "TypeDef");
  if (type !== undefined) {
    const annotation = childrenOf(type).find(isOperand);
    const target = parts.find(isOperand);
    if (annotation === undefined || target === undefined) return { kind: "opaque", at, what: node.name };
    return {
      kind: "annotated",
      at,
      target: reader.expression(target),
      annotation: reader.expression(annotation),
      value,
    };
  }
  const targets: Expression[] = [];
  for (const run of runs.slice(0, -1)) {
    const target = parseExpressionList(run, reader);
    if (target !== null) targets.push(target);
  }
  return value === null ? { kind: "opaque", at, what: node.name } : { kind: "assign", at, targets, value };
}

function parseIf(node: SyntaxNode, parts: readonly SyntaxNode[], reader: Reader): Statement {
  const branches: { test: Expression | null; body: Statement[] }[] = [];
  let test: Expression | null = null;
  for (const part of parts) {
    if (part.name === "Body") {
      branches.push({ test, body: reader.body(part) });
      test = null;
    } else if (isOperand(part)) test = reader.expression(part);
  }
  return { kind: "if", at: node.from, branches };
}

function parseTry(node: SyntaxNode, parts: readonly SyntaxNode[], reader: Reader): Statement {
  const handlers: Handler[] = [];
  const blocks = new Map<string, Statement[]>();
  let word = "";
  let head: SyntaxNode[] = [];
  for (const part of parts) {
    if (["try", "except", "else", "finally"].includes(part.name)) {
      word = part.name;
      head = [];
    } else if (part.name !== "Body") head.push(part);
    else if (word === "except") handlers.push({ ...parseHandlerHead(head, reader), body: reader.body(part) });
    else blocks.set(word, reader.body(part));
  }
  const [body, otherwise, final] = ["try", "else", "finally"].map((name) => blocks.get(name) ?? []);
  return { kind: "try", at: node.from, body: body ?? [], handlers, otherwise: otherwise ?? [], final: final ?? [] };
}

function parseHandlerHead(head: readonly SyntaxNode[], reader: Reader): Omit<Handler, "body"> {
  const as = head.findIndex((part) => part.name === "as");
  const types = head.slice(0, as < 0 ? undefined : as).filter((part) => part.name !== "*");
  const name = as < 0 ? undefined : head[as + 1];
  return { type: parseExpressionList(types, reader), name: name === undefined ? null : reader.textOf(name) };
}

function parseWithItems(
  parts: readonly SyntaxNode[],
  reader: Reader,
): { value: Expression; target: Expression | null }[] {
  const items: { value: Expression; target: Expression | null }[] = [];
  let isTarget = false;
  for (const part of parts) {
    if (part.name === "Body") break;
    if (part.name === "as") isTarget = true;
    if (!isOperand(part)) continue;
    const operand = reader.expression(part);
    const last = items.at(-1);
    if (isTarget && last !== undefined) last.target = operand;
    else items.push({ value: operand, target: null });
    isTarget = false;
  }
  return items;
}
