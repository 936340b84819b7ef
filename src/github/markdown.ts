const BACKTICKS = /`+/g;
const LINE_END = /\r\n|[\r\n\u2028\u2029]/g;

function longestBackticks(text: string): number {
  return Math.max(0, ...[...text.matchAll(BACKTICKS)].map((match) => match[0].length));
}

/**
 * Text as an inline code span: whatever it holds, GitHub shows it as it is and makes no link, mention, HTML or table
 * cell of it. On one line.
 */
export function code(text: string): string {
  if (text === "") {
    return "`` ``";
  }
  const line = text.replace(LINE_END, "⏎").replaceAll("|", "\\|");
  const fence = "`".repeat(longestBackticks(line) + 1);
  const padding = line.startsWith("`") || line.endsWith("`") ? " " : "";
  return `${fence}${padding}${line}${padding}${fence}`;
}

/** Text of several lines as a code block, whatever it holds. */
export function codeBlock(text: string, language = ""): string {
  const fence = "`".repeat(Math.max(3, longestBackticks(text) + 1));
  return `${fence}${language}\n${text}\n${fence}`;
}

/** Our own sentences with other people's words in them: nothing in it is a link, a mention, HTML or a command. */
export function prose(text: string): string {
  return text
    .replace(LINE_END, " ")
    .replace(/[\\`*_{}[\]<>#|~]/g, "\\$&")
    .replaceAll("@", "@\u200b")
    .replaceAll("://", ":\u200b//");
}

/** A link whose address comes from the runner or from the plane's own ids. */
export function link(label: string, url: string): string {
  return /^https?:\/\/[^\s()<>]+$/.test(url) ? `[${label}](${url})` : label;
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

/**
 * Joins blocks with blank lines while they fit; what does not fit is left out whole, and `left` says how many blocks
 * that were. Blocks come most important first.
 */
export function fitBlocks(blocks: readonly string[], maxCharacters: number, left: (count: number) => string): string {
  const reserve = left(blocks.length).length + 4;
  const taken: string[] = [];
  let used = 0;
  for (const [index, block] of blocks.entries()) {
    const isLast = index === blocks.length - 1;
    if (used + block.length + 2 + (isLast ? 0 : reserve) > maxCharacters) {
      return [...taken, left(blocks.length - index)].join("\n\n");
    }
    taken.push(block);
    used += block.length + 2;
  }
  return taken.join("\n\n");
}
