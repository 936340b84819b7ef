import { z } from "zod";

const ISO_PATTERN =
  /^(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s*(Z|z|[+-]\d{2}(?::?\d{2})?)?$/;
const DATE_ONLY_PATTERN = /^\d{4}-\d{2}-\d{2}$/;
/** Numbers beyond this are read as milliseconds, as pydantic does. */
const MAX_UNIX_SECONDS = 2e10;

/**
 * A point in time in canonical form, `2026-01-01T00:00:00.123456Z`: UTC, always six fractional digits,
 * so that text order is time order in SQL and in code.
 */
export type Timestamp = string;

/**
 * Reads the five shapes that real Prefect clients send (ISO with Z, with offset, with a blank, naive = UTC,
 * unix seconds as a JSON number). Answers undefined for anything else.
 */
export function parseTimestamp(value: unknown): Timestamp | undefined {
  if (typeof value === "number") {
    return fromUnix(value);
  }
  if (typeof value !== "string") {
    return undefined;
  }
  const text = value.trim();
  if (DATE_ONLY_PATTERN.test(text)) {
    return fromParts(`${text}T00:00:00Z`, "");
  }
  const match = ISO_PATTERN.exec(text);
  if (match === null) {
    return /^-?\d+(\.\d+)?$/.test(text) ? fromUnix(Number(text)) : undefined;
  }
  const [, date = "", time = "", seconds = "00", fraction = "", offset = "Z"] = match;
  return fromParts(`${date}T${time}:${seconds}${normalizeOffset(offset)}`, fraction);
}

function normalizeOffset(offset: string): string {
  if (offset === "Z" || offset === "z") {
    return "Z";
  }
  const digits = offset.slice(1).replace(":", "").padEnd(4, "0");
  return `${offset.slice(0, 1)}${digits.slice(0, 2)}:${digits.slice(2)}`;
}

function fromParts(isoWithoutFraction: string, fraction: string): Timestamp | undefined {
  const milliseconds = Date.parse(isoWithoutFraction);
  if (Number.isNaN(milliseconds)) {
    return undefined;
  }
  const iso = new Date(milliseconds).toISOString();
  // Date.parse takes the 31st of February for a day in March.
  const [, day = ""] = /^\d{4}-\d{2}-(\d{2})/.exec(isoWithoutFraction) ?? [];
  if (Number(day) > daysOfMonth(isoWithoutFraction)) {
    return undefined;
  }
  return iso.length === 24 ? `${iso.slice(0, 19)}.${fraction.slice(0, 6).padEnd(6, "0")}Z` : undefined;
}

function daysOfMonth(iso: string): number {
  return new Date(Date.UTC(Number(iso.slice(0, 4)), Number(iso.slice(5, 7)), 0)).getUTCDate();
}

function fromUnix(value: number): Timestamp | undefined {
  const seconds = Math.abs(value) > MAX_UNIX_SECONDS ? value / 1000 : value;
  const whole = Math.floor(seconds);
  const micros = Math.min(Math.round((seconds - whole) * 1e6), 999_999);
  if (!Number.isFinite(seconds) || Math.abs(whole) > MAX_UNIX_SECONDS) {
    return undefined;
  }
  return fromParts(`${new Date(whole * 1000).toISOString().slice(0, 19)}Z`, String(micros).padStart(6, "0"));
}

export function timestampFromDate(date: Date): Timestamp {
  return `${date.toISOString().slice(0, 23)}000Z`;
}

/** Milliseconds since the epoch, with the microseconds as a fraction. */
export function timestampToMs(timestamp: Timestamp): number {
  return Date.parse(`${timestamp.slice(0, 23)}Z`) + Number(timestamp.slice(23, 26)) / 1000;
}

export function timestampFromMs(milliseconds: number): Timestamp {
  const whole = Math.floor(milliseconds);
  const micros = Math.min(Math.round((milliseconds - whole) * 1000), 999);
  return `${new Date(whole).toISOString().slice(0, 23)}${String(micros).padStart(3, "0")}Z`;
}

const EARLIEST_MS = Date.UTC(-1, 12);
const LATEST_MS = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

/** Never beyond the years that a timestamp can name: clients choose delays, and 1e300 seconds is one. */
export function addSeconds(timestamp: Timestamp, seconds: number): Timestamp {
  return timestampFromMs(Math.min(Math.max(timestampToMs(timestamp) + seconds * 1000, EARLIEST_MS), LATEST_MS));
}

/** Seconds from `earlier` to `later`; negative when they are the other way round. */
export function secondsBetween(earlier: Timestamp, later: Timestamp): number {
  return Math.round((timestampToMs(later) - timestampToMs(earlier)) * 1000) / 1e6;
}

export const Timestamp = z.union([z.string(), z.number()]).transform((value, context): Timestamp => {
  const timestamp = parseTimestamp(value);
  if (timestamp === undefined) {
    context.addIssue({ code: "custom", message: "Input should be a valid datetime" });
    return z.NEVER;
  }
  return timestamp;
});
