/**
 * The grammar of one field of a cron expression, exactly as croniter reads it (Prefect carries croniter 6):
 * `*`, numbers, names, ranges that may wrap around, steps, `L` for the last day, `L5` and `5#2` for weekdays.
 */
export interface CronField {
  name: string;
  min: number;
  max: number;
  names: Readonly<Record<string, number>>;
}

/** What one field allows. */
export interface FieldValues {
  /** The field says `*`, alone or beside other values: croniter then takes the whole field for `*`. */
  any: boolean;
  /** Ascending. */
  values: readonly number[];
  /** Day of month: `L`. */
  lastDay: boolean;
  /** Day of week: per weekday the `#n` it must be, "last" for `L5`. */
  nth: ReadonlyMap<number, ReadonlySet<Nth>>;
}

export type Nth = number | "last";

const MONTH_NAMES = {
  jan: 1,
  feb: 2,
  mar: 3,
  apr: 4,
  may: 5,
  jun: 6,
  jul: 7,
  aug: 8,
  sep: 9,
  oct: 10,
  nov: 11,
  dec: 12,
};
const WEEKDAY_NAMES = { sun: 0, mon: 1, tue: 2, wed: 3, thu: 4, fri: 5, sat: 6 };

/** In the order of the columns: seconds come last but for the year. */
export const CRON_FIELDS = [
  { name: "minute", min: 0, max: 59, names: {} },
  { name: "hour", min: 0, max: 23, names: {} },
  { name: "day of month", min: 1, max: 31, names: {} },
  { name: "month", min: 1, max: 12, names: MONTH_NAMES },
  { name: "day of week", min: 0, max: 6, names: WEEKDAY_NAMES },
  { name: "second", min: 0, max: 59, names: {} },
  { name: "year", min: 1970, max: 2099, names: {} },
] as const satisfies readonly CronField[];

const DAY_OF_MONTH = 2;
const DAY_OF_WEEK = 4;

/** A part such as `61` that cannot be read; the text says why. */
class BadPart extends Error {
  override readonly name = "BadPart";
}

/** The values of a column, or in one sentence why croniter refuses it. */
export function parseCronField(text: string, column: number, columnCount: number): FieldValues | string {
  const field = CRON_FIELDS[column];
  if (field === undefined) {
    return `it has ${columnCount} fields.`;
  }
  const dayColumn = column === DAY_OF_MONTH || column === DAY_OF_WEEK;
  if (text.includes("?") && (text !== "?" || !dayColumn)) {
    return `${field.name} "${text}": a question mark stands alone, and only for day of month or day of week.`;
  }
  const reader = new FieldReader(field, column, columnCount);
  for (const part of (text === "?" ? "*" : text).split(",")) {
    try {
      reader.readPart(part);
    } catch (error) {
      if (error instanceof BadPart) {
        return `${field.name} "${part}" ${error.message}`;
      }
      throw error;
    }
  }
  return reader.finish();
}

class FieldReader {
  readonly #field: CronField;
  readonly #column: number;
  readonly #columnCount: number;
  readonly #values = new Set<number>();
  readonly #nth = new Map<number, Set<Nth>>();
  #any = false;
  #lastDay = false;

  constructor(field: CronField, column: number, columnCount: number) {
    this.#field = field;
    this.#column = column;
    this.#columnCount = columnCount;
  }

