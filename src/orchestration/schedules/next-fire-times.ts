import { parseCron } from "../../prefect-api/schedule-text/cron.ts";
import type { DeploymentSchedule, ScheduleSpec } from "../../prefect-api/schedules.ts";
import { timestampToMs } from "../../prefect-api/timestamp.ts";
import { UserError } from "../../shared/errors.ts";
import { listIntervalTimes } from "./interval.ts";
import { parseRRule } from "./rrule.ts";
import { listInstants, type Range } from "./wall-times.ts";
import { findZone, type Zone } from "./zone.ts";

/** The most fire times that one question is answered with, as in Prefect. */
export const MAX_FIRE_TIMES = 1000;
const MAX_RRULE_LENGTH = 6500;
/** A thousand years of microseconds stay exact numbers. */
const MAX_INTERVAL_SECONDS = 365_000 * 86_400;

export interface FireTimeQuery {
  from: Date;
  /** Included. */
  until?: Date;
  limit: number;
}

/** A schedule as it was given or as it is stored. */
export type AnySchedule = ScheduleSpec | DeploymentSchedule["schedule"];

/** What a schedule says, parsed. */
type FireTimes = (zone: Zone, range: Range) => number[];

/**
 * The fire times of a schedule at or after `from`, in order and each once; at most MAX_FIRE_TIMES. Where the search
 * begins changes nothing. Throws UserError INVALID_SCHEDULE.
 */
export function listFireTimes(schedule: AnySchedule, { from, until, limit }: FireTimeQuery): Date[] {
  const fireTimes = parseSchedule(schedule);
  const zone = findScheduleZone(schedule);
  if (typeof fireTimes === "string" || typeof zone === "string") {
    throw new UserError("INVALID_SCHEDULE", typeof fireTimes === "string" ? fireTimes : String(zone));
  }
  const range = {
    fromMs: from.getTime(),
    untilMs: until?.getTime() ?? Number.POSITIVE_INFINITY,
    limit: Math.min(limit, MAX_FIRE_TIMES),
  };
  return fireTimes(zone, range).map((instantMs) => new Date(instantMs));
}

/** Why a schedule cannot be used, in one sentence; undefined when it can. */
export function validateSchedule(schedule: AnySchedule): string | undefined {
  return [parseSchedule(schedule), findScheduleZone(schedule)].find((part) => typeof part === "string");
}

function parseSchedule(schedule: AnySchedule): FireTimes | string {
  if ("cron" in schedule) {
    const cron = parseCron(schedule.cron, schedule.day_or);
    return typeof cron === "string" ? cron : (zone, range) => listInstants(cron, zone, "forward", range);
  }
  if ("rrule" in schedule) {
    if (schedule.rrule.length > MAX_RRULE_LENGTH) {
      return `Invalid RRule string: it has ${schedule.rrule.length} characters; at most ${MAX_RRULE_LENGTH} are allowed.`;
    }
    const rule = parseRRule(schedule.rrule);
    return typeof rule === "string" ? rule : (zone, range) => listInstants(rule, zone, "backward", range);
  }
  return parseInterval(schedule.interval, schedule.anchor_date);
}

/** A schedule without an anchor counts from 1970: whoever stores one should have filled in the time of its creation. */
function parseInterval(seconds: number, anchorDate: string | undefined): FireTimes | string {
  const intervalUs = Math.round(seconds * 1e6);
  if (!(intervalUs >= 1 && seconds <= MAX_INTERVAL_SECONDS)) {
    return `Invalid interval: ${seconds} seconds; it must be more than 0 and at most ${MAX_INTERVAL_SECONDS}.`;
  }
  const anchorUs = anchorDate === undefined ? 0 : Math.round(timestampToMs(anchorDate) * 1000);
  return (zone, range) => listIntervalTimes({ anchorUs, intervalUs }, zone, range);
}

function findScheduleZone({ timezone }: AnySchedule): Zone | string {
  try {
    return findZone(timezone ?? "UTC");
  } catch (error) {
    if (error instanceof RangeError) {
      return `Invalid timezone: "${timezone}"; write an IANA name such as America/New_York.`;
    }
    throw error;
  }
}
