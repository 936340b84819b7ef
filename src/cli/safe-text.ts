import { stripVTControlCharacters } from "node:util";

/** Text of others for a terminal, line ends and tabs kept: nothing in it moves the cursor or turns its direction. */
export function toSafeText(text: string): string {
  return stripVTControlCharacters(text).replaceAll(/[^\P{Cc}\n\t]|\p{Bidi_Control}/gu, "");
}

/** The same as one line. */
export function toSafeLine(text: string): string {
  return toSafeText(text).replaceAll(/\s+/g, " ").trim();
}
