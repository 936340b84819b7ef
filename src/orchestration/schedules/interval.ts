import { DAY_MS } from "../../prefect-api/schedule-text/calendar.ts";
import type { Range } from "./wall-times.ts";
import type { Zone } from "./zone.ts";

const DAY_US = DAY_MS * 1000;

/** Times that are a fixed distance apart, counted from an anchor in both directions. Whole microseconds. */
export interface Interval {
  anchorUs: number;
  intervalUs: number;
}

/**
 * Lists the fire times of an interval. Whole days keep the time on the wall across changes of the clock; everything
 * else is elapsed time. A fire time between two milliseconds is given as the earlier one.
 */
export function listIntervalTimes(interval: Interval, zone: Zone, range: Range): number[] {
  return interval.intervalUs % DAY_US === 0 ? listDays(interval, zone, range) : listElapsed(interval, range);
}

function listElapsed({ anchorUs, intervalUs }: Interval, { fromMs, untilMs, limit }: Range): number[] {
  const instants: number[] = [];
  for (let earliestMs = Math.ceil(fromMs); instants.length < limit; ) {
    const steps = Math.ceil((earliestMs * 1000 - anchorUs) / intervalUs);
    const instantMs = Math.floor((anchorUs + steps * intervalUs) / 1000);
    if (instantMs > untilMs) {
      break;
    }
    instants.push(instantMs);
    // An interval below a millisecond fires once in each.
    earliestMs = instantMs + 1;
  }
  return instants;
}

function listDays({ anchorUs, intervalUs }: Interval, zone: Zone, { fromMs, untilMs, limit }: Range): number[] {
  const anchorMs = Math.floor(anchorUs / 1000);
  const stepMs = intervalUs / 1000;
  const instants: number[] = [];
  let earliestMs = fromMs;
  for (; instants.length < limit && earliestMs <= anchorMs; earliestMs = (instants.at(-1) ?? earliestMs) + 1) {
    const instantMs = findBeforeAnchor(anchorMs, stepMs, zone, earliestMs);
    if (instantMs > untilMs) {
      return instants;
    }
    instants.push(instantMs);
  }
  let position = seek({ instantMs: anchorMs, wallMs: zone.toWall(anchorMs) }, stepMs, zone, earliestMs);
  while (instants.length < limit && position.instantMs <= untilMs) {
    instants.push(position.instantMs);
    position = step(position, stepMs, zone);
  }
  return instants;
}

/** Earlier than its anchor each time is counted back from it, so a skipped time on the wall moves only itself. */
function findBeforeAnchor(anchorMs: number, stepMs: number, zone: Zone, earliestMs: number): number {
  const anchorWall = zone.toWall(anchorMs);
  let steps = Math.floor((earliestMs - anchorMs) / stepMs) - 1;
  for (;;) {
    const instantMs = steps === 0 ? anchorMs : zone.toInstant(anchorWall + steps * stepMs);
    if (instantMs >= earliestMs) {
      return instantMs;
    }
    steps += 1;
  }
}

interface Position {
  instantMs: number;
  wallMs: number;
}

/**
 * One interval on. A time that the clock skips moves forward, and with it all that follow: Prefect 3.9 adds to the
 * time that it reached.
 */
function step({ wallMs }: Position, stepMs: number, zone: Zone): Position {
  const instantMs = zone.toInstant(wallMs + stepMs);
  return { instantMs, wallMs: zone.toWall(instantMs) };
}

/** The first position at or after an instant, in leaps from one change of the clock to the next. */
function seek(from: Position, stepMs: number, zone: Zone, earliestMs: number): Position {
  let position = from;
  while (position.instantMs < earliestMs) {
    const { endMs } = zone.segmentAt(position.instantMs);
    const goalMs = Math.min(endMs, earliestMs);
    const leap = Math.max(1, Math.floor((goalMs - position.instantMs) / stepMs));
    position = step(position, leap * stepMs, zone);
  }
  return position;
}
