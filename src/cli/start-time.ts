import { UserError } from "../shared/errors.ts";
import { parseWallTime } from "./wall-time.ts";

const UNIT_SECONDS: [RegExp, number][] = [
  [/^(s|sec|secs|second|seconds)$/, 1],
  [/^(m|min|mins|minute|minutes)$/, 60],
  [/^(h|hr|hrs|hour|hours)$/, 3600],
  [/^(d|day|days)$/, 86_400],
  [/^(w|week|weeks)$/, 604_800],
];
/** The furthest start that makes sense: beyond it a typing error is likelier. */
const MAX_SECONDS = 10 * 366 * 86_400;

/**
 * `5 minutes`, `in 1 hour and 30 min`, `1h30m`, `2 days`, `an hour`: the time that far from `now`.
 * Throws UserError USAGE with examples.
 */
export function parseStartIn(text: string, now: Date): Date {
  const seconds = parseDuration(text);
  if (seconds === undefined || seconds > MAX_SECONDS) {
    throw new UserError("USAGE", `--start-in is "${text}", which is not an amount of time.`, {
      hint: 'Write it like "5 minutes", "1 hour 30 minutes", "90s" or "2 days".',
    });
  }
  return new Date(now.getTime() + seconds * 1000);
}

function parseDuration(text: string): number | undefined {
  const words = text
    .trim()
    .toLowerCase()
    .replace(/^in\s+/, "")
    .replace(/,|\band\b/g, " ")
    .replace(/(\d)\s*([a-z])/g, "$1 $2")
    .replace(/([a-z])\s*(\d)/g, "$1 $2")
    .split(/\s+/)
    .filter((word) => word !== "");
  let total = 0;
  for (let index = 0; index < words.length; index += 2) {
    const amount = words[index] ?? "";
    const unit = UNIT_SECONDS.find(([pattern]) => pattern.test(words[index + 1] ?? ""));
    const count = amount === "a" || amount === "an" ? 1 : /^\d+(\.\d+)?$/.test(amount) ? Number(amount) : undefined;
    if (unit === undefined || count === undefined) {
      return undefined;
    }
    total += count * unit[1];
  }
  return words.length === 0 ? undefined : total;
}

/**
 * `5:30pm`, `at 17:30`, `tomorrow 9am`, `friday 8:00`, `2026-08-01 17:30`, `2026-08-01T17:30:00Z`,
 * `17:30 Europe/Berlin`. Without a zone it is this machine's time; a time of day that has passed means the next one.
 * Throws UserError USAGE with examples.
 */
export function parseStartAt(text: string, now: Date): Date {
  const startAt = parseWallTime(text, now);
  if (startAt === undefined) {
    throw new UserError("USAGE", `--start-at is "${text}", which is not a time.`, {
      hint: 'Write it like "5:30pm", "tomorrow 9:00", "2026-08-01 17:30" or "2026-08-01T17:30:00Z".',
    });
  }
  return startAt;
}
