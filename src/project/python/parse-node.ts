import type { parser } from "@lezer/python";
import type { Expression, Statement } from "./syntax.ts";

export type SyntaxNode = ReturnType<typeof parser.parse>["topNode"];

/** The text that is parsed, how deep the reader is in it, and the two readers that need each other. */
export interface Reader {
  text: string;
  depth: number;
  textOf(node: Pick<SyntaxNode, "from" | "to">): string;
  expression(node: SyntaxNode): Expression;
  /** The statements of a `Body`; none if it is missing. */
  body(body: SyntaxNode | undefined): Statement[];
}

/** A node's children without comments and without the marks of the grammar's error recovery. */
export function childrenOf(node: SyntaxNode): SyntaxNode[] {
  const children: SyntaxNode[] = [];
  for (let child = node.firstChild; child !== null; child = child.nextSibling) {
    if (child.name !== "Comment" && !child.type.isError) children.push(child);
  }
  return children;
}

export function isOperand(node: SyntaxNode): boolean {
  return /^[A-Z]/.test(node.name) && !/Op$/.test(node.name) && node.name !== "TypeDef";
}

export function opaque(node: SyntaxNode): { kind: "opaque"; at: number; what: string } {
  return { kind: "opaque", at: node.from, what: node.name };
}
