import { parser } from "@lezer/python";
import { parseExpression } from "./parse-expression.ts";
import { childrenOf, type Reader, type SyntaxNode } from "./parse-node.ts";
import { parseBlock } from "./parse-statement.ts";
import type { Expression, ModuleSyntax } from "./syntax.ts";
import type { SourceOfModule } from "./value.ts";

/** Reads a whole file. Never fails: what cannot be read is `opaque`, and `errors` says where. */
export function parseModule(text: string): ModuleSyntax {
  const tree = parser.parse(text);
  const errors: number[] = [];
  tree.iterate({
    enter(node) {
      if (node.type.isError && !isGrammarMiss(node.node)) errors.push(node.from);
    },
  });
  return { body: parseBlock(childrenOf(tree.topNode), createReader(text)), errors };
}

const parsed = new WeakMap<SourceOfModule, ModuleSyntax>();

/** Reads a file's text once, however often it is asked for. */
export function parseSource(source: SourceOfModule): ModuleSyntax {
  const known = parsed.get(source);
  if (known !== undefined) return known;
  const syntax = parseModule(source.text);
  parsed.set(source, syntax);
  return syntax;
}

/**
 * Valid Python that the grammar stumbles over, as seen in the standard library and in big packages: `5.`, a bare
 * `yield`, `x[*y]`, `with … as (a, b)`, some patterns, decorators that are more than a name and a call.
 */
function isGrammarMiss(node: SyntaxNode): boolean {
  const parent = node.parent;
  if (parent === null) return false;
  if (
    /^(?:Yield(?:Statement|Expression)|WithStatement|.*Pattern|PatternArgList|MatchClause|Decorator)$/.test(parent.name)
  )
    return true;
  if (parent.name !== "MemberExpression") return false;
  return parent.firstChild?.name === "Number" || parent.firstChild?.nextSibling?.name === "[";
}

/** Reads one expression, such as a quoted annotation; null if the text is none. */
export function parseExpressionText(text: string): Expression | null {
  // In parentheses a line end does not matter, as in Python's own handling of quoted annotations.
  const wrapped = `(${text.trim()}\n)`;
  const tree = parser.parse(wrapped);
  let hasError = false;
  tree.iterate({
    enter(node) {
      hasError ||= node.type.isError;
    },
  });
  const statements = childrenOf(tree.topNode);
  const [statement] = statements;
  if (hasError || statements.length !== 1 || statement?.name !== "ExpressionStatement") return null;
  const inner = childrenOf(statement)[0];
  return inner === undefined ? null : createReader(wrapped).expression(inner);
}

function createReader(text: string): Reader {
  const reader: Reader = {
    text,
    depth: 0,
    textOf: (node) => text.slice(node.from, node.to),
    expression: (node) => parseExpression(node, reader),
    body: (body) => (body === undefined ? [] : parseBlock(childrenOf(body), reader)),
  };
  return reader;
}
