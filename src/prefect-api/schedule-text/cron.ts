import { BoundedCache } from "./bounded-cache.ts";
import {
  civilFromDay,
  countDaysInMonth,
  DAY_MS,
  DAY_SECONDS,
  dayFromCivil,
  SECOND_MS,
  weekdayOfDay,
} from "./calendar.ts";
import { CRON_FIELDS, type FieldValues, type Nth, parseCronField } from "./cron-fields.ts";

const ALIASES: Readonly<Record<string, string>> = {
  "@midnight": "0 0 * * *",
  "@hourly": "0 * * * *",
  "@daily": "0 0 * * *",
  "@weekly": "0 0 * * 0",
  "@monthly": "0 0 1 * *",
  "@yearly": "0 0 1 1 *",
  "@annually": "0 0 1 1 *",
};

/** croniter would put a random value, or one derived from a name, in the place of these. */
const RANDOM_OR_HASHED = /^[hr](?:\(\d+-\d+\))?(?:\/\d+)?$/;

/** Days of February 29 on a given weekday lie up to 40 years apart; the years of a seventh column end in 2099. */
const SEARCH_YEARS = 150;

/** What a day must fulfil; absent means any. */
interface DayFilter {
  days?: ReadonlySet<number>;
  lastDay: boolean;
  weekdays?: ReadonlySet<number>;
  nth?: ReadonlyMap<number, ReadonlySet<Nth>>;
}

const CACHE_LIMIT = 10_000;
const parsed = new BoundedCache<string, Cron | string>(CACHE_LIMIT);

/**
 * Reads a cron expression as croniter does: five columns, a sixth for seconds, a seventh for years, or an @alias.
 * Answers in one sentence why not when croniter refuses it, or when no day can ever fit it, where croniter finds no
 * date and Prefect's scheduler fails. `dayOr`: a day fits by day of month or weekday; false means both.
 */
export function parseCron(text: string, dayOr: boolean): Cron | string {
  return parsed.get(`${dayOr} ${text}`, () => {
    const cron = readCron(text, dayOr);
    return typeof cron === "string" ? `Invalid cron string: "${text}": ${cron}` : cron;
  });
}

function readCron(text: string, dayOr: boolean): Cron | string {
  const lowered = text.toLowerCase();
  const columns = (Object.hasOwn(ALIASES, lowered) ? (ALIASES[lowered] ?? "") : lowered).trim().split(/\s+/);
  if (columns.length < 5 || columns.length > CRON_FIELDS.length) {
    const count = columns.join("") === "" ? 0 : columns.length;
    return lowered.startsWith("@")
      ? `no such word; allowed are ${Object.keys(ALIASES).join(", ")}.`
      : `it has ${count} field${count === 1 ? "" : "s"}; allowed are five (minute, hour, day of month, month, day of week), a sixth for seconds, a seventh for years, or a word such as @daily.`;
  }
  if (columns.some((column) => RANDOM_OR_HASHED.test(column))) {
    return "Random and Hashed expressions (R, H) are unsupported.";
  }
  const fields: FieldValues[] = [];
  for (const [index, column] of columns.entries()) {
    const field = parseCronField(column, index, columns.length);
    if (typeof field === "string") {
      return field;
    }
    fields.push(field);
  }
  return buildCron(widenDays(fields, columns), dayOr);
}

/**
 * A day of month or day of week that lists all its values counts as `*` when the other one's text holds a `*`, even
 * one with a step: croniter's "avoid over-optimization". It decides between "either" and "both".
 */
function widenDays(fields: readonly FieldValues[], columns: readonly string[]): FieldValues[] {
  return fields.map((field, column) => {
    const other = column === 2 ? columns[4] : column === 4 ? columns[2] : undefined;
    const full = field.values.length + (field.lastDay ? 1 : 0) === (column === 2 ? 31 : 7);
    return other?.includes("*") && full ? { ...field, any: true } : field;
  });
}

function buildCron(fields: readonly FieldValues[], dayOr: boolean): Cron | string {
  const [, , days = ANY, , weekdays = ANY] = fields;
  const byDay = days.any ? {} : { days: new Set(days.values) };
  // A `#` or `L` wins over plain weekdays, a `*` beside it included.
  const byWeekday =
    weekdays.nth.size > 0 ? { nth: weekdays.nth } : weekdays.any ? {} : { weekdays: new Set(weekdays.values) };
  const either = dayOr && !days.any && !weekdays.any;
  // With `#` or `L` croniter keeps the weekday in both halves of the OR.
  const day = { ...byDay, lastDay: days.lastDay, ...(either && weekdays.nth.size === 0 ? {} : byWeekday) };
  const filters: DayFilter[] = either ? [day, { lastDay: false, ...byWeekday }] : [day];
  const cron = new Cron(fields, filters);
  return filters.every((filter) => new Cron(fields, [filter]).next(0) !== undefined)
    ? cron
    : "it never fires: no date fits its day of month, month and day of week.";
}

