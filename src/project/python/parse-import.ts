import { childrenOf, type Reader, type SyntaxNode } from "./parse-node.ts";
import type { ImportedName, Statement } from "./syntax.ts";

export function parseImport(node: SyntaxNode, reader: Reader): Statement {
  const parts = childrenOf(node);
  const importAt = parts.findIndex((part) => part.name === "import");
  const names = parseNames(parts.slice(importAt + 1), reader);
  if (parts[0]?.name !== "from") return { kind: "import", at: node.from, names };
  // The source is read as text: dots and dotted names are one run, however the grammar cuts `...` up.
  const source = parts
    .slice(1, importAt)
    .map((part) => reader.textOf(part))
    .join("");
  const level = /^\.*/.exec(source)?.[0].length ?? 0;
  return { kind: "import-from", at: node.from, level, module: source.slice(level), names };
}

function parseNames(parts: readonly SyntaxNode[], reader: Reader): ImportedName[] {
  const names: ImportedName[] = [];
  let words: string[] = [];
  const finish = (): void => {
    const [name, as] = words.join("").split(" ");
    if (name !== undefined && name !== "") names.push({ name, as: as ?? null });
    words = [];
  };
  for (const part of parts) {
    if (part.name === ",") finish();
    else if (part.name === "as") words.push(" ");
    else if (part.name !== "(" && part.name !== ")") words.push(reader.textOf(part));
  }
  finish();
  return names;
}
