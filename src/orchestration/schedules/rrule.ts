import { BoundedCache } from "../../prefect-api/schedule-text/bounded-cache.ts";
import { DAY_MS, dayFromCivil, HOUR_MS, SECOND_MS } from "../../prefect-api/schedule-text/calendar.ts";
import {
  type Frequency,
  parseRuleSetText,
  type RuleParts,
  type RuleSetText,
} from "../../prefect-api/schedule-text/rrule-text.ts";
import { CalendarRule } from "./rrule-calendar.ts";
import { ClockRule } from "./rrule-clock.ts";
import type { WallTimes } from "./wall-times.ts";

/** Where Prefect anchors a rule that has no DTSTART. */
const DEFAULT_START_MS = dayFromCivil(2020, 1, 1) * DAY_MS;
/** A COUNT beyond this is refused where its end cannot be calculated: counting takes about a microsecond a time. */
const MAX_COUNTED = 50_000;
/** Counting stops so far after the start: a COUNT that is not used up by then ends nothing. */
const COUNTED_MS = 400 * 366 * DAY_MS;
/** How many excluded times in a row are passed over before a schedule counts as over. */
const MAX_EXCLUDED = 40_000;
/** A rule that can never fit costs some milliseconds to find out. */
const MAX_RULES = 50;

const CACHE_LIMIT = 10_000;
const parsed = new BoundedCache<string, WallTimes | string>(CACHE_LIMIT);

/**
 * Reads a recurrence rule or a set of them, with the dates that python-dateutil gives. Answers in one sentence why not
 * when it is refused. Every time is found without walking there from DTSTART.
 */
export function parseRRule(text: string): WallTimes | string {
  return parsed.get(text, () => {
    const set = readRuleSet(text);
    const shown = text.slice(0, 80).replaceAll(/\s+/g, " ") + (text.length > 80 ? "..." : "");
    return typeof set === "string" ? `Invalid RRule string "${shown}": ${set}` : set;
  });
}

function readRuleSet(text: string): WallTimes | string {
  const set = parseRuleSetText(text);
  if (typeof set === "string") {
    return set;
  }
  if (set.rules.length + set.excludedRules.length > MAX_RULES) {
    return `it has ${set.rules.length + set.excludedRules.length} rules; at most ${MAX_RULES} are allowed.`;
  }
  const rules = buildRules(set.rules, set);
  const excludedRules = buildRules(set.excludedRules, set);
  if (typeof rules === "string" || typeof excludedRules === "string") {
    return typeof rules === "string" ? rules : String(excludedRules);
  }
  return new RuleSet([...rules, new ListedTimes(set.dates)], [...excludedRules, new ListedTimes(set.excludedDates)]);
}

function buildRules(rules: readonly RuleParts[], set: RuleSetText): WallTimes[] | string {
  const built: WallTimes[] = [];
  for (const parts of rules) {
    const rule = buildRule(parts, set.startMs ?? DEFAULT_START_MS);
    if (typeof rule === "string") {
      return rule;
    }
    built.push(rule);
  }
  return built;
}

function buildRule(parts: RuleParts, startMs: number): WallTimes | string {
  const rule = buildEndless(parts, startMs);
  if (typeof rule === "string") {
    return rule;
  }
  const lastMs = parts.count === undefined ? Number.POSITIVE_INFINITY : findLast(rule, parts, parts.count, startMs);
  return typeof lastMs === "string" ? lastMs : new EndingRule(rule, Math.min(lastMs, parts.untilMs ?? lastMs));
}

function buildEndless(parts: RuleParts, startMs: number): WallTimes | string {
  const { freq } = parts;
  switch (freq) {
    case "YEARLY":
    case "MONTHLY":
    case "WEEKLY":
    case "DAILY":
      return new CalendarRule(parts, freq, startMs);
    case "HOURLY":
    case "MINUTELY":
    case "SECONDLY": {
      const rule = new ClockRule(parts, freq, startMs);
      return rule.findContradiction() ?? rule;
    }
    default:
      return freq satisfies never;
  }
}

const FIXED_LENGTH_MS: Partial<Record<Frequency, number>> = {
  WEEKLY: 7 * DAY_MS,
  DAILY: DAY_MS,
  HOURLY: HOUR_MS,
  MINUTELY: 60 * SECOND_MS,
  SECONDLY: SECOND_MS,
};

/** COUNT as an end: the wall time of the last time that it allows, or why it cannot be found. */
function findLast(rule: WallTimes, parts: RuleParts, count: number, startMs: number): number | string {
  const lengthMs = FIXED_LENGTH_MS[parts.freq];
  if (count > 0 && lengthMs !== undefined && parts.by.size === 0 && parts.weekdays === undefined) {
    return startMs + (count - 1) * parts.interval * lengthMs;
  }
  if (count > MAX_COUNTED) {
    return `COUNT=${count} is more than ${MAX_COUNTED}, the most that is counted for such a rule; use UNTIL.`;
  }
  let lastMs = startMs - 1;
  for (let counted = 0; counted < count; counted++) {
    const nextMs = rule.next(lastMs + 1);
    if (nextMs === undefined || nextMs > startMs + COUNTED_MS) {
      return Number.POSITIVE_INFINITY;
    }
    lastMs = nextMs;
  }
  return lastMs;
}

/** A rule up to its last time. Remembers its last answer, which also holds for every question in between. */
class EndingRule implements WallTimes {
  readonly #rule: WallTimes;
  readonly #lastMs: number;
  #askedMs = Number.POSITIVE_INFINITY;
  #answerMs = Number.NEGATIVE_INFINITY;

  constructor(rule: WallTimes, lastMs: number) {
    this.#rule = rule;
    this.#lastMs = lastMs;
  }

  next(wallMs: number): number | undefined {
    if (wallMs < this.#askedMs || wallMs > this.#answerMs) {
      this.#answerMs = (wallMs <= this.#lastMs ? this.#rule.next(wallMs) : undefined) ?? Number.POSITIVE_INFINITY;
      this.#askedMs = wallMs;
    }
    return this.#answerMs <= this.#lastMs && this.#answerMs !== Number.POSITIVE_INFINITY ? this.#answerMs : undefined;
  }
}

/** RDATE and EXDATE. */
class ListedTimes implements WallTimes {
  readonly #wallMs: readonly number[];

  constructor(wallMs: readonly number[]) {
    this.#wallMs = [...new Set(wallMs)].sort((a, b) => a - b);
  }

  next(wallMs: number): number | undefined {
    return this.#wallMs.find((listed) => listed >= wallMs);
  }
}

/** What any of the rules and dates gives, without what is excluded. */
class RuleSet implements WallTimes {
  readonly #included: readonly WallTimes[];
  readonly #excluded: readonly WallTimes[];

  constructor(included: readonly WallTimes[], excluded: readonly WallTimes[]) {
    this.#included = included;
    this.#excluded = excluded;
  }

  next(wallMs: number): number | undefined {
    let targetMs = wallMs;
    for (let passed = 0; passed <= MAX_EXCLUDED; passed++) {
      const found = findEarliest(this.#included, targetMs);
      if (found === undefined || this.#excluded.every((times) => times.next(found) !== found)) {
        return found;
      }
      targetMs = found + 1;
    }
    return undefined;
  }
}

function findEarliest(sources: readonly WallTimes[], wallMs: number): number | undefined {
  let earliest: number | undefined;
  for (const source of sources) {
    const found = source.next(wallMs);
    if (found !== undefined && (earliest === undefined || found < earliest)) {
      earliest = found;
    }
  }
  return earliest;
}
