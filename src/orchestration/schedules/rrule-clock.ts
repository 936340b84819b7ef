import {
  civilFromDay,
  DAY_SECONDS,
  dayFromCivil,
  modulo,
  SECOND_MS,
} from "../../prefect-api/schedule-text/calendar.ts";
import type { NumberPart, RuleParts } from "../../prefect-api/schedule-text/rrule-text.ts";
import { allowsDay, buildDayRule, type DayRule } from "./rrule-days.ts";
import type { WallTimes } from "./wall-times.ts";

export type ClockFrequency = "HOURLY" | "MINUTELY" | "SECONDLY";

interface ClockUnit {
  seconds: number;
  /** The part that limits this unit, and how many of them make the next larger one. */
  part: NumberPart;
  cycle: number;
  name: string;
}

const UNITS: Readonly<Record<ClockFrequency, ClockUnit>> = {
  HOURLY: { seconds: 3600, part: "BYHOUR", cycle: 24, name: "hours" },
  MINUTELY: { seconds: 60, part: "BYMINUTE", cycle: 60, name: "minutes" },
  SECONDLY: { seconds: 1, part: "BYSECOND", cycle: 60, name: "seconds" },
};

/** Steps without a time before a rule counts as over; a step passes over a month, day, hour, minute or period. */
const MAX_EMPTY_STEPS = 15_000;
const MAX_WALL_SECONDS = dayFromCivil(10_000, 1, 1) * DAY_SECONDS;

/** A rule by the hour, minute or second. Everything is in whole seconds of wall time. */
export class ClockRule implements WallTimes {
  readonly #unit: ClockUnit;
  readonly #parts: RuleParts;
  readonly #start: number;
  /** The first period; the others are whole steps from it. */
  readonly #origin: number;
  readonly #step: number;
  readonly #days: DayRule;
  /** Seconds after the start of a period. */
  readonly #times: readonly number[];

  constructor(parts: RuleParts, freq: ClockFrequency, startMs: number) {
    this.#unit = UNITS[freq];
    this.#parts = parts;
    this.#start = Math.ceil(startMs / SECOND_MS);
    this.#origin = this.#start - modulo(this.#start, this.#unit.seconds);
    this.#step = parts.interval * this.#unit.seconds;
    this.#days = buildDayRule(parts, startMs);
    this.#times = listTimes(parts, this.#unit.seconds, this.#start);
  }

  /** Why no step can ever reach a value of the part at the rule's own level, as dateutil checks it. */
  findContradiction(): string | undefined {
    const { part, cycle, name, seconds } = this.#unit;
    const values = this.#parts.by.get(part);
    const stride = findDivisor(this.#parts.interval, cycle);
    const first = this.#origin / seconds;
    return values === undefined || values.some((value) => modulo(value - first, stride) === 0)
      ? undefined
      : `${part}=${values.join(",")} is never reached in steps of ${this.#parts.interval} ${name} from ${modulo(first, cycle)}.`;
  }

  next(wallMs: number): number | undefined {
    let target = Math.max(Math.ceil(wallMs / SECOND_MS), this.#start);
    for (let empty = 0; empty <= MAX_EMPTY_STEPS && target < MAX_WALL_SECONDS; empty++) {
      const period = this.#findPeriod(target);
      const skipTo = this.#skipDay(period) ?? this.#skipTime(period);
      if (skipTo !== undefined) {
        target = Math.max(target, skipTo);
        continue;
      }
      const time = this.#times.find((value) => period + value >= target);
      if (time !== undefined) {
        return (period + time) * SECOND_MS;
      }
      target = period + this.#unit.seconds;
    }
    return undefined;
  }

  /** The period that holds the second, or the next one. */
  #findPeriod(second: number): number {
    const unitStart = second - modulo(second, this.#unit.seconds);
    return this.#origin + Math.ceil((unitStart - this.#origin) / this.#step) * this.#step;
  }

  /** Where to go on when the rule has nothing on this day. */
  #skipDay(second: number): number | undefined {
    const dayNumber = Math.floor(second / DAY_SECONDS);
    const date = civilFromDay(dayNumber);
    const { months } = this.#days;
    if (months.size > 0 && !months.has(date.month)) {
      const nextMonth =
        date.month === 12 ? dayFromCivil(date.year + 1, 1, 1) : dayFromCivil(date.year, date.month + 1, 1);
      return nextMonth * DAY_SECONDS;
    }
    return allowsDay(this.#days, { dayNumber, ...date }, date.year) ? undefined : (dayNumber + 1) * DAY_SECONDS;
  }

  /** Where to go on when the rule has nothing in this hour, minute or second. */
  #skipTime(second: number): number | undefined {
    for (const { part, seconds, cycle } of Object.values(UNITS)) {
      const values = seconds >= this.#unit.seconds ? this.#parts.by.get(part) : undefined;
      const value = modulo(Math.floor(second / seconds), cycle);
      if (values !== undefined && !values.includes(value)) {
        const cycleStart = second - modulo(second, seconds * cycle);
        const later = values.find((candidate) => candidate > value) ?? cycle;
        return cycleStart + later * seconds;
      }
    }
    return undefined;
  }
}

/** The minutes and seconds of a period, or those of them that BYSETPOS picks. */
function listTimes({ by }: RuleParts, unitSeconds: number, start: number): number[] {
  const minutes = unitSeconds > 60 ? (by.get("BYMINUTE") ?? [modulo(Math.floor(start / 60), 60)]) : [0];
  const seconds = unitSeconds > 1 ? (by.get("BYSECOND") ?? [modulo(start, 60)]) : [0];
  const times = minutes.flatMap((minute) => seconds.map((second) => minute * 60 + second));
  const picked = by.get("BYSETPOS")?.map((position) => times.at(position > 0 ? position - 1 : position));
  return picked === undefined ? times : times.filter((time) => picked.includes(time));
}

function findDivisor(a: number, b: number): number {
  return b === 0 ? a : findDivisor(b, a % b);
}
