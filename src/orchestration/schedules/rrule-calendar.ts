import {
  civilFromDay,
  DAY_MS,
  DAY_SECONDS,
  dayFromCivil,
  modulo,
  SECOND_MS,
} from "../../prefect-api/schedule-text/calendar.ts";
import type { RuleParts } from "../../prefect-api/schedule-text/rrule-text.ts";
import { allowsDay, buildDayRule, type DayRule, toMondayBased } from "./rrule-days.ts";
import type { WallTimes } from "./wall-times.ts";

export type CalendarFrequency = "YEARLY" | "MONTHLY" | "WEEKLY" | "DAILY";

/**
 * How many periods without a time are passed over before a rule counts as over. Two February 29 on a Monday lie up to
 * 40 years apart; a rule that can never fit must not hold up the process.
 */
const MAX_EMPTY_PERIODS = { YEARLY: 50, MONTHLY: 600, WEEKLY: 2600, DAILY: 15_000 } as const;
const MAX_YEAR = 9999;

/** The days of a period; `year` is the one that its weeks and its easter count by. */
interface Period {
  firstDay: number;
  endDay: number;
  year: number;
}

/** A rule by the year, month, week or day: the allowed days of every nth period, each at the same times. */
export class CalendarRule implements WallTimes {
  readonly #freq: CalendarFrequency;
  readonly #interval: number;
  readonly #startMs: number;
  readonly #startDay: number;
  readonly #days: DayRule;
  /** Seconds of the day, ascending. */
  readonly #times: readonly number[];
  readonly #positions: readonly number[];

  constructor(parts: RuleParts, freq: CalendarFrequency, startMs: number) {
    this.#freq = freq;
    this.#interval = parts.interval;
    this.#startMs = startMs;
    this.#startDay = Math.floor(startMs / DAY_MS);
    this.#days = buildDayRule(parts, startMs);
    this.#times = listTimes(parts, startMs / SECOND_MS - this.#startDay * DAY_SECONDS);
    this.#positions = parts.by.get("BYSETPOS") ?? [];
  }

  next(wallMs: number): number | undefined {
    const targetMs = Math.max(wallMs, this.#startMs);
    let index = this.#findIndex(Math.floor(targetMs / DAY_MS));
    for (let empty = 0; empty <= MAX_EMPTY_PERIODS[this.#freq]; empty++) {
      const period = this.#findPeriod(index);
      if (period.year > MAX_YEAR) {
        return undefined;
      }
      const found =
        this.#positions.length > 0 ? this.#findByPosition(period, targetMs) : this.#findInPeriod(period, targetMs);
      if (found !== undefined) {
        return found;
      }
      index = Math.max(index + 1, this.#freq === "DAILY" ? this.#skipMonth(period.firstDay) : 0);
    }
    return undefined;
  }

  /** The last period that begins at or before the day. */
  #findIndex(day: number): number {
    return Math.floor(this.#countUnits(day) / this.#interval);
  }

  /** Years, months, weeks or days since the one that the rule starts in. */
  #countUnits(day: number): number {
    switch (this.#freq) {
      case "DAILY":
        return day - this.#startDay;
      case "WEEKLY":
        return Math.floor((day - this.#findFirstWeek()) / 7);
      case "MONTHLY":
      case "YEARLY": {
        const [date, start] = [civilFromDay(day), civilFromDay(this.#startDay)];
        const years = date.year - start.year;
        return this.#freq === "YEARLY" ? years : years * 12 + date.month - start.month;
      }
      default:
        return this.#freq satisfies never;
    }
  }

  #findFirstWeek(): number {
    return this.#startDay - modulo(toMondayBased(this.#startDay) - this.#days.wkst, 7);
  }

  #findPeriod(index: number): Period {
    const units = index * this.#interval;
    switch (this.#freq) {
      case "DAILY":
        return this.#buildPeriod(this.#startDay + units, this.#startDay + units + 1);
      case "WEEKLY": {
        const firstDay = this.#findFirstWeek() + units * 7;
        // dateutil's first week begins with the rule; that decides what BYSETPOS counts.
        return this.#buildPeriod(Math.max(firstDay, this.#startDay), firstDay + 7);
      }
      case "MONTHLY": {
        const start = civilFromDay(this.#startDay);
        const month = start.year * 12 + start.month - 1 + units;
        return this.#buildPeriod(findMonth(month), findMonth(month + 1));
      }
      case "YEARLY": {
        const year = civilFromDay(this.#startDay).year + units;
        return { firstDay: dayFromCivil(year, 1, 1), endDay: dayFromCivil(year + 1, 1, 1), year };
      }
      default:
        return this.#freq satisfies never;
    }
  }

  #buildPeriod(firstDay: number, endDay: number): Period {
    return { firstDay, endDay, year: civilFromDay(firstDay).year };
  }

  /** For a rule by the day: the first period after this month, when the rule has nothing in this month. */
  #skipMonth(day: number): number {
    const { year, month } = civilFromDay(day);
    const { months } = this.#days;
    return months.size === 0 || months.has(month)
      ? 0
      : Math.ceil((findMonth(year * 12 + month) - this.#startDay) / this.#interval);
  }

  #findInPeriod(period: Period, targetMs: number): number | undefined {
    const first = Math.max(period.firstDay, Math.floor(targetMs / DAY_MS));
    for (const day of this.#listDays(period, first)) {
      const target = Math.ceil(targetMs / SECOND_MS) - day * DAY_SECONDS;
      const time = this.#times.find((value) => value >= target);
      if (time !== undefined) {
        return day * DAY_MS + time * SECOND_MS;
      }
    }
    return undefined;
  }

  /** BYSETPOS counts the times of the whole period, from its start or its end. */
  #findByPosition(period: Period, targetMs: number): number | undefined {
    const days = [...this.#listDays(period, period.firstDay)];
    const count = days.length * this.#times.length;
    const found = this.#positions
      .map((position) => (position > 0 ? position - 1 : count + position))
      .filter((index) => index >= 0 && index < count)
      .map((index) => {
        const day = days[Math.floor(index / this.#times.length)] ?? 0;
        return day * DAY_MS + (this.#times[index % this.#times.length] ?? 0) * SECOND_MS;
      })
      .filter((wallMs) => wallMs >= targetMs);
    return found.length === 0 ? undefined : Math.min(...found);
  }

  *#listDays(period: Period, first: number): Generator<number> {
    const { months } = this.#days;
    for (let dayNumber = first; dayNumber < period.endDay; ) {
      const date = civilFromDay(dayNumber);
      if (months.size > 0 && !months.has(date.month)) {
        dayNumber = findMonth(date.year * 12 + date.month);
        continue;
      }
      if (allowsDay(this.#days, { dayNumber, ...date }, period.year)) {
        yield dayNumber;
      }
      dayNumber += 1;
    }
  }
}

/** The first day of a month that is counted from year 0. */
function findMonth(month: number): number {
  return dayFromCivil(Math.floor(month / 12), modulo(month, 12) + 1, 1);
}

/** Every combination of BYHOUR, BYMINUTE and BYSECOND; what is not given is as at the start. */
function listTimes({ by }: RuleParts, startSecond: number): number[] {
  const times: number[] = [];
  for (const hour of by.get("BYHOUR") ?? [Math.floor(startSecond / 3600)]) {
    for (const minute of by.get("BYMINUTE") ?? [Math.floor((startSecond % 3600) / 60)]) {
      for (const second of by.get("BYSECOND") ?? [startSecond % 60]) {
        times.push(hour * 3600 + minute * 60 + second);
      }
    }
  }
  return times;
}
