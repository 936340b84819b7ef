import { parseArguments } from "./parse-expression.ts";
import { childrenOf, isOperand, type Reader, type SyntaxNode } from "./parse-node.ts";
import { parseParameters } from "./parse-parameters.ts";
import type { Argument, ClassDefinition, Expression, FunctionDefinition, Statement, TypeParameter } from "./syntax.ts";

export function parseFunction(node: SyntaxNode, decorators: readonly SyntaxNode[], reader: Reader): FunctionDefinition {
  const parts = childrenOf(node);
  const list = parts.find((part) => part.name === "ParamList");
  const bodyNode = parts.find((part) => part.name === "Body");
  const body = reader.body(bodyNode);
  const returns = parts.find((part) => part.name === "TypeDef");
  const returned = returns === undefined ? undefined : childrenOf(returns).find(isOperand);
  return {
    kind: "function",
    at: decorators[0]?.from ?? node.from,
    definedAt: node.from,
    name: nameOf(parts, reader),
    isAsync: parts.some((part) => part.name === "async"),
    isGenerator: bodyNode !== undefined && hasYield(bodyNode),
    decorators: decorators.map((decorator) => parseDecorator(decorator, reader)),
    typeParameters: parseTypeParameters(parts, reader),
    parameters: list === undefined ? [] : parseParameters(list, reader),
    returns: returned === undefined ? null : reader.expression(returned),
    body,
    docstring: docstringOf(body),
  };
}

export function parseClass(node: SyntaxNode, decorators: readonly SyntaxNode[], reader: Reader): ClassDefinition {
  const parts = childrenOf(node);
  const list = parts.find((part) => part.name === "ArgList");
  const body = reader.body(parts.find((part) => part.name === "Body"));
  const args: Argument[] = list === undefined ? [] : parseArguments(list, reader);
  return {
    kind: "class",
    at: decorators[0]?.from ?? node.from,
    name: nameOf(parts, reader),
    decorators: decorators.map((decorator) => parseDecorator(decorator, reader)),
    typeParameters: parseTypeParameters(parts, reader),
    args,
    body,
    docstring: docstringOf(body),
  };
}

function nameOf(parts: readonly SyntaxNode[], reader: Reader): string {
  const name = parts.find((part) => part.name === "VariableName");
  return name === undefined ? "" : reader.textOf(name).normalize("NFKC");
}

function docstringOf(body: readonly Statement[]): string | null {
  const first = body[0];
  return first?.kind === "expression" && first.value.kind === "string" ? first.value.value : null;
}

/** A `Decorator` is flat: names, dots and at most one argument list. */
function parseDecorator(node: SyntaxNode, reader: Reader): Expression {
  const parts = childrenOf(node).filter((part) => part.name !== "At");
  let value: Expression | null = null;
  for (const part of parts) {
    if (part.name === "." || part.name === "Comment") continue;
    if (value === null) value = reader.expression(part);
    else if (part.name === "ArgList")
      value = { kind: "call", at: value.at, callee: value, args: parseArguments(part, reader) };
    else value = { kind: "attribute", at: value.at, object: value, name: reader.textOf(part) };
  }
  return value ?? { kind: "opaque", at: node.from, what: node.name };
}

function parseTypeParameters(parts: readonly SyntaxNode[], reader: Reader): TypeParameter[] {
  const list = parts.find((part) => part.name === "TypeParamList");
  if (list === undefined) return [];
  return childrenOf(list)
    .filter((part) => part.name === "TypeParam")
    .map((part) => {
      const [name, ...rest] = childrenOf(part);
      const type = rest.find((child) => child.name === "TypeDef");
      const bound = type === undefined ? undefined : childrenOf(type).find(isOperand);
      return {
        name: name === undefined ? "" : reader.textOf(name),
        bound: bound === undefined ? null : reader.expression(bound),
      };
    });
}

/** Whether a body yields by itself; a nested function's or lambda's yield is not its own. */
function hasYield(node: SyntaxNode): boolean {
  for (let child = node.firstChild; child !== null; child = child.nextSibling) {
    if (child.name === "YieldStatement" || child.name === "YieldExpression") return true;
    if (/^(?:FunctionDefinition|ClassDefinition|LambdaExpression)$/.test(child.name)) continue;
    if (hasYield(child)) return true;
  }
  return false;
}
