import type { CatchUp } from "../../flowyard-api/catch-up.ts";
import { type AnySchedule, listFireTimes, MAX_FIRE_TIMES } from "./next-fire-times.ts";

const SECOND_MS = 1000;
const HOUR_MS = 3600 * SECOND_MS;
const DAY_MS = 24 * HOUR_MS;

/** How far ahead runs are made: Prefect's numbers. */
export interface Horizon {
  minRuns: number;
  maxRuns: number;
  minAheadMs: number;
  maxAheadMs: number;
}

export const HORIZON: Horizon = { minRuns: 3, maxRuns: 100, minAheadMs: HOUR_MS, maxAheadMs: 100 * DAY_MS };

/** Where a run is missing there are two more, or an hour of them: that can wait. */
const MAX_SPREAD_MS = 300 * SECOND_MS;

/** Runs that one look makes up at most; the next look goes on. */
const MAX_MADE_UP = 100;

interface PlannedSchedule {
  schedule: AnySchedule;
  max_scheduled_runs?: number | null | undefined;
  /** Fire times up to here have been dealt with. */
  after: Date;
  catchUp: CatchUp | null;
  /** 0 to 1, of each schedule its own: many that fire at the same time are not looked at at the same time. */
  spread: number;
}

export interface FireTimePlan {
  /** Fire times that get a run now, in order. */
  make: Date[];
  /** Fire times up to here have been dealt with then. */
  scheduledUntil: Date;
  /** When there is something to do again; null: at once. */
  lookAt: Date | null;
}

/**
 * Which fire times of a schedule get a run now. Each is decided about once: a run that somebody deletes does not come
 * back, and what an earlier plan left out stays out. Throws UserError INVALID_SCHEDULE.
 */
export function planFireTimes(schedule: PlannedSchedule, now: Date): FireTimePlan {
  const missed = listMissed(schedule, now);
  if (missed.length >= MAX_MADE_UP) {
    return { make: missed, scheduledUntil: missed.at(-1) ?? now, lookAt: null };
  }
  // A schedule that was made or changed at this very moment begins after it.
  const from = new Date(schedule.after.getTime() === now.getTime() ? now.getTime() + 1 : now);
  const ahead = listAhead(schedule.schedule, from, limitHorizon(schedule.max_scheduled_runs));
  const make = [...missed, ...ahead.filter((fireTime) => fireTime > schedule.after)];
  const last = ahead.at(-1)?.getTime() ?? now.getTime() - 1;
  return {
    make,
    scheduledUntil: new Date(Math.max(last, schedule.after.getTime())),
    lookAt: decideNextLook(ahead, now, schedule),
  };
}

function limitHorizon(maxScheduledRuns: number | null | undefined): Horizon {
  const maxRuns = Math.min(maxScheduledRuns ?? HORIZON.maxRuns, HORIZON.maxRuns);
  return { ...HORIZON, maxRuns, minRuns: Math.min(HORIZON.minRuns, maxRuns) };
}

/** As many as it takes to have the fewest runs and to be far enough ahead, within both upper limits. */
export function listAhead(schedule: AnySchedule, from: Date, horizon: Horizon, end?: Date): Date[] {
  const until = end ?? new Date(from.getTime() + horizon.maxAheadMs);
  const fireTimes = listFireTimes(schedule, { from, until, limit: horizon.maxRuns });
  const enough = fireTimes.findIndex(
    (fireTime, index) => index + 1 >= horizon.minRuns && fireTime.getTime() >= from.getTime() + horizon.minAheadMs,
  );
  return enough === -1 ? fireTimes : fireTimes.slice(0, enough + 1);
}

/**
 * The moment at which a run is missing again. Where the upper limit on runs keeps the schedule from being far enough
 * ahead, half of them may go first, so that a schedule of every second is not looked at every second.
 */
function decideNextLook(ahead: readonly Date[], now: Date, schedule: PlannedSchedule): Date {
  const { minRuns, maxRuns, minAheadMs } = limitHorizon(schedule.max_scheduled_runs);
  const tomorrow = now.getTime() + DAY_MS;
  const isFull = ahead.length >= maxRuns;
  const fewest = isFull ? ahead[Math.floor((ahead.length - 1) / 2)] : ahead[Math.max(0, ahead.length - minRuns)];
  const tooNear = isFull ? tomorrow : (ahead.at(-1)?.getTime() ?? tomorrow) - minAheadMs;
  const missing = Math.max(now.getTime(), Math.min(tomorrow, fewest?.getTime() ?? tomorrow, tooNear));
  // Until that very moment it is there, or far enough ahead.
  return new Date(Math.ceil(missing + 1 + (isFull ? 0 : MAX_SPREAD_MS * schedule.spread)));
}

/**
 * After a time without any plane: the fire time before which runs that still wait are not to start any more. Undefined
 * where the policy says nothing of it: they start late then.
 */
export function findTooLate(
  { schedule, catchUp }: Pick<PlannedSchedule, "schedule" | "catchUp">,
  now: Date,
): Date | undefined {
  if (catchUp === null) {
    return undefined;
  }
  const oldest = now.getTime() - catchUp.max_lateness_seconds * SECOND_MS;
  const [last] = catchUp.policy === "latest" ? findLast(schedule, { fromMs: oldest, untilMs: now.getTime() }) : [];
  return last ?? new Date(oldest);
}

/** Fire times before `now` that no plan has decided about, as far as the policy makes them up. */
function listMissed({ schedule, after, catchUp }: PlannedSchedule, now: Date): Date[] {
  if (catchUp === null || catchUp.policy === "none") {
    return [];
  }
  const oldest = now.getTime() - catchUp.max_lateness_seconds * SECOND_MS;
  const range = { fromMs: Math.max(after.getTime() + 1, oldest), untilMs: now.getTime() - 1 };
  if (range.fromMs > range.untilMs) {
    return [];
  }
  return catchUp.policy === "latest" ? findLast(schedule, range) : list(schedule, range, MAX_MADE_UP);
}

interface Range {
  fromMs: number;
  untilMs: number;
}

function list(schedule: AnySchedule, { fromMs, untilMs }: Range, limit: number): Date[] {
  return listFireTimes(schedule, { from: new Date(fromMs), until: new Date(untilMs), limit });
}

/** Looks at ever longer ends of the range, so that a schedule of every second costs no more than one of every month. */
function findLast(schedule: AnySchedule, { fromMs, untilMs }: Range): Date[] {
  for (let lengthMs = SECOND_MS; ; lengthMs *= 8) {
    let found = list(schedule, { fromMs: Math.max(fromMs, untilMs - lengthMs), untilMs }, MAX_FIRE_TIMES);
    let last = found.at(-1);
    while (last !== undefined && found.length === MAX_FIRE_TIMES) {
      found = list(schedule, { fromMs: last.getTime() + 1, untilMs }, MAX_FIRE_TIMES);
      last = found.at(-1) ?? last;
    }
    if (last !== undefined || untilMs - lengthMs <= fromMs) {
      return last === undefined ? [] : [last];
    }
  }
}
