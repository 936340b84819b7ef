interface Day {
  year: number;
  month: number;
  day: number;
}

interface Clock {
  hour: number;
  minute: number;
  second: number;
}

/** A zone as text can name one: this machine's, a fixed offset in minutes, or an IANA name. */
type Zone = { kind: "local" } | { kind: "offset"; minutes: number } | { kind: "named"; name: string };

const WEEKDAYS = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

/** A point in time as people write it (see parseStartAt); undefined for anything else. */
export function parseWallTime(text: string, now: Date): Date | undefined {
  const { zone, rest: withoutZone } = takeZone(text.trim().replace(/^at\s+/i, ""));
  if (zone === undefined) {
    return undefined;
  }
  const words = withoutZone
    .toLowerCase()
    .replace(/(\d)t(\d)/, "$1 $2")
    .replace(/,|\b(at|on|the)\b/g, " ")
    .trim();
  if (words === "now") {
    return now;
  }
  const { clock, rest } = takeClock(words);
  if (clock === undefined) {
    return undefined;
  }
  const today = dayOf(now, zone);
  const dayText = rest.replace(/\s+/g, " ").trim();
  if (dayText === "") {
    if (clock === "none") {
      return undefined;
    }
    const next = toInstant(today, clock, zone);
    return next.getTime() > now.getTime() ? next : toInstant(addDays(today, 1), clock, zone);
  }
  const day = parseDay(dayText, today);
  return day === undefined ? undefined : toInstant(day, clock === "none" ? MIDNIGHT : clock, zone);
}

const MIDNIGHT: Clock = { hour: 0, minute: 0, second: 0 };

function takeZone(text: string): { zone: Zone | undefined; rest: string } {
  const offset = /(?:^|\s|(?<=\d))(?:utc|gmt)?([+-])(\d{2}):?(\d{2})$/i.exec(text);
  // `2026-08-01` ends like an offset of -08:01 would without its time.
  if (offset !== null && /\d:\d\d/.test(text.slice(0, offset.index))) {
    const minutes = Number(offset[2]) * 60 + Number(offset[3]);
    return {
      zone: { kind: "offset", minutes: offset[1] === "-" ? -minutes : minutes },
      rest: text.slice(0, offset.index),
    };
  }
  const utc = /(?:\s+(?:utc|gmt)|(?<=\d)z)$/i.exec(text);
  if (utc !== null) {
    return { zone: { kind: "offset", minutes: 0 }, rest: text.slice(0, utc.index) };
  }
  const named = /\s+([A-Za-z_]+\/[A-Za-z_/+-]+)$/.exec(text);
  if (named === null) {
    return { zone: { kind: "local" }, rest: text };
  }
  const name = named[1] ?? "";
  return { zone: isTimeZone(name) ? { kind: "named", name } : undefined, rest: text.slice(0, named.index) };
}

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: name }) !== undefined;
  } catch {
    return false;
  }
}

