const SIMPLE_ESCAPES: Readonly<Record<string, string>> = {
  "\\": "\\",
  "'": "'",
  '"': '"',
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

/** The few `\N{…}` names that occur in practice; a string with another one is unknown to us. */
const CHARACTER_NAMES: Readonly<Record<string, string>> = {
  SNOWMAN: "\u2603",
  BULLET: "\u2022",
  "CHECK MARK": "\u2713",
  "DEGREE SIGN": "\u00b0",
  "EM DASH": "\u2014",
  "EN DASH": "\u2013",
  "EURO SIGN": "\u20ac",
  "GREEK SMALL LETTER MU": "\u03bc",
  "MICRO SIGN": "\u00b5",
  "NO-BREAK SPACE": "\u00a0",
  "POUND SIGN": "\u00a3",
  "RIGHTWARDS ARROW": "\u2192",
  "HORIZONTAL ELLIPSIS": "\u2026",
};

const ESCAPE = /\\(?:\r\n|[0-7]{1,3}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|N\{[^}]*\}|[\s\S])/g;

export interface StringPieces {
  prefix: string;
  isRaw: boolean;
  isBytes: boolean;
  /** Offset of the first and behind the last character between the quotes, within the literal. */
  from: number;
  to: number;
}

/** Splits a literal into prefix and content; null if it is no complete literal. */
export function splitStringLiteral(literal: string): StringPieces | null {
  const match = /^([a-zA-Z]{0,2})("""|'''|"|')/.exec(literal);
  const prefix = match?.[1]?.toLowerCase();
  const quote = match?.[2];
  if (prefix === undefined || quote === undefined) return null;
  const from = prefix.length + quote.length;
  const to = literal.length - quote.length;
  if (to < from || !literal.endsWith(quote)) return null;
  return { prefix, isRaw: prefix.includes("r"), isBytes: prefix.includes("b"), from, to };
}

/**
 * Resolves the escapes of a literal's content; null when it uses a character name that we do not know.
 * Line ends are LF whatever the file has, as in Python.
 */
export function unescapeString(content: string, pieces: Pick<StringPieces, "isRaw" | "isBytes">): string | null {
  const text = content.replace(/\r\n?/g, "\n");
  if (pieces.isRaw || !text.includes("\\")) return text;
  let isKnown = true;
  const result = text.replace(ESCAPE, (sequence) => {
    const character = unescapeOne(sequence, pieces.isBytes);
    if (character === null) isKnown = false;
    return character ?? "";
  });
  return isKnown ? result : null;
}

function unescapeOne(sequence: string, isBytes: boolean): string | null {
  const body = sequence.slice(1);
  if (body === "\n") return "";
  const simple = SIMPLE_ESCAPES[body];
  if (simple !== undefined) return simple;
  if (/^[0-7]+$/.test(body)) return String.fromCodePoint(Number.parseInt(body, 8));
  if (body.startsWith("x") && body.length === 3) return String.fromCodePoint(Number.parseInt(body.slice(1), 16));
  if (isBytes) return sequence;
  if (/^[uU][0-9a-fA-F]+$/.test(body)) {
    const point = Number.parseInt(body.slice(1), 16);
    return point <= 0x10ffff ? String.fromCodePoint(point) : null;
  }
  if (body.startsWith("N{")) return CHARACTER_NAMES[body.slice(2, -1).toUpperCase()] ?? null;
  return sequence;
}
