import { parseExactJson } from "./exact-json.ts";

/** Deeper than any parameters or templates; recursive code runs out of stack at a few thousand. */
const MAX_JSON_DEPTH = 500;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPENING: ReadonlySet<number> = new Set([0x5b, 0x7b]);
const CLOSING: ReadonlySet<number> = new Set([0x5d, 0x7d]);

/** JSON from outside. Throws SyntaxError, and RangeError for what is nested more deeply than we can walk. */
export function parseJson(text: string): unknown {
  if (text.length > MAX_JSON_DEPTH && isTooDeep(text)) {
    throw new RangeError(`it is nested more than ${MAX_JSON_DEPTH} levels deep`);
  }
  return parseExactJson(text);
}

function isTooDeep(text: string): boolean {
  let depth = 0;
  for (let index = 0; index < text.length; index += 1) {
    const character = text.charCodeAt(index);
    if (character === QUOTE) {
      index = findEndOfText(text, index);
    } else if (OPENING.has(character)) {
      depth += 1;
      if (depth > MAX_JSON_DEPTH) {
        return true;
      }
    } else if (CLOSING.has(character)) {
      depth -= 1;
    }
  }
  return false;
}

/** The index of the quote that ends the text which begins at `start`; the length when none does. */
function findEndOfText(text: string, start: number): number {
  let end = text.indexOf('"', start + 1);
  while (end !== -1 && isEscaped(text, end)) {
    end = text.indexOf('"', end + 1);
  }
  return end === -1 ? text.length : end;
}

function isEscaped(text: string, index: number): boolean {
  let backslashes = 0;
  while (text.charCodeAt(index - 1 - backslashes) === BACKSLASH) {
    backslashes += 1;
  }
  return backslashes % 2 === 1;
}
