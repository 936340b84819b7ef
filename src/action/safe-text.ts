import { stripVTControlCharacters } from "node:util";

/** The runner reads a lone CR as the end of a line too. */
const LINE_END = /\r\n|\r|\n/;
/** `::command::` counts at the start of a line, the older `##[command]` anywhere in it. */
const COMMAND = /^(\s*):(?=:)|##(?=\[)/g;
const ZERO_WIDTH_SPACE = "\u200b";

/** Text whose lines the runner takes for text, whoever wrote them. */
export function defuseCommands(text: string): string {
  return text
    .split(LINE_END)
    .map((line) => line.replace(COMMAND, (found) => `${found}${ZERO_WIDTH_SPACE}`))
    .join("\n");
}

/** One line of other people's output: no control characters, no line ends. */
export function cleanLine(text: string): string {
  return stripVTControlCharacters(text).replace(/[\r\n\u2028\u2029]+$/, "");
}
