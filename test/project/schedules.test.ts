import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { buildCreateSchedule, parseInterval, parseSchedule } from "../../src/project/schedules.ts";

describe("the interval of a schedule", () => {
  for (const [text, seconds] of [
    [90.5, 90.5],
    ["PT1H30M", 5400],
    ["P1DT12H", 129_600],
    ["P2W", 1_209_600],
    ["PT0.5S", 0.5],
    ["-PT1H", -3600],
    ["01:30:00", 5400],
    ["1:30", 5400],
    ["2 days, 1:00:00", 176_400],
    ["120", undefined],
    ["P", undefined],
    ["PT", undefined],
    ["PT1M1H", undefined],
    ["soon", undefined],
    [Number.NaN, undefined],
    [null, undefined],
  ] as const) {
    it(`${JSON.stringify(text)} is ${seconds ?? "refused"}`, () => {
      assert.equal(parseInterval(text), seconds);
    });
  }
});

describe("the cron of a schedule", () => {
  // The grammar is the plane's, tested with it: here that it is asked, with the schedule's own day_or.
  for (const cron of ["*/15 8-17 * * 1-5", "@daily", "0 0 * * 2#1", "0 0 1,15 * ? 30", "0 0 * * * 0 2030"]) {
    it(`may be ${cron}`, () => {
      assert.deepEqual(parseSchedule({ cron }), { schedule: { cron } });
    });
  }
  for (const [cron, reason] of [
    ["not a cron", /"not a cron": it has 3 fields; allowed are five/],
    ["60 * * * *", /minute "60" is out of range \(0 to 59\)/],
    ["* * * * funday", /day of week "funday" cannot be read; allowed are 0 to 6, names \(sun to sat\)/],
    ["@dailyish", /no such word; allowed are @midnight, @hourly/],
    ["0 0 31 2 *", /it never fires/],
  ] as const) {
    it(`may not be ${cron}`, () => {
      const problem = parseSchedule({ cron });

      assert.ok("message" in problem);
      assert.match(problem.message, reason);
    });
  }
});

describe("a schedule", () => {
  const now = new Date("2026-01-02T03:04:05.678Z");

  it("of an update says only what the file says", () => {
    const schedule = parseSchedule({
      interval: "PT1H",
      anchor_date: "2024-02-03 04:05:06",
      slug: "hourly",
      active: "no",
    });

    assert.deepEqual(schedule, {
      schedule: { interval: 3600, anchor_date: "2024-02-03T04:05:06Z" },
      active: false,
      slug: "hourly",
    });
  });

  it("of a creation says every key, and is anchored now", () => {
    const schedule = parseSchedule({ interval: 60 });
    assert.ok(!("message" in schedule));

    assert.deepEqual(buildCreateSchedule(schedule, now), {
      schedule: { interval: 60, anchor_date: "2026-01-02T03:04:05.678Z", timezone: "UTC" },
      active: true,
      max_scheduled_runs: null,
      parameters: {},
      slug: null,
      replaces: null,
    });
  });

  it("by rule gets the anchor that it has anyway, unless it runs by the minute", () => {
    const daily = parseSchedule({ rrule: "FREQ=DAILY" });
    const everyMinute = parseSchedule({ rrule: "FREQ=MINUTELY;INTERVAL=5" });
    const json = parseSchedule({
      rrule: '{"rrule": "DTSTART:20240101T000000\\nFREQ=DAILY", "timezone": "Asia/Tokyo"}',
    });

    assert.deepEqual(daily, { schedule: { rrule: "DTSTART:20200101T000000\nFREQ=DAILY", timezone: "UTC" } });
    assert.deepEqual(everyMinute, { schedule: { rrule: "FREQ=MINUTELY;INTERVAL=5", timezone: "UTC" } });
    assert.deepEqual(json, { schedule: { rrule: "DTSTART:20240101T000000\nFREQ=DAILY", timezone: "Asia/Tokyo" } });
  });

  it("names the key that is wrong", () => {
    const keys = [
      parseSchedule({ cron: "* * * * *", timezone: "Mars/Olympus" }),
      parseSchedule({ interval: 0 }),
      parseSchedule({ interval: 60, anchor_date: "yesterday" }),
      parseSchedule({ rrule: "EVERY DAY" }),
      parseSchedule({ rrule: "{broken" }),
      parseSchedule({ rrule: "FREQ=DAILY;BYHOUR=24" }),
      parseSchedule({ rrule: `FREQ=DAILY;BYHOUR=${"1,".repeat(4000)}1` }),
      parseSchedule({ cron: "* * * * *", day_or: "maybe" }),
      parseSchedule({}),
    ].map((result) => ("key" in result ? result.key : undefined));

    assert.deepEqual(keys, ["timezone", "interval", "anchor_date", "rrule", "rrule", "rrule", "rrule", "day_or", ""]);
  });
});