const ANY: FieldValues = { any: true, values: [], lastDay: false, nth: new Map() };

/** The wall times of a cron expression: every second, minute and day that its fields allow. */
export class Cron {
  readonly #hours: readonly number[];
  readonly #minutes: readonly number[];
  readonly #seconds: readonly number[];
  readonly #months: ReadonlySet<number>;
  readonly #years: ReadonlySet<number> | undefined;
  readonly #dayFilters: readonly DayFilter[];

  constructor(fields: readonly FieldValues[], dayFilters: readonly DayFilter[]) {
    this.#minutes = listAllowed(fields, 0);
    this.#hours = listAllowed(fields, 1);
    this.#months = new Set(listAllowed(fields, 3));
    this.#seconds = fields[5] === undefined ? [0] : listAllowed(fields, 5);
    this.#years = fields[6] === undefined || fields[6].any ? undefined : new Set(fields[6].values);
    this.#dayFilters = dayFilters;
  }

  next(wallMs: number): number | undefined {
    const second = Math.ceil(wallMs / SECOND_MS);
    const today = Math.floor(second / DAY_SECONDS);
    const day = this.#findDay(today);
    const time = day === today ? this.#findTime(second - today * DAY_SECONDS) : undefined;
    if (day !== undefined && time !== undefined) {
      return day * DAY_MS + time * SECOND_MS;
    }
    const later = day === today ? this.#findDay(today + 1) : day;
    return later === undefined ? undefined : later * DAY_MS + (this.#findTime(0) ?? 0) * SECOND_MS;
  }

  /** The first day at or after the given one that fits. */
  #findDay(from: number): number | undefined {
    const start = civilFromDay(from);
    let firstDay = start.day;
    for (let year = start.year; year <= start.year + SEARCH_YEARS; year++) {
      const fits = this.#years?.has(year) ?? true;
      for (let month = year === start.year ? start.month : 1; fits && month <= 12; month++) {
        const day = this.#months.has(month) ? this.#findDayInMonth(year, month, firstDay) : undefined;
        if (day !== undefined) {
          return day;
        }
        firstDay = 1;
      }
      firstDay = 1;
    }
    return undefined;
  }

  #findDayInMonth(year: number, month: number, firstDay: number): number | undefined {
    const length = countDaysInMonth(year, month);
    const monthStart = dayFromCivil(year, month, 1) - 1;
    for (let day = firstDay; day <= length; day++) {
      const weekday = weekdayOfDay(monthStart + day);
      if (this.#dayFilters.some((filter) => fitsDay(filter, day, length, weekday))) {
        return monthStart + day;
      }
    }
    return undefined;
  }

  /** The first second of the day at or after the given one. */
  #findTime(from: number): number | undefined {
    const fromHour = Math.floor(from / 3600);
    const fromMinute = Math.floor((from % 3600) / 60);
    for (const hour of this.#hours) {
      if (hour < fromHour) {
        continue;
      }
      for (const minute of this.#minutes) {
        if (hour === fromHour && minute < fromMinute) {
          continue;
        }
        const start = hour * 3600 + minute * 60;
        const second = this.#seconds.find((value) => start + value >= from);
        if (second !== undefined) {
          return start + second;
        }
      }
    }
    return undefined;
  }
}

function fitsDay({ days, lastDay, weekdays, nth }: DayFilter, day: number, length: number, weekday: number): boolean {
  const byDay = days === undefined || days.has(day) || (lastDay && day === length);
  const wanted = nth?.get(weekday);
  const byNth =
    nth === undefined ||
    (wanted !== undefined && (wanted.has(Math.ceil(day / 7)) || (wanted.has("last") && day + 7 > length)));
  return byDay && byNth && (weekdays === undefined || weekdays.has(weekday));
}

function listAllowed(fields: readonly FieldValues[], column: number): readonly number[] {
  const field = fields[column] ?? ANY;
  return field.any ? (EVERY[column] ?? []) : field.values;
}

const EVERY = CRON_FIELDS.map(({ min, max }) => Array.from({ length: max - min + 1 }, (_, index) => min + index));
