import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { z } from "zod";
import {
  type AnySchedule,
  listFireTimes,
  MAX_FIRE_TIMES,
  validateSchedule,
} from "../../../src/orchestration/schedules/next-fire-times.ts";
import { UserError } from "../../../src/shared/errors.ts";
import { checkRows, formatInstant, readRows } from "./read-rows.ts";

function listFires(schedule: AnySchedule, from: string, limit: number, until?: string): string[] {
  const query = { from: new Date(from), limit, ...(until !== undefined && { until: new Date(until) }) };
  return listFireTimes(schedule, query).map(formatInstant);
}

function cron(text: string, timezone: string | null = "America/New_York"): AnySchedule {
  return { cron: text, timezone, day_or: true };
}

const TimedRow = z.tuple([z.string(), z.string(), z.string(), z.array(z.string())]);
const IntervalRow = z.tuple([z.string(), z.number(), z.string(), z.string(), z.array(z.string())]);

suite("changes of the clock", () => {
  test("cron fires as in Prefect 3.9 around eight changes in four zones", (t) => {
    checkRows(t, readRows("dst-cron-fires.json", TimedRow), ([timezone, text, from, fires]) => {
      assert.deepEqual(listFires(cron(text, timezone), from, fires.length), fires);
    });
  });

  test("rrule fires as in Prefect 3.9 around eight changes in four zones", (t) => {
    checkRows(t, readRows("dst-rrule-fires.json", TimedRow), ([timezone, rrule, from, fires]) => {
      assert.deepEqual(listFires({ rrule, timezone }, from, fires.length), fires);
    });
  });

  test("an interval of whole days fires as in Prefect 3.9 around eight changes in four zones", (t) => {
    checkRows(t, readRows("dst-interval-fires.json", IntervalRow), ([timezone, interval, anchor, from, fires]) => {
      const schedule = { interval, anchor_date: anchor.replace("Z", ".000000Z"), timezone };

      assert.deepEqual(listFires(schedule, from, fires.length), fires);
    });
  });

  for (const [text, from, fires] of [
    ["30 2 * * *", "2026-03-08T00:15:00-05:00", ["2026-03-08T03:30:00-04:00"]],
    ["30 2 * * *", "2026-03-08T03:15:00-04:00", ["2026-03-08T03:30:00-04:00", "2026-03-09T02:30:00-04:00"]],
    ["0 */2 * * *", "2026-03-08T00:15:00-05:00", ["2026-03-08T03:00:00-04:00", "2026-03-08T04:00:00-04:00"]],
    ["30 1 * * *", "2026-11-01T01:15:00-05:00", ["2026-11-02T01:30:00-05:00"]],
    ["*/30 * * * *", "2026-11-01T01:15:00-05:00", ["2026-11-01T02:00:00-05:00"]],
    ["0 * * * *", "2026-11-01T00:30:00-04:00", ["2026-11-01T01:00:00-04:00", "2026-11-01T02:00:00-05:00"]],
    ["*/30 * * * *", "2026-03-08T01:45:00-05:00", ["2026-03-08T03:00:00-04:00", "2026-03-08T03:30:00-04:00"]],
  ] as const) {
    test(`in New York "${text}" from ${from} fires first at ${fires[0]}`, () => {
      const expected = fires.map((fire) => formatInstant(Date.parse(fire)));

      assert.deepEqual(listFires(cron(text), from, fires.length), expected);
    });
  }

  test("a whole day that was skipped at midnight fires an hour later in Santiago", () => {
    assert.deepEqual(listFires(cron("0 0 6 9 *", "America/Santiago"), "2026-09-01T00:00:00Z", 1), [
      "2026-09-06T04:00:00Z",
    ]);
  });

  test("a day that a zone leaves out fires on the next one, once", () => {
    // Apia went from 29 to 31 December 2011.
    assert.deepEqual(listFires(cron("0 12 * * *", "Pacific/Apia"), "2011-12-29T12:00:00Z", 3), [
      "2011-12-29T22:00:00Z",
      "2011-12-30T22:00:00Z",
      "2011-12-31T22:00:00Z",
    ]);
  });
});

