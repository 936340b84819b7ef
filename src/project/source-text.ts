import type { SourceLocation } from "../shared/errors.ts";

const LINES_BEFORE = 2;
const LINES_AFTER = 1;
const MAX_LINE_LENGTH = 160;

/** A text file whose offsets can be shown as line and column and with the lines around them. */
export interface SourceText {
  /** As the user wrote the path. */
  file: string;
  text: string;
  locate(offset: number): SourceLocation;
  frame(offset: number): string;
}

export function buildSourceText(file: string, text: string): SourceText {
  const lineStarts = [0];
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) {
    lineStarts.push(at + 1);
  }
  const lines = text.split(/\r?\n/);

  const locate = (offset: number): SourceLocation => {
    let low = 0;
    let high = lineStarts.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((lineStarts[middle] ?? 0) <= offset) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    return { file, line: low + 1, column: offset - (lineStarts[low] ?? 0) + 1 };
  };

  const frame = (offset: number): string => {
    if (text.trim() === "") {
      return "";
    }
    const { line, column } = locate(offset);
    const from = Math.max(1, line - LINES_BEFORE);
    const to = Math.min(lines.length, line + LINES_AFTER);
    const width = String(to).length;
    const shown: string[] = [];
    for (let number = from; number <= to; number += 1) {
      const content = (lines[number - 1] ?? "").slice(0, MAX_LINE_LENGTH);
      shown.push(`${number === line ? ">" : " "} ${String(number).padStart(width)} | ${content}`.trimEnd());
      if (number === line && column <= MAX_LINE_LENGTH) {
        // Tabs are kept, so that the marker stands under the place whatever a terminal makes of them.
        const indent = content.slice(0, column - 1).replace(/[^\t]/g, " ");
        shown.push(`  ${" ".repeat(width)} | ${indent}^`);
      }
    }
    return shown.join("\n");
  };

  return { file, text, locate, frame };
}
