const SECTIONS: Readonly<Record<string, "parameters" | "items" | "block">> = {
  ...Object.fromEntries(["args", "arguments", "params", "parameters"].map((name) => [name, "parameters" as const])),
  ...Object.fromEntries(
    `keyword args,keyword arguments,other args,other arguments,other params,other parameters,type args,type arguments,type params,type parameters,
raises,exceptions,returns,yields,receives,attributes,functions,methods,classes,type aliases,modules,warns,warnings`
      .split(/,\s*/)
      .map((name) => [name, "items" as const]),
  ),
  examples: "block",
};

const HEADING = /^([\p{L}\p{N}_][\p{L}\p{N}_\s-]*):(?:\s+\S.*)?\s*$/u;

/** `inspect.cleandoc`: tabs widened, the common indentation and empty lines at both ends removed. */
export function cleanDocstring(text: string): string {
  const lines = expandTabs(text).split("\n");
  const margins = lines
    .slice(1)
    .filter((line) => line.trim() !== "")
    .map(indentOf);
  const margin = Math.min(...margins, Number.POSITIVE_INFINITY);
  const cleaned = lines.map((line, index) =>
    index === 0 ? line.trimStart() : Number.isFinite(margin) ? line.slice(margin) : line,
  );
  while (cleaned.length > 0 && cleaned.at(-1) === "") cleaned.pop();
  while (cleaned.length > 0 && cleaned[0] === "") cleaned.shift();
  return cleaned.join("\n");
}

function expandTabs(text: string): string {
  if (!text.includes("\t")) return text;
  let column = 0;
  let result = "";
  for (const character of text) {
    if (character === "\t") {
      const width = 8 - (column % 8);
      result += " ".repeat(width);
      column += width;
      continue;
    }
    result += character;
    column = character === "\n" ? 0 : column + 1;
  }
  return result;
}

function indentOf(line: string): number {
  return line.length - line.trimStart().length;
}

/**
 * What a Google docstring says of each parameter. Other styles give nothing, as with Prefect.
 * Source: what griffe's Google parser accepts: a section needs a blank line above and an indented line below.
 */
export function parameterDescriptions(docstring: string): Map<string, string> {
  const lines = cleanDocstring(docstring.trimEnd()).split("\n");
  let descriptions = new Map<string, string>();
  let isCode = false;
  for (let index = 0; index < lines.length; index += 1) {
    const line = lines[index] ?? "";
    if (line.trimStart().startsWith("```")) isCode = !isCode;
    const heading = isCode ? undefined : HEADING.exec(line)?.[1];
    if (heading === undefined || !startsSection(lines, index)) continue;
    const kind = SECTIONS[heading.toLowerCase()] ?? "block";
    const section = kind === "block" ? readBlock(lines, index + 1) : readItems(lines, index + 1);
    // A later section replaces an earlier one altogether.
    if (kind === "parameters") descriptions = describe(section.items);
    index = Math.max(index, section.end);
  }
  return descriptions;
}

function startsSection(lines: readonly string[], index: number): boolean {
  const isBlank = (line: string | undefined): boolean => (line ?? "").trim() === "";
  const below = lines[index + 1];
  return (index === 0 || isBlank(lines[index - 1])) && !isBlank(below) && (below ?? "").startsWith(" ");
}

interface Section {
  items: string[][];
  /** Index of the last line that belongs to it. */
  end: number;
}

function readItems(lines: readonly string[], start: number): Section {
  const indent = indentOf(lines[start] ?? "");
  const items: string[][] = [];
  let index = start;
  for (; index < lines.length; index += 1) {
    const line = lines[index] ?? "";
    const item = items.at(-1);
    if (line.trim() === "") item?.push("");
    else if (indentOf(line) < indent) break;
    else if (item === undefined || indentOf(line) === indent) items.push([line.slice(indent)]);
    else item.push(line.slice(Math.min(indentOf(line), indent * 2)));
  }
  return { items, end: index - 1 };
}

function readBlock(lines: readonly string[], start: number): Section {
  const indent = indentOf(lines[start] ?? "");
  let index = start;
  while (index < lines.length && ((lines[index] ?? "").trim() === "" || indentOf(lines[index] ?? "") >= indent))
    index += 1;
  return { items: [], end: index - 1 };
}

function describe(items: readonly string[][]): Map<string, string> {
  const descriptions = new Map<string, string>();
  for (const [first = "", ...rest] of items) {
    const colon = first.indexOf(":");
    if (colon < 0) continue;
    const head = first.slice(0, colon);
    const name = head.includes("(") && head.endsWith(")") ? head.slice(0, head.indexOf("(")).trim() : head;
    const text = [first.slice(colon + 1).trimStart(), ...rest].join("\n").replace(/\n+$/, "");
    descriptions.set(name, text);
  }
  return descriptions;
}
