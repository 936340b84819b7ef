import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { z } from "zod";
import { listFireTimes, validateSchedule } from "../../../src/orchestration/schedules/next-fire-times.ts";
import { checkRows, formatInstant, readRows } from "./read-rows.ts";

const Row = z.tuple([z.string(), z.string(), z.string(), z.union([z.string(), z.array(z.string())])]);

function listFires(rrule: string, timezone: string, from: string, limit: number): string[] {
  return listFireTimes({ rrule, timezone }, { from: new Date(from), limit }).map(formatInstant);
}

/** The processor time of one call, which a busy machine does not stretch. */
function measureCpuMs(run: () => void): number {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

suite("rrule", () => {
  for (const file of ["rrule-next-fires.json", "rrule-random-fires.json"]) {
    test(`fires and is refused as with python-dateutil: ${file}`, (t) => {
      checkRows(t, readRows(file, Row), ([timezone, rrule, from, fires]) => {
        if (typeof fires === "string") {
          assert.notEqual(validateSchedule({ rrule, timezone }), undefined);
          return;
        }
        const distinct = [...new Set(fires)];
        const limit = Math.max(distinct.length, 1);

        assert.deepEqual(listFires(rrule, timezone, from, limit), distinct);
      });
    });
  }

  for (const [name, rrule] of [
    ["seconds since 1970", "DTSTART:19700101T000000\nRRULE:FREQ=SECONDLY"],
    ["hours since 2020", "FREQ=HOURLY;BYMINUTE=7"],
    ["minutes on Mondays since 1970", "DTSTART:19700101T000000\nRRULE:FREQ=MINUTELY;INTERVAL=7;BYDAY=MO"],
    ["every third day since 1900", "DTSTART:19000101T000000\nRRULE:FREQ=DAILY;INTERVAL=3"],
    ["last Fridays since 1900", "DTSTART:19000101T000000\nRRULE:FREQ=MONTHLY;BYDAY=-1FR"],
    ["a set of rules since 2000", "DTSTART:20000101T000000\nRRULE:FREQ=HOURLY\nRRULE:FREQ=DAILY\nEXRULE:FREQ=WEEKLY"],
  ] as const) {
    test(`far from its start a rule costs at most 10 ms: ${name}`, (t) => {
      // Compiled and with the zone's clock known, as in a scheduler that runs.
      listFires(`${rrule};UNTIL=20990101T000000`, "America/New_York", "2026-11-24T08:00:00Z", 10);

      const costs = [51, 52, 53].map((year) => {
        const fresh = `${rrule};UNTIL=20${year}0101T000000`;
        return measureCpuMs(() => listFires(fresh, "America/New_York", "2026-11-24T08:00:00Z", 10));
      });

      t.diagnostic(`${costs.map((cost) => cost.toFixed(1)).join(", ")} ms`);
      assert.ok(Math.min(...costs) <= 10, `${costs.join(", ")} ms`);
    });
  }

  test("COUNT ends a rule however far its start is", () => {
    const rule = "DTSTART:20260101T000000\nRRULE:FREQ=HOURLY;BYHOUR=9,17;COUNT=10";

    assert.deepEqual(listFires(rule, "UTC", "2026-01-05T10:00:00Z", 5), ["2026-01-05T17:00:00Z"]);
    assert.deepEqual(listFires("FREQ=SECONDLY;COUNT=1000000000", "UTC", "2051-09-09T01:46:38Z", 5), [
      "2051-09-09T01:46:38Z",
      "2051-09-09T01:46:39Z",
    ]);
    assert.deepEqual(listFires("FREQ=DAILY;COUNT=0", "UTC", "2026-01-05T10:00:00Z", 5), []);
  });

  test("a rule that can never fit ends without a time", () => {
    for (const rule of [
      "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
      "FREQ=SECONDLY;BYYEARDAY=60;BYMONTHDAY=5",
      "FREQ=MINUTELY;INTERVAL=1440;BYHOUR=5",
      "FREQ=YEARLY;BYWEEKNO=20;BYYEARDAY=1",
      "RRULE:FREQ=SECONDLY\nEXRULE:FREQ=SECONDLY",
    ]) {
      assert.deepEqual(listFires(rule, "Europe/Berlin", "2026-01-01T00:00:00Z", 3), [], rule);
    }
  });

  test("the zone of a date in the text says nothing: every date is on the schedule's wall", () => {
    const rule = "DTSTART;TZID=Asia/Tokyo:20260101T090000\nRRULE:FREQ=DAILY\nEXDATE:20260102T090000Z";

    assert.deepEqual(listFires(rule, "America/New_York", "2026-01-01T00:00:00Z", 2), [
      "2026-01-01T14:00:00Z",
      "2026-01-03T14:00:00Z",
    ]);
  });

  for (const [rrule, reason] of [
    ["", /neither a rule with FREQ nor an RDATE/],
    ["INTERVAL=2", /a rule needs a FREQ, such as FREQ=DAILY/],
    ["FREQ=NEVER", /FREQ must be one of YEARLY, .* not "NEVER"/],
    ["FREQ=DAILY;", /"" is not of the form NAME=VALUE/],
    ["FREQ=DAILY;FOO=1", /"FOO" is no part of a rule/],
    ["FREQ=DAILY;INTERVAL=0", /INTERVAL must be 1 to/],
    ["FREQ=DAILY;INTERVAL=x", /INTERVAL must be a whole number, not "X"/],
    ["FREQ=DAILY;BYHOUR=25", /BYHOUR must be 0 to 23, not 25/],
    ["FREQ=DAILY;BYDAY=XX", /BYDAY must be one of MO, .* not "XX"/],
    ["FREQ=DAILY;BYSETPOS=0", /BYSETPOS must be -366 to 366 without 0/],
    ["FREQ=DAILY;UNTIL=tomorrow", /"TOMORROW" is no date; write it as 20261231T235959/],
    ["DTSTART:20261301T000000\nRRULE:FREQ=DAILY", /"20261301T000000" is no date/],
    ["DTSTART:20260101T000000\nRRULE:FREQ=DAILY;UNTIL=20270101T000000Z", /UNTIL and DTSTART must both have a zone/],
    ["RDATE;TZID=Asia/Tokyo:20260101T000000", /RDATE does not take "TZID=ASIA\/TOKYO"/],
    ["BEGIN:VEVENT\nRRULE:FREQ=DAILY", /"BEGIN" is no property; allowed are DTSTART/],
    ["FREQ=HOURLY;INTERVAL=2;BYHOUR=1", /BYHOUR=1 is never reached in steps of 2 hours from 0/],
    ["FREQ=DAILY;BYHOUR=1,2;COUNT=1000000", /COUNT=1000000 is more than 50000/],
    [`RDATE:${"20260101T000000,".repeat(420)}20260101T000000`, /characters; at most 6500 are allowed/],
    ["RRULE:FREQ=DAILY\n".repeat(51), /it has 51 rules; at most 50/],
  ] as const) {
    test(`refused with the reason: ${JSON.stringify(rrule.slice(0, 70))}`, () => {
      const message = validateSchedule({ rrule, timezone: "UTC" });

      assert.ok(message?.startsWith("Invalid RRule string") === true, message);
      assert.match(message ?? "", reason);
    });
  }
});
