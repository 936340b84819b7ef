import { childrenOf, isOperand, type Reader, type SyntaxNode } from "./parse-node.ts";
import type { Parameter, ParameterKind } from "./syntax.ts";

/** The parameters of a `def` or `lambda`. The grammar has no node for `/`: it is found in the text between two commas. */
export function parseParameters(list: SyntaxNode, reader: Reader): Parameter[] {
  const parameters: Parameter[] = [];
  let isKeywordOnly = false;
  let from = list.from;
  for (const group of groupByComma(list)) {
    const star = group.nodes.find((node) => node.name === "*" || node.name === "**")?.name ?? "";
    const parameter = parseParameter(group.nodes, star, isKeywordOnly, reader);
    if (parameter !== null) parameters.push(parameter);
    else if (star === "" && isSlash(reader.text.slice(from, group.to))) markPositional(parameters);
    if (star === "*") isKeywordOnly = true;
    from = group.to;
  }
  return parameters;
}

function groupByComma(list: SyntaxNode): { nodes: SyntaxNode[]; to: number }[] {
  const groups: { nodes: SyntaxNode[]; to: number }[] = [];
  let nodes: SyntaxNode[] = [];
  for (const node of childrenOf(list)) {
    if (node.name === "(" || node.name === ")") continue;
    if (node.name !== ",") {
      nodes.push(node);
      continue;
    }
    groups.push({ nodes, to: node.to });
    nodes = [];
  }
  groups.push({ nodes, to: list.to });
  return groups;
}

function isSlash(text: string): boolean {
  return /^[(\s]*\/[\s,)]*$/.test(text.replace(/#.*$/gm, ""));
}

function markPositional(parameters: Parameter[]): void {
  for (const parameter of parameters) parameter.kind = "positional";
}

function parseParameter(
  nodes: readonly SyntaxNode[],
  star: string,
  isKeywordOnly: boolean,
  reader: Reader,
): Parameter | null {
  const nameAt = nodes.findIndex((node) => node.name === "VariableName");
  const name = nodes[nameAt];
  if (name === undefined) return null;
  const kind: ParameterKind = star === "*" ? "args" : star === "**" ? "kwargs" : isKeywordOnly ? "keyword" : "normal";
  const type = nodes.find((node) => node.name === "TypeDef");
  const annotation = type === undefined ? undefined : childrenOf(type).find(isOperand);
  const rest = nodes.slice(nameAt + 1);
  const assigned = rest.findIndex((node) => node.name === "AssignOp");
  const value = assigned < 0 ? undefined : rest.slice(assigned).find(isOperand);
  return {
    at: name.from,
    name: reader.textOf(name).normalize("NFKC"),
    kind,
    annotation: annotation === undefined ? null : reader.expression(annotation),
    default: value === undefined ? null : reader.expression(value),
  };
}
