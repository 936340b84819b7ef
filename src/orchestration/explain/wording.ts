import { stripVTControlCharacters } from "node:util";
import { secondsBetween, type Timestamp } from "../../prefect-api/timestamp.ts";

const MAX_NAME_CHARACTERS = 100;
const MAX_TEXT_CHARACTERS = 1000;
const BEGINNING_CHARACTERS = 300;
const UNITS: readonly (readonly [string, number])[] = [
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];

/** Names come from anybody: no control characters, no marks that turn the direction of text, not too long. */
export function quote(name: string): string {
  return `"${cut(oneLine(name), MAX_NAME_CHARACTERS)}"`;
}

/** Text of somebody else's as part of one sentence of ours. Of a long one the end says most: a traceback's error is there. */
export function excerpt(text: string): string {
  const line = oneLine(text);
  const tail = MAX_TEXT_CHARACTERS - BEGINNING_CHARACTERS - 1;
  return line.length > MAX_TEXT_CHARACTERS ? `${line.slice(0, BEGINNING_CHARACTERS)}…${line.slice(-tail)}` : line;
}

function oneLine(text: string): string {
  return stripVTControlCharacters(text)
    .replaceAll(/[\p{Cc}\p{Bidi_Control}\u2028\u2029]+/gu, " ")
    .trim();
}

function cut(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

/** `2026-01-01 00:00:00 UTC`. */
export function describeMoment(timestamp: Timestamp): string {
  return `${timestamp.slice(0, 10)} ${timestamp.slice(11, 19)} UTC`;
}

/** `1 hour 5 minutes`: two units, which is as exact as a person needs it. */
export function describeSpan(seconds: number): string {
  let left = Math.max(0, Math.round(seconds));
  const parts: string[] = [];
  for (const [unit, length] of UNITS) {
    const count = Math.floor(left / length);
    left -= count * length;
    if (count > 0) {
      parts.push(describeCount(count, unit));
    }
  }
  return parts.slice(0, 2).join(" ") || "less than a second";
}

export function describeSince(since: Timestamp, now: Timestamp): string {
  return `for ${describeSpan(secondsBetween(since, now))}`;
}

export function describeCount(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** `"a", "b" and 3 more`. */
export function listNames(names: readonly string[], total: number): string {
  const more = total - names.length;
  const shown = names.map(quote).join(", ");
  return more > 0 && names.length > 0 ? `${shown} and ${more} more` : shown;
}

/** As one word of a command that a person copies. */
export function shellWord(name: string): string {
  const text = oneLine(name);
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
