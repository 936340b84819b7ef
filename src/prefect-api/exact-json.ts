import type { JsonObject } from "./primitives.ts";

/** A number as it was written, which `JSON.stringify` writes again. To all other code it is opaque. */
interface RawNumber {
  readonly rawJSON: string;
}

declare global {
  // ES2026, in Node since 21; the compiler's library does not have it yet.
  interface JSON {
    rawJSON(text: string): RawNumber;
    isRawJSON(value: unknown): value is RawNumber;
  }
}

const LONG_NUMBER = /\d{16}/;
const INTEGER = /^-?\d+$/;

/**
 * JSON whose integers beyond 2^53 stay what they are: Python's have no bounds, and ids of 64 bit are common parameters.
 * Throws SyntaxError.
 */
export function parseExactJson<T = unknown>(text: string): T {
  return LONG_NUMBER.test(text) ? JSON.parse(text, keepLongInteger) : JSON.parse(text);
}

function keepLongInteger(_key: string, value: unknown, context?: { source?: string }): unknown {
  const source = context?.source;
  const isInexact = typeof value === "number" && !Number.isSafeInteger(value);
  return isInexact && source !== undefined && INTEGER.test(source) ? JSON.rawJSON(source) : value;
}

/** An object of JSON: no list, no null, and no number that was kept as it was written. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !JSON.isRawJSON(value);
}

/** A copy with ordinary numbers, for code that computes with them. */
export function toOrdinaryObject(object: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(object).map(([key, item]) => [key, toOrdinaryNumbers(item)]));
}

export function toOrdinaryNumbers(value: unknown): unknown {
  if (JSON.isRawJSON(value)) {
    return Number(value.rawJSON);
  }
  if (Array.isArray(value)) {
    return value.map(toOrdinaryNumbers);
  }
  return isJsonObject(value) ? toOrdinaryObject(value) : value;
}