/** `none` when the text names no time of day; undefined when it names one that does not exist. */
function takeClock(text: string): { clock: Clock | "none" | undefined; rest: string } {
  const word = /\b(noon|midnight)\b/.exec(text);
  if (word !== null) {
    return { clock: { ...MIDNIGHT, hour: word[1] === "noon" ? 12 : 0 }, rest: text.replace(word[0], " ") };
  }
  const match =
    /\b(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?\s*(am|pm)?(?=\s|$)/.exec(text) ??
    /\b(\d{1,2})()()\s*(am|pm)(?=\s|$)/.exec(text);
  if (match === null) {
    return { clock: "none", rest: text };
  }
  const [whole, hours = "", minute = "", second = "", half] = match;
  const given = Number(hours);
  const hour = half === undefined ? given : (given % 12) + (half === "pm" ? 12 : 0);
  const exists = half === undefined ? given < 24 : given >= 1 && given <= 12;
  const valid = exists && Number(minute) < 60 && Number(second) < 60;
  const clock = { hour, minute: Number(minute), second: Number(second) };
  return { clock: valid ? clock : undefined, rest: text.replace(whole, " ") };
}

function parseDay(text: string, today: Day): Day | undefined {
  if (text === "today" || text === "tomorrow") {
    return addDays(today, text === "today" ? 0 : 1);
  }
  const weekday = WEEKDAYS.findIndex((name) =>
    new RegExp(`^(next )?${name.slice(0, 3)}(${name.slice(3)})?$`).test(text),
  );
  if (weekday >= 0) {
    const ahead = (weekday - new Date(Date.UTC(today.year, today.month - 1, today.day)).getUTCDay() + 7) % 7;
    return addDays(today, ahead === 0 ? 7 : ahead);
  }
  const iso = /^(\d{4})[-/](\d{1,2})[-/](\d{1,2})$/.exec(text);
  if (iso !== null) {
    return checkDay(Number(iso[1]), Number(iso[2]), Number(iso[3]));
  }
  const named =
    /^(?<month>[a-z]{3,9})\.? (?<day>\d{1,2})(?:st|nd|rd|th)?(?: (?<year>\d{4}))?$/.exec(text) ??
    /^(?<day>\d{1,2})(?:st|nd|rd|th|\.)? (?<month>[a-z]{3,9})\.?(?: (?<year>\d{4}))?$/.exec(text);
  const { month: monthName = "", day: dayText = "", year } = named?.groups ?? {};
  const month = MONTHS.indexOf(monthName.slice(0, 3)) + 1;
  if (named === null || month === 0) {
    return undefined;
  }
  const day = Number(dayText);
  if (year !== undefined) {
    return checkDay(Number(year), month, day);
  }
  const hasPassed = month < today.month || (month === today.month && day < today.day);
  return checkDay(today.year + (hasPassed ? 1 : 0), month, day);
}

function checkDay(year: number, month: number, day: number): Day | undefined {
  const date = new Date(Date.UTC(year, month - 1, day));
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day ? { year, month, day } : undefined;
}

function addDays({ year, month, day }: Day, days: number): Day {
  const date = new Date(Date.UTC(year, month - 1, day + days));
  return { year: date.getUTCFullYear(), month: date.getUTCMonth() + 1, day: date.getUTCDate() };
}

function dayOf(now: Date, zone: Zone): Day {
  if (zone.kind === "local") {
    return { year: now.getFullYear(), month: now.getMonth() + 1, day: now.getDate() };
  }
  const shifted = new Date(now.getTime() + offsetMinutes(now.getTime(), zone) * MINUTE_MS);
  return { year: shifted.getUTCFullYear(), month: shifted.getUTCMonth() + 1, day: shifted.getUTCDate() };
}

function offsetMinutes(atMs: number, zone: Exclude<Zone, { kind: "local" }>): number {
  if (zone.kind === "offset") {
    return zone.minutes;
  }
  const parts = new Intl.DateTimeFormat("en-GB", { timeZone: zone.name, timeZoneName: "longOffset" }).formatToParts(
    atMs,
  );
  const text = parts.find(({ type }) => type === "timeZoneName")?.value ?? "GMT";
  const match = /([+-])(\d{2}):(\d{2})/.exec(text);
  const minutes = Number(match?.[2] ?? 0) * 60 + Number(match?.[3] ?? 0);
  return match?.[1] === "-" ? -minutes : minutes;
}

function toInstant(day: Day, clock: Clock, zone: Zone): Date {
  if (zone.kind === "local") {
    return new Date(day.year, day.month - 1, day.day, clock.hour, clock.minute, clock.second);
  }
  const wallMs = Date.UTC(day.year, day.month - 1, day.day, clock.hour, clock.minute, clock.second);
  // The offset is that of the instant looked for: a first guess is at most one change of clocks away.
  const guessMs = wallMs - offsetMinutes(wallMs - DAY_MS / 24, zone) * MINUTE_MS;
  return new Date(wallMs - offsetMinutes(guessMs, zone) * MINUTE_MS);
}
