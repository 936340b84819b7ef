import { BoundedCache } from "../../prefect-api/schedule-text/bounded-cache.ts";
import { DAY_MS, HOUR_MS, SECOND_MS } from "../../prefect-api/schedule-text/calendar.ts";

/** A stretch of time in which a zone's clock does not change. Instants and offsets are milliseconds. */
export interface ZoneSegment {
  startMs: number;
  endMs: number;
  offsetMs: number;
  /** The offset just before `startMs`; equal to `offsetMs` when the clock does not change there. */
  previousOffsetMs: number;
  /** The offset from `endMs` on. */
  nextOffsetMs: number;
}

/** No clock was ever changed and changed back within so short a time (Morocco in Ramadan: 29 days). */
const PROBE_MS = 14 * DAY_MS;
/** About a year is looked at in one go: about 70 looks at the clock, 0.2 ms. */
const BLOCK_MS = 26 * PROBE_MS;
const BLOCK_LIMIT = 500;
/** Every IANA name, in a few spellings. */
const ZONE_LIMIT = 1000;

const zones = new BoundedCache<string, Zone>(ZONE_LIMIT);

/** The clock of a zone. Throws RangeError for a name that is none. */
export function findZone(name: string): Zone {
  return zones.get(name, () => new Zone(name));
}

/**
 * Tells a zone's offset from Intl, and remembers when it changes. Five times as fast as a ZonedDateTime of a Temporal
 * polyfill, which also looks through decades when a zone has no further change.
 */
export class Zone {
  readonly #clock: Intl.DateTimeFormat;
  readonly #blocks = new BoundedCache<number, readonly ZoneSegment[]>(BLOCK_LIMIT);

  constructor(name: string) {
    this.#clock = new Intl.DateTimeFormat("en-US", { timeZone: name, timeZoneName: "longOffset" });
  }

  segmentAt(instantMs: number): ZoneSegment {
    const index = Math.floor(instantMs / BLOCK_MS);
    const segments = this.#blocks.get(index, () => this.#findSegments(index * BLOCK_MS));
    const found = segments.find((segment) => instantMs < segment.endMs);
    if (found === undefined) {
      throw new Error(`no segment holds the instant ${instantMs}`);
    }
    return found;
  }

  /** The wall time of an instant. */
  toWall(instantMs: number): number {
    return instantMs + this.#offsetAt(instantMs);
  }

  /** The instant of a wall time: the first of two, and one that does not exist moves forward by the gap. */
  toInstant(wallMs: number): number {
    // Every offset is within a day of UTC.
    const before = this.#offsetAt(wallMs - DAY_MS);
    const after = this.#offsetAt(wallMs + DAY_MS);
    const exists = before === after || this.#offsetAt(wallMs - before) === before;
    return !exists && this.#offsetAt(wallMs - after) === after ? wallMs - after : wallMs - before;
  }

  #offsetAt(instantMs: number): number {
    return this.segmentAt(instantMs).offsetMs;
  }

  #findSegments(blockMs: number): ZoneSegment[] {
    const segments: ZoneSegment[] = [];
    let startMs = blockMs;
    let previousOffsetMs = this.#readOffset(blockMs - SECOND_MS);
    let offsetMs = this.#readOffset(blockMs);
    for (let probeMs = blockMs + PROBE_MS; probeMs <= blockMs + BLOCK_MS; probeMs += PROBE_MS) {
      const nextOffsetMs = this.#readOffset(probeMs);
      const last = probeMs === blockMs + BLOCK_MS;
      if (nextOffsetMs !== offsetMs) {
        const endMs = this.#findChange(probeMs - PROBE_MS, probeMs, nextOffsetMs);
        segments.push({ startMs, endMs, offsetMs, previousOffsetMs, nextOffsetMs });
        [startMs, previousOffsetMs, offsetMs] = [endMs, offsetMs, nextOffsetMs];
      }
      if (last && startMs < probeMs) {
        segments.push({ startMs, endMs: probeMs, offsetMs, previousOffsetMs, nextOffsetMs });
      }
    }
    return segments;
  }

  /** The whole second at which the offset changes. */
  #findChange(earlierMs: number, laterMs: number, laterOffsetMs: number): number {
    let low = earlierMs / SECOND_MS;
    let high = laterMs / SECOND_MS;
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (this.#readOffset(middle * SECOND_MS) === laterOffsetMs) {
        high = middle;
      } else {
        low = middle;
      }
    }
    return high * SECOND_MS;
  }

  #readOffset(instantMs: number): number {
    const text = this.#clock.format(instantMs);
    const match = /GMT(?:([+-])(\d\d):(\d\d)(?::(\d\d))?)?$/.exec(text);
    if (match === null) {
      throw new Error(`the engine shows an offset that cannot be read: ${text}`);
    }
    const [, sign = "+", hours = "0", minutes = "0", seconds = "0"] = match;
    const size = Number(hours) * HOUR_MS + Number(minutes) * 60_000 + Number(seconds) * SECOND_MS;
    return sign === "-" ? -size : size;
  }
}
