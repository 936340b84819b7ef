import {
  civilFromDay,
  countDaysInMonth,
  DAY_MS,
  dayFromCivil,
  isLeapYear,
  modulo,
  weekdayOfDay,
} from "../../prefect-api/schedule-text/calendar.ts";
import type { NumberPart, RuleParts } from "../../prefect-api/schedule-text/rrule-text.ts";

/** Which days a rule allows; the sets that are absent or empty allow all. */
export interface DayRule {
  months: ReadonlySet<number>;
  monthDays: ReadonlySet<number>;
  yearDays: ReadonlySet<number>;
  weekNumbers: ReadonlySet<number>;
  easterOffsets: ReadonlySet<number>;
  /** 0 is Monday. */
  weekdays: ReadonlySet<number>;
  nthWeekdays: readonly { weekday: number; nth: number }[];
  /** The stretch in which the nth weekday is counted. */
  nthWithin: "month" | "year";
  wkst: number;
}

/** A day, and the year whose weeks and whose easter count for it: in a week over New Year that is the old one. */
export interface RuleDay {
  dayNumber: number;
  year: number;
  month: number;
  day: number;
}

/** The days that a rule allows. One that names no days repeats the day of its start. */
export function buildDayRule({ freq, by, weekdays, wkst }: RuleParts, startMs: number): DayRule {
  const start = civilFromDay(Math.floor(startMs / DAY_MS));
  const list = (part: NumberPart) => new Set(by.get(part));
  const months = list("BYMONTH");
  const monthDays = list("BYMONTHDAY");
  monthDays.delete(0);
  // An nth weekday means something in months and years only.
  const counted = freq === "YEARLY" || freq === "MONTHLY";
  const nthWeekdays = (weekdays ?? []).filter(({ nth }) => counted && nth !== 0);
  const plain = (weekdays ?? []).filter(({ nth }) => !counted || nth === 0).map(({ weekday }) => weekday);
  const namesDays = (["BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYEASTER"] as const).some((part) => by.has(part));
  if (weekdays === undefined && !namesDays) {
    if (freq === "YEARLY" && !by.has("BYMONTH")) {
      months.add(start.month);
    }
    if (counted) {
      monthDays.add(start.day);
    } else if (freq === "WEEKLY") {
      plain.push(toMondayBased(Math.floor(startMs / DAY_MS)));
    }
  }
  return {
    months,
    monthDays,
    yearDays: list("BYYEARDAY"),
    weekNumbers: list("BYWEEKNO"),
    easterOffsets: list("BYEASTER"),
    weekdays: new Set(plain),
    nthWeekdays,
    nthWithin: freq === "YEARLY" && !by.has("BYMONTH") ? "year" : "month",
    wkst,
  };
}

/** Whether a rule allows a day. Source: the masks of dateutil/rrule.py. */
export function allowsDay(rule: DayRule, date: RuleDay, periodYear: number): boolean {
  return (
    isIn(rule.months, date.month) &&
    allowsMonthDay(rule, date) &&
    isIn(rule.weekdays, toMondayBased(date.dayNumber)) &&
    allowsYearDay(rule, date) &&
    (rule.nthWeekdays.length === 0 || isNthWeekday(rule, date)) &&
    (rule.weekNumbers.size === 0 || isInWeekNumbers(rule, date.dayNumber, periodYear)) &&
    (rule.easterOffsets.size === 0 || rule.easterOffsets.has(date.dayNumber - findEaster(periodYear)))
  );
}

/** 0 is Monday. */
export function toMondayBased(dayNumber: number): number {
  return (weekdayOfDay(dayNumber) + 6) % 7;
}

function isIn(set: ReadonlySet<number>, value: number): boolean {
  return set.size === 0 || set.has(value);
}

function allowsMonthDay({ monthDays }: DayRule, { year, month, day }: RuleDay): boolean {
  return monthDays.size === 0 || monthDays.has(day) || monthDays.has(day - countDaysInMonth(year, month) - 1);
}

function allowsYearDay({ yearDays }: DayRule, { dayNumber, year }: RuleDay): boolean {
  if (yearDays.size === 0) {
    return true;
  }
  const yearDay = dayNumber - dayFromCivil(year, 1, 1) + 1;
  return yearDays.has(yearDay) || yearDays.has(yearDay - countDaysInYear(year) - 1);
}

function isNthWeekday(rule: DayRule, { dayNumber, year, month, day }: RuleDay): boolean {
  const monthly = rule.nthWithin === "month";
  const index = monthly ? day - 1 : dayNumber - dayFromCivil(year, 1, 1);
  const last = (monthly ? countDaysInMonth(year, month) : countDaysInYear(year)) - 1;
  const fromStart = Math.floor(index / 7) + 1;
  const fromEnd = -Math.floor((last - index) / 7) - 1;
  const weekday = toMondayBased(dayNumber);
  return rule.nthWeekdays.some((wanted) => {
    return wanted.weekday === weekday && (wanted.nth === fromStart || wanted.nth === fromEnd);
  });
}

function countDaysInYear(year: number): number {
  return isLeapYear(year) ? 366 : 365;
}

/** Where the weeks of a year lie: the first is the one with at least four days in the year. */
function findWeeks(year: number, wkst: number): { firstStart: number; count: number } {
  const newYear = toMondayBased(dayFromCivil(year, 1, 1));
  const lead = modulo(wkst - newYear, 7);
  const firstStart = lead >= 4 ? lead - 7 : lead;
  const length = countDaysInYear(year) - firstStart;
  return { firstStart, count: Math.floor(length / 7) + (length % 7 >= 4 ? 1 : 0) };
}

/**
 * Whether the day's week is one of BYWEEKNO. The days around New Year that belong to a week of the other year count by
 * that year's number, but by a negative one only for the last week.
 */
function isInWeekNumbers({ weekNumbers, wkst }: DayRule, dayNumber: number, year: number): boolean {
  const { firstStart, count } = findWeeks(year, wkst);
  const week = Math.floor((dayNumber - dayFromCivil(year, 1, 1) - firstStart) / 7) + 1;
  if (week > count) {
    return weekNumbers.has(1);
  }
  if (week >= 1) {
    return weekNumbers.has(week) || weekNumbers.has(week - count - 1);
  }
  return weekNumbers.has(-1) || weekNumbers.has(findWeeks(year - 1, wkst).count);
}

/** The day number of the western Easter Sunday. Algorithm of Meeus, Jones and Butcher. */
function findEaster(year: number): number {
  const golden = year % 19;
  const century = Math.floor(year / 100);
  const yearOfCentury = year % 100;
  const skipped = Math.floor((century - Math.floor((century + 8) / 25) + 1) / 3);
  const moon = (19 * golden + century - Math.floor(century / 4) - skipped + 15) % 30;
  const leaps = 2 * (century % 4) + 2 * Math.floor(yearOfCentury / 4);
  const weekday = (32 + leaps - moon - (yearOfCentury % 4)) % 7;
  const late = Math.floor((golden + 11 * moon + 22 * weekday) / 451);
  const sum = moon + weekday - 7 * late + 114;
  return dayFromCivil(year, Math.floor(sum / 31), (sum % 31) + 1);
}
