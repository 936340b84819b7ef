import { parseExactJson } from "../prefect-api/exact-json.ts";

/** How values are kept in columns: JSON as text, booleans as 0 and 1. Nothing else converts. */

export function toJson(value: unknown): string {
  return JSON.stringify(value ?? null);
}

export function toJsonOrNull(value: unknown): string | null {
  return value === null || value === undefined ? null : JSON.stringify(value);
}

/** Reads what `toJson` wrote: our own data, parsed once at the row's edge and trusted from there on. */
export function fromJson<T>(text: string): T {
  return parseExactJson<T>(text);
}

export function fromJsonOrNull<T>(text: string | null): T | null {
  return text === null ? null : parseExactJson<T>(text);
}

export function toBit(value: boolean): number {
  return value ? 1 : 0;
}

export function fromBit(value: number): boolean {
  return value !== 0;
}
