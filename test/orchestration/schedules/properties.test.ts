import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { type AnySchedule, listFireTimes } from "../../../src/orchestration/schedules/next-fire-times.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const START_MS = Date.UTC(2026, 0, 1);
const YEAR_MS = 365 * 24 * HOUR_MS;

const zones = ["UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "America/Santiago"];
const zone = fc.constantFrom(...zones);

/** The changes of the clock in 2026, where things go wrong. */
const CHANGES = ["2026-03-08T07:00Z", "2026-11-01T06:00Z", "2026-03-29T01:00Z", "2026-10-25T01:00Z"]
  .concat(["2026-10-03T15:30Z", "2026-04-04T15:00Z", "2026-09-06T04:00Z", "2026-04-05T03:00Z"])
  .map((text) => Date.parse(text));

const from = fc.oneof(
  fc.integer({ min: START_MS, max: START_MS + 2 * YEAR_MS }),
  fc
    .tuple(fc.constantFrom(...CHANGES), fc.integer({ min: -5 * HOUR_MS, max: 5 * HOUR_MS }))
    .map(([change, distance]) => change + distance),
);

function list(min: number, max: number, size: number): fc.Arbitrary<number[] | undefined> {
  return fc.option(fc.uniqueArray(fc.integer({ min, max }), { minLength: 1, maxLength: size }), { nil: undefined });
}

const cronFields = fc.record({
  minutes: list(0, 59, 4),
  hours: list(0, 23, 6),
  days: list(1, 28, 5),
  months: list(1, 12, 5),
  weekdays: list(0, 6, 3),
  dayOr: fc.boolean(),
});
type CronFields = typeof cronFields extends fc.Arbitrary<infer Fields> ? Fields : never;

function writeCron(fields: CronFields): string {
  const columns = [fields.minutes, fields.hours, fields.days, fields.months, fields.weekdays];
  return columns.map((values) => values?.join(",") ?? "*").join(" ");
}

const anySchedule: fc.Arbitrary<AnySchedule> = fc.oneof(
  fc.tuple(cronFields, zone).map(([fields, timezone]) => {
    return { cron: writeCron(fields), day_or: fields.dayOr, timezone };
  }),
  fc
    .tuple(
      fc.oneof(
        fc.integer({ min: 1, max: 10 }).map((days) => days * 86_400),
        fc.integer({ min: 1, max: 200_000 }),
      ),
      from,
      zone,
    )
    .map(([interval, anchor, timezone]) => {
      return { interval, anchor_date: new Date(anchor).toISOString().replace("Z", "000Z"), timezone };
    }),
  fc
    .tuple(
      fc.constantFrom("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY"),
      fc.integer({ min: 1, max: 100 }),
      fc.constantFrom("", ";BYHOUR=0,1,2,3", ";BYDAY=SU,MO", ";BYMINUTE=0,30", ";BYMONTH=3,4,9,10,11"),
      fc.constantFrom("", "DTSTART:20251230T013000\nRRULE:", "DTSTART:20251228T023000\nRRULE:"),
      zone,
    )
    .map(([freq, interval, by, start, timezone]) => ({
      rrule: `${start}FREQ=${freq};INTERVAL=${interval}${by}`,
      timezone,
    })),
);

function listInstants(schedule: AnySchedule, fromMs: number, limit: number, untilMs?: number): number[] {
  const query = { from: new Date(fromMs), limit, ...(untilMs !== undefined && { until: new Date(untilMs) }) };
  return listFireTimes(schedule, query).map((fire) => fire.getTime());
}

const clocks = new Map(
  zones.map((name) => [
    name,
    new Intl.DateTimeFormat("sv", { timeZone: name, dateStyle: "short", timeStyle: "medium" }),
  ]),
);

/** What the clock on the wall shows, as a time of its own; independent of the code under test. */
function readWall(instantMs: number, timezone: string): number {
  return Date.parse(`${clocks.get(timezone)?.format(instantMs).replace(" ", "T")}Z`);
}

function allows(fields: CronFields, wallMs: number): boolean {
  const wall = new Date(wallMs);
  const byDay = fields.days?.includes(wall.getUTCDate());
  const byWeekday = fields.weekdays?.includes(wall.getUTCDay());
  const either = fields.dayOr && byDay !== undefined && byWeekday !== undefined;
  return (
    wall.getUTCSeconds() === 0 &&
    (fields.minutes?.includes(wall.getUTCMinutes()) ?? true) &&
    (fields.hours?.includes(wall.getUTCHours()) ?? true) &&
    (fields.months?.includes(wall.getUTCMonth() + 1) ?? true) &&
    (either ? byDay || byWeekday : (byDay ?? true) && (byWeekday ?? true))
  );
}

suite("fire times of any schedule", () => {
  test("begin at the start of the search and strictly increase", () => {
    fc.assert(
      fc.property(anySchedule, from, (schedule, fromMs) => {
        const instants = listInstants(schedule, fromMs, 20);

        for (const [index, instant] of instants.entries()) {
          assert.ok(instant >= (instants[index - 1] ?? fromMs - 1) + 1, `${instants}`);
        }
      }),
      { numRuns: 1000 },
    );
  });

  test("do not depend on where the search begins", () => {
    fc.assert(
      fc.property(anySchedule, from, fc.double({ min: 0, max: 1, noNaN: true }), (schedule, fromMs, share) => {
        const instants = listInstants(schedule, fromMs, 12);

        for (const [index, instant] of instants.entries()) {
          const earliest = index === 0 ? fromMs : (instants[index - 1] ?? 0) + 1;
          const between = Math.floor(earliest + (instant - earliest) * share);
          assert.deepEqual(listInstants(schedule, between, 12 - index), instants.slice(index));
        }
      }),
      { numRuns: 500 },
    );
  });

  test("up to a time are those of the longer list", () => {
    fc.assert(
      fc.property(anySchedule, from, fc.integer({ min: 0, max: YEAR_MS }), (schedule, fromMs, lengthMs) => {
        const untilMs = fromMs + lengthMs;
        const longer = listInstants(schedule, fromMs, 50);

        assert.deepEqual(
          listInstants(schedule, fromMs, 50, untilMs),
          longer.filter((instant) => instant <= untilMs),
        );
      }),
      { numRuns: 500 },
    );
  });
});

suite("fire times of cron", () => {
  test("match the expression on the wall clock, or are moved forward by a gap", () => {
    fc.assert(
      fc.property(cronFields, zone, from, (fields, timezone, fromMs) => {
        const schedule = { cron: writeCron(fields), day_or: fields.dayOr, timezone };

        for (const instant of listInstants(schedule, fromMs, 20)) {
          const wall = readWall(instant, timezone);
          const jump = wall - readWall(instant - 2 * HOUR_MS, timezone) - 2 * HOUR_MS;
          assert.ok(allows(fields, wall) || (jump > 0 && allows(fields, wall - jump)), new Date(instant).toISOString());
        }
      }),
      { numRuns: 1000 },
    );
  });

  test("leave out no minute that matches and is seen for the first time", () => {
    fc.assert(
      fc.property(cronFields, zone, from, (fields, timezone, fromMs) => {
        const schedule = { cron: writeCron(fields), day_or: fields.dayOr, timezone };
        const firstMs = Math.ceil(fromMs / MINUTE_MS) * MINUTE_MS;
        const untilMs = firstMs + 6 * HOUR_MS;
        const listed = new Set(listInstants(schedule, fromMs, 1000, untilMs));

        for (let instant = firstMs; instant <= untilMs; instant += MINUTE_MS) {
          const wall = readWall(instant, timezone);
          const again = [HOUR_MS / 2, HOUR_MS].some((back) => readWall(instant - back, timezone) === wall);
          assert.ok(again || !allows(fields, wall) || listed.has(instant), new Date(instant).toISOString());
        }
      }),
      { numRuns: 60 },
    );
  });
});
