import { countDaysInMonth, DAY_MS, dayFromCivil, SECOND_MS } from "./calendar.ts";

/**
 * The grammar of recurrence rules as python-dateutil 2.9 reads it: what it refuses is refused here. Zones and the `Z` of
 * dates say nothing: Prefect puts every date on the wall of the schedule's zone.
 */
export interface RuleParts {
  freq: Frequency;
  interval: number;
  count?: number;
  /** Wall time in milliseconds. */
  untilMs?: number;
  /** 0 is Monday. */
  wkst: number;
  /** The BY parts that are numbers: BYMONTH, BYHOUR, … */
  by: ReadonlyMap<NumberPart, readonly number[]>;
  /** BYDAY: weekday (0 is Monday) and which of the month or year, 0 for all. */
  weekdays?: readonly { weekday: number; nth: number }[];
}

export interface RuleSetText {
  startMs?: number;
  rules: RuleParts[];
  excludedRules: RuleParts[];
  dates: number[];
  excludedDates: number[];
}

export const FREQUENCIES = ["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY"] as const;
export type Frequency = (typeof FREQUENCIES)[number];

const NUMBER_PARTS = {
  BYSETPOS: { min: -366, max: 366, zero: false },
  BYMONTH: undefined,
  BYMONTHDAY: undefined,
  BYYEARDAY: undefined,
  BYWEEKNO: undefined,
  BYEASTER: { min: -80, max: 280, zero: true },
  BYHOUR: { min: 0, max: 23, zero: true },
  BYMINUTE: { min: 0, max: 59, zero: true },
  BYSECOND: { min: 0, max: 59, zero: true },
} as const;
export type NumberPart = keyof typeof NUMBER_PARTS;

const WEEKDAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];
const MAX_INTERVAL = 1_000_000_000;

/** What cannot be read; the text says why. */
class BadText extends Error {
  override readonly name = "BadText";
}

/** The rules, dates and exceptions of the text, or in one sentence why it is refused. */
export function parseRuleSetText(text: string): RuleSetText | string {
  try {
    return readRuleSet(text.toUpperCase());
  } catch (error) {
    if (error instanceof BadText) {
      return error.message;
    }
    throw error;
  }
}

interface WallDate {
  wallMs: number;
  zoned: boolean;
}

function readRuleSet(text: string): RuleSetText {
  const set: RuleSetText = { rules: [], excludedRules: [], dates: [], excludedDates: [] };
  const lines = text.split(/\s+/).filter((line) => line !== "");
  const start = readStart(lines);
  if (start !== undefined) {
    set.startMs = start.wallMs;
  }
  for (const line of lines) {
    const { name, params, value } = splitLine(line);
    switch (name) {
      case "RRULE":
      case "EXRULE":
        refuseParams(name, params, []);
        (name === "RRULE" ? set.rules : set.excludedRules).push(readRule(value, start));
        break;
      case "RDATE":
        refuseParams(name, params, ["VALUE=DATE-TIME"]);
        set.dates.push(...value.split(",").map((date) => readDate(date).wallMs));
        break;
      case "EXDATE":
        set.excludedDates.push(...readDates(name, params, value).map((date) => date.wallMs));
        break;
      case "DTSTART":
        break;
      default:
        throw new BadText(`"${name}" is no property; allowed are DTSTART, RRULE, RDATE, EXRULE and EXDATE.`);
    }
  }
  if (set.rules.length === 0 && set.dates.length === 0) {
    throw new BadText("it has neither a rule with FREQ nor an RDATE.");
  }
  return set;
}

function splitLine(line: string): { name: string; params: string[]; value: string } {
  const colon = line.indexOf(":");
  const [name = "", ...params] = colon < 0 ? ["RRULE"] : line.slice(0, colon).split(";");
  return { name, params, value: line.slice(colon + 1) };
}

/** DTSTART holds for every rule, wherever it stands; of several the last counts. */
function readStart(lines: readonly string[]): WallDate | undefined {
  let start: WallDate | undefined;
  for (const line of lines) {
    const { name, params, value } = splitLine(line);
    if (name === "DTSTART") {
      const dates = readDates(name, params, value);
      if (dates.length > 1) {
        throw new BadText(`DTSTART has more than one date: "${value}".`);
      }
      start = dates[0];
    }
  }
  return start;
}

function readDates(name: string, params: readonly string[], value: string): WallDate[] {
  const zoned = params.some((param) => param.startsWith("TZID="));
  const plain = params.filter((param) => !param.startsWith("TZID="));
  refuseParams(name, plain, ["VALUE=DATE-TIME", "VALUE=DATE"]);
  if (plain.length > 1) {
    throw new BadText(`${name} has VALUE twice.`);
  }
  return value.split(",").map((text) => {
    const date = readDate(text);
    if (zoned && date.zoned) {
      throw new BadText(`${name} has a TZID and a date with a zone of its own: "${text}".`);
    }
    return { wallMs: date.wallMs, zoned: zoned || date.zoned };
  });
}

function refuseParams(name: string, params: readonly string[], allowed: readonly string[]): void {
  const bad = params.find((param) => !allowed.includes(param));
  if (bad !== undefined) {
    throw new BadText(`${name} does not take "${bad}".`);
  }
}

