import { HOUR_MS } from "../../prefect-api/schedule-text/calendar.ts";
import type { Zone, ZoneSegment } from "./zone.ts";

/** The fire times of a schedule as the clock on the wall shows them, before they are placed in a zone. */
export interface WallTimes {
  /** The first wall time at or after the given one, in milliseconds; undefined when none is left. */
  next(wallMs: number): number | undefined;
}

/**
 * Where a wall time goes that the clock skips: forward by the length of the gap (cron, as Prefect 3.9), or back by it
 * (rrule, as python-dateutil reads such a time).
 */
export type GapRule = "forward" | "backward";

/** What part of the fire times is asked for: instants in milliseconds, both ends included. */
export interface Range {
  fromMs: number;
  untilMs: number;
  limit: number;
}

/** Wall times of one kind and how far they are from their instants. */
interface Stream {
  nextWallMs: number;
  endWallMs: number;
  offsetMs: number;
}

/** No clock is further ahead of UTC than this. */
const MAX_OFFSET_MS = 15 * HOUR_MS;

/**
 * Places wall times in a zone and lists the instants, in order and each once. A wall time that occurs twice counts
 * once, its first occurrence. The answer does not depend on where the search begins, because each stretch between two
 * changes of the clock is walked by itself.
 */
export function listInstants(walls: WallTimes, zone: Zone, gapRule: GapRule, range: Range): number[] {
  const instants: number[] = [];
  let cursorMs = range.fromMs;
  while (instants.length < range.limit && cursorMs <= range.untilMs) {
    const segment = zone.segmentAt(cursorMs);
    const own = openOwn(walls, segment, cursorMs);
    const moved = openMoved(walls, segment, gapRule, cursorMs);
    merge(walls, own === undefined ? moved : [own, ...moved], range, instants);
    if (own === undefined || own.nextWallMs === Number.POSITIVE_INFINITY) {
      break;
    }
    // A yearly schedule passes over many changes of the clock: go on shortly before its next time.
    cursorMs = Math.max(segment.endMs, own.nextWallMs - MAX_OFFSET_MS);
  }
  return instants;
}

/** The wall times that the clock shows for the first time in this segment. */
function openOwn(walls: WallTimes, segment: ZoneSegment, cursorMs: number): Stream | undefined {
  const firstSeen = segment.startMs + Math.max(segment.offsetMs, segment.previousOffsetMs);
  const nextWallMs = walls.next(Math.max(cursorMs + segment.offsetMs, firstSeen));
  return nextWallMs === undefined
    ? undefined
    : { nextWallMs, endWallMs: segment.endMs + segment.offsetMs, offsetMs: segment.offsetMs };
}

/** The wall times that do not exist and are moved into this segment. */
function openMoved(walls: WallTimes, segment: ZoneSegment, gapRule: GapRule, cursorMs: number): Stream[] {
  const forward = gapRule === "forward";
  const changeMs = forward ? segment.startMs : segment.endMs;
  const before = forward ? segment.previousOffsetMs : segment.offsetMs;
  const after = forward ? segment.offsetMs : segment.nextOffsetMs;
  if (after <= before) {
    return [];
  }
  const offsetMs = forward ? before : after;
  const nextWallMs = walls.next(Math.max(changeMs + before, cursorMs + offsetMs));
  return nextWallMs === undefined ? [] : [{ nextWallMs, endWallMs: changeMs + after, offsetMs }];
}

function merge(walls: WallTimes, streams: readonly Stream[], range: Range, instants: number[]): void {
  while (instants.length < range.limit) {
    let earliest = Number.POSITIVE_INFINITY;
    for (const { nextWallMs, endWallMs, offsetMs } of streams) {
      if (nextWallMs < endWallMs) {
        earliest = Math.min(earliest, nextWallMs - offsetMs);
      }
    }
    if (earliest > range.untilMs || earliest === Number.POSITIVE_INFINITY) {
      return;
    }
    instants.push(earliest);
    for (const stream of streams) {
      if (stream.nextWallMs - stream.offsetMs === earliest) {
        stream.nextWallMs = walls.next(stream.nextWallMs + 1) ?? Number.POSITIVE_INFINITY;
      }
    }
  }
}