  finish(): FieldValues | string {
    const plain = [...this.#values].filter((value) => !this.#nth.has(value));
    // croniter lets seven different values pass, `*` counted as one of them.
    if (this.#nth.size > 0 && plain.length > 0 && this.#values.size + (this.#any ? 1 : 0) !== 7) {
      return `${this.#field.name} mixes plain weekdays with # or L; write them as separate schedules.`;
    }
    return {
      any: this.#any,
      values: [...this.#values].sort((a, b) => a - b),
      lastDay: this.#lastDay,
      nth: this.#nth,
    };
  }

  readPart(part: string): void {
    const { text, nth } = this.#column === DAY_OF_WEEK ? splitNth(part) : { text: part, nth: undefined };
    const range = findRange(text, this.#field);
    if (range !== undefined) {
      for (const value of this.#expandRange(range)) {
        this.#add(value, nth);
      }
    } else if (text === "*") {
      this.#any = true;
    } else if (text === "l" && this.#column === DAY_OF_MONTH) {
      this.#lastDay = true;
    } else {
      this.#add(this.#readValue(text), nth);
    }
  }

  #add(value: number, nth: Nth | undefined): void {
    const known = this.#substitute(value);
    if (known < this.#field.min || known > this.#field.max) {
      throw new BadPart(`is out of range (${this.#field.min} to ${this.#field.max}).`);
    }
    this.#values.add(known);
    if (nth !== undefined) {
      this.#nth.set(known, (this.#nth.get(known) ?? new Set()).add(nth));
    }
  }

  #readValue(text: string): number {
    if (/^\d+$/.test(text)) {
      return Number(text);
    }
    const value = Object.hasOwn(this.#field.names, text) ? this.#field.names[text] : undefined;
    if (value === undefined) {
      throw new BadPart(text === "" ? "is empty." : `cannot be read; allowed are ${describeAllowed(this.#field)}.`);
    }
    return value;
  }

  /** Sunday may be 7 in five columns, and day 0 is day 1 in six: a trace of croniter's other column orders. */
  #substitute(value: number): number {
    if (this.#column === DAY_OF_WEEK && value === 7 && this.#columnCount === 5) {
      return 0;
    }
    return this.#column === DAY_OF_MONTH && value === 0 && this.#columnCount === 6 ? 1 : value;
  }

  #expandRange(range: RangeText): number[] {
    const { min, max } = this.#field;
    const high = range.high === "l" && this.#column === DAY_OF_MONTH ? 31 : this.#readValue(range.high);
    const from = this.#substitute(this.#readValue(range.low));
    const to = this.#substitute(high);
    if (range.step === 0) {
      throw new BadPart("has a step of 0.");
    }
    if (Math.max(from, to) > max) {
      throw new BadPart(`is out of range (${min} to ${max}).`);
    }
    if (from === to) {
      // croniter: from Sunday to Sunday is the whole week.
      return listSteps(min, max, range.step);
    }
    if (from < to) {
      return listSteps(from, to, range.step);
    }
    const head = listSteps(from, max, range.step);
    const left = max - (head.at(-1) ?? from);
    // croniter carries the step over the end of the cycle only when it is as long as this.
    const carried = max - left - min + range.step > max - min + 1 && left < range.step;
    return [...head, ...listSteps(min + (carried ? range.step - left : 0), to, range.step)];
  }
}

interface RangeText {
  low: string;
  high: string;
  step: number;
}

/** `1-5`, `1-5/2`, `*` with a step, and `5/10`, which means from 5 on to the end. */
function findRange(text: string, { min, max }: CronField): RangeText | undefined {
  const star = /^\*\/(\d+)$/.exec(text);
  if (star !== null) {
    return { low: String(min), high: String(max), step: Number(star[1]) };
  }
  const range = /^([^-]+)-([^-/]+)(?:\/(\d+))?$/.exec(text);
  if (range !== null) {
    const [, low = "", high = "", step = "1"] = range;
    return { low, high, step: Number(step) };
  }
  const open = /^([^-/]+)\/(\d+)$/.exec(text);
  return open === null ? undefined : { low: open[1] ?? "", high: String(max), step: Number(open[2]) };
}

/** `5#2`, `mon-fri#1` and `l5` of a day of week. */
function splitNth(part: string): { text: string; nth: Nth | undefined } {
  const last = /^l(\d+)$/.exec(part);
  if (last !== null) {
    return { text: last[1] ?? "", nth: "last" };
  }
  const numbered = /^((?:sun|mon|tue|wed|thu|fri|sat)-(?:sun|mon|tue|wed|thu|fri|sat)|\w+)#(\d+)$/.exec(part);
  if (numbered === null) {
    return { text: part, nth: undefined };
  }
  const nth = Number(numbered[2]);
  if (nth < 1 || nth > 5) {
    throw new BadPart("has a number after # that is not 1 to 5.");
  }
  return { text: numbered[1] ?? "", nth };
}

function listSteps(from: number, to: number, step: number): number[] {
  const values: number[] = [];
  for (let value = from; value <= to; value += step) {
    values.push(value);
  }
  return values;
}

function describeAllowed({ min, max, names }: CronField): string {
  const [first, last] = [Object.keys(names)[0], Object.keys(names).at(-1)];
  const named = first === undefined ? "" : `, names (${first} to ${last})`;
  return `${min} to ${max}${named}, *, lists, ranges and steps`;
}