function readRule(text: string, start: WallDate | undefined): RuleParts {
  const by = new Map<NumberPart, readonly number[]>();
  const rule: Partial<RuleParts> & { by: typeof by } = { by };
  for (const pair of text.split(";")) {
    const [name = "", value, rest] = pair.split("=");
    if (value === undefined || rest !== undefined) {
      throw new BadText(`"${pair}" is not of the form NAME=VALUE.`);
    }
    readPart(rule, name, value, start);
  }
  const { freq, interval = 1, wkst = 0, ...others } = rule;
  if (freq === undefined) {
    throw new BadText(`a rule needs a FREQ, such as FREQ=DAILY: "${text}".`);
  }
  return { freq, interval, wkst, ...others };
}

function readPart(
  rule: Partial<RuleParts> & { by: Map<NumberPart, readonly number[]> },
  name: string,
  value: string,
  start: WallDate | undefined,
): void {
  switch (name) {
    case "FREQ":
      rule.freq = readFrequency(value);
      break;
    case "INTERVAL":
      rule.interval = readInteger(name, value);
      if (rule.interval < 1 || rule.interval > MAX_INTERVAL) {
        throw new BadText(`INTERVAL must be 1 to ${MAX_INTERVAL}, not ${value}.`);
      }
      break;
    case "COUNT":
      rule.count = Math.max(0, readInteger(name, value));
      break;
    case "UNTIL":
      rule.untilMs = readUntil(value, start);
      break;
    case "WKST":
      rule.wkst = readWeekday(name, value);
      break;
    case "BYDAY":
    case "BYWEEKDAY":
      rule.weekdays = value.split(",").map((day) => readNthWeekday(name, day));
      break;
    default:
      if (!isNumberPart(name)) {
        throw new BadText(`"${name}" is no part of a rule.`);
      }
      rule.by.set(name, readNumbers(name, value));
  }
}

function isNumberPart(name: string): name is NumberPart {
  return Object.hasOwn(NUMBER_PARTS, name);
}

function readNumbers(name: NumberPart, value: string): number[] {
  const numbers = value.split(",").map((number) => readInteger(name, number));
  const range = NUMBER_PARTS[name];
  const bad = numbers.find((n) => range !== undefined && (n < range.min || n > range.max || (n === 0 && !range.zero)));
  if (bad !== undefined && range !== undefined) {
    throw new BadText(`${name} must be ${range.min} to ${range.max}${range.zero ? "" : " without 0"}, not ${bad}.`);
  }
  return [...new Set(numbers)].sort((a, b) => a - b);
}

function readInteger(name: string, value: string): number {
  if (!/^[+-]?\d{1,15}$/.test(value)) {
    throw new BadText(`${name} must be a whole number, not "${value}".`);
  }
  return Number(value);
}

function readFrequency(value: string): Frequency {
  const freq = FREQUENCIES.find((name) => name === value);
  if (freq === undefined) {
    throw new BadText(`FREQ must be one of ${FREQUENCIES.join(", ")}, not "${value}".`);
  }
  return freq;
}

function readWeekday(name: string, value: string): number {
  const weekday = WEEKDAYS.indexOf(value);
  if (weekday < 0) {
    throw new BadText(`${name} must be one of ${WEEKDAYS.join(", ")}, not "${value}".`);
  }
  return weekday;
}

/** `MO`, `-1FR` and dateutil's `FR(-1)`. */
function readNthWeekday(name: string, value: string): { weekday: number; nth: number } {
  const match = /^([+-]?\d{0,4})([A-Z]+)(?:\(([+-]?\d{1,4})\))?$/.exec(value);
  const [, before = "", day = "", inside = ""] = match ?? [];
  if (match === null || (before !== "" && inside !== "") || /^[+-]$|^[+-]?0+$/.test(before + inside)) {
    throw new BadText(`${name} must be weekdays such as MO or -1FR, not "${value}".`);
  }
  return { weekday: readWeekday(name, day), nth: Number(before + inside) };
}

function readUntil(value: string, start: WallDate | undefined): number {
  const until = readDate(value);
  if (start !== undefined && start.zoned !== until.zoned) {
    throw new BadText("UNTIL and DTSTART must both have a zone (Z) or neither.");
  }
  return until.wallMs;
}

const DATE =
  /^(\d{4})-?(\d{2})-?(\d{2})(?:T(\d{2}):?(\d{2})(?::?(\d{2})(?:[.,]\d{1,9})?)?)?(Z|[+-]\d{2}(?::?\d{2})?)?$/;

/** Reads the digits of a date; fractions of a second are dropped, as dateutil does. */
function readDate(text: string): WallDate {
  const match = DATE.exec(text);
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = (match ?? [])
    .slice(1, 7)
    .map((part) => Number(part ?? 0));
  const dated = year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= countDaysInMonth(year, month);
  if (match === null || !dated || hour > 23 || minute > 59 || second > 59) {
    throw new BadText(`"${text}" is no date; write it as 20261231T235959.`);
  }
  const seconds = hour * 3600 + minute * 60 + second;
  return { wallMs: dayFromCivil(year, month, day) * DAY_MS + seconds * SECOND_MS, zoned: match[7] !== undefined };
}