suite("intervals", () => {
  const daily = { interval: 86_400, timezone: "America/New_York" };

  test("whole days keep the wall clock, other intervals the elapsed time", () => {
    const anchor_date = "2026-10-31T13:00:00.000000Z"; // 9:00 in New York

    assert.deepEqual(listFires({ ...daily, anchor_date }, anchor_date, 3), [
      "2026-10-31T13:00:00Z",
      "2026-11-01T14:00:00Z",
      "2026-11-02T14:00:00Z",
    ]);
    assert.deepEqual(listFires({ ...daily, interval: 43_200, anchor_date }, anchor_date, 4), [
      "2026-10-31T13:00:00Z",
      "2026-11-01T01:00:00Z",
      "2026-11-01T13:00:00Z",
      "2026-11-02T01:00:00Z",
    ]);
  });

  test("a time that the clock skips moves all later ones, and none earlier than the anchor", () => {
    const after = { ...daily, anchor_date: "2026-03-05T07:30:00.000000Z" }; // 2:30
    const before = { ...daily, anchor_date: "2026-03-12T06:30:00.000000Z" };

    assert.deepEqual(listFires(after, "2026-03-07T12:00:00Z", 2), ["2026-03-08T07:30:00Z", "2026-03-09T07:30:00Z"]);
    assert.deepEqual(listFires(before, "2026-03-07T12:00:00Z", 2), ["2026-03-08T07:30:00Z", "2026-03-09T06:30:00Z"]);
  });

  test("an hour that occurs twice fires the first time", () => {
    const schedule = { ...daily, anchor_date: "2026-10-30T05:30:00.000000Z" }; // 1:30

    assert.deepEqual(listFires(schedule, "2026-11-01T00:00:00Z", 2), ["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"]);
  });

  test("times before the anchor and parts of a second count", () => {
    const anchor_date = "2026-01-01T00:00:00.250999Z";
    const from = new Date("2025-12-31T23:59:59.100Z");

    assert.deepEqual(
      listFireTimes({ interval: 0.5, anchor_date, timezone: null }, { from, limit: 3 }).map((fire) =>
        fire.toISOString(),
      ),
      ["2025-12-31T23:59:59.250Z", "2025-12-31T23:59:59.750Z", "2026-01-01T00:00:00.250Z"],
    );
  });

  for (const interval of [0, -5, Number.NaN, Number.POSITIVE_INFINITY, 1e-9, 1e12]) {
    test(`${interval} seconds are refused`, () => {
      assert.match(
        validateSchedule({ interval, timezone: null }) ?? "",
        /^Invalid interval: .* more than 0 and at most/,
      );
    });
  }
});

suite("listing fire times", () => {
  test("the search begins at the next whole second and both ends count", () => {
    assert.deepEqual(listFires(cron("* * * * * *", null), "2026-01-01T00:00:00.001Z", 9, "2026-01-01T00:00:03Z"), [
      "2026-01-01T00:00:01Z",
      "2026-01-01T00:00:02Z",
      "2026-01-01T00:00:03Z",
    ]);
    assert.deepEqual(listFires(cron("0 0 * * *", null), "2026-01-01T00:00:00Z", 1), ["2026-01-01T00:00:00Z"]);
  });

  test("an answer has at most a thousand times", () => {
    assert.equal(listFires(cron("* * * * *"), "2026-01-01T00:00:00Z", 5000).length, MAX_FIRE_TIMES);
  });

  test("no time zone is UTC", () => {
    assert.deepEqual(listFires({ rrule: "FREQ=DAILY;BYHOUR=6", timezone: null }, "2026-01-01T00:00:00Z", 1), [
      "2026-01-01T06:00:00Z",
    ]);
  });

  test("a schedule that cannot be used is an INVALID_SCHEDULE", () => {
    for (const schedule of [
      cron("61 * * * *"),
      cron("* * * * *", "Mars/Olympus"),
      { rrule: "FREQ=X", timezone: "UTC" },
    ]) {
      assert.throws(
        () => listFires(schedule, "2026-01-01T00:00:00Z", 1),
        (error) => error instanceof UserError && error.code === "INVALID_SCHEDULE",
      );
    }
    assert.match(validateSchedule(cron("* * * * *", "Mars/Olympus")) ?? "", /^Invalid timezone: "Mars\/Olympus"/);
    assert.equal(validateSchedule(cron("* * * * *")), undefined);
  });

  test("ten thousand schedules give their next three times within a second of processor time", (t) => {
    const zones = ["UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "America/Santiago", "Asia/Tokyo"];
    const schedules = Array.from({ length: 10_000 }, (_, index): AnySchedule => {
      const timezone = zones[index % zones.length] ?? "UTC";
      const minute = index % 60;
      const hour = index % 23;
      return (
        [
          cron(`${minute} ${hour} * * mon-fri`, timezone),
          cron(`${minute} */${1 + (index % 7)} 1,15 * *`, timezone),
          { interval: 86_400, anchor_date: `2024-01-11T${String(hour).padStart(2, "0")}:00:00.000000Z`, timezone },
          { rrule: `DTSTART:20200101T000000\nRRULE:FREQ=HOURLY;BYMINUTE=${minute}`, timezone },
        ][index % 4] ?? cron("* * * * *")
      );
    });

    const costs = ["2026-11-24T08:00:00Z", "2026-11-24T08:01:00Z"].map((from) => {
      const before = process.cpuUsage();
      for (const schedule of schedules) {
        assert.equal(listFireTimes(schedule, { from: new Date(from), limit: 3 }).length, 3);
      }
      const { user, system } = process.cpuUsage(before);
      return (user + system) / 1000;
    });

    t.diagnostic(`first pass ${costs[0]?.toFixed(0)} ms, second ${costs[1]?.toFixed(0)} ms`);
    assert.ok(Math.min(...costs) < 1000, `${costs.join(", ")} ms`);
  });
});
