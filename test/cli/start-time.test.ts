import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseStartAt, parseStartIn } from "../../src/cli/start-time.ts";

// A Wednesday, in this machine's time: what has no zone is read in it.
const now = new Date(2026, 6, 15, 12, 30, 0);
const local = (...[month, day, hour, minute = 0, second = 0]: number[]) =>
  new Date(2026, (month ?? 1) - 1, day, hour, minute, second);

describe("--start-in", () => {
  for (const [text, seconds] of [
    ["5 minutes", 300],
    ["in 5 minutes", 300],
    ["1 hour", 3600],
    ["an hour", 3600],
    ["1 hour and 30 minutes", 5400],
    ["1 hour, 30 min", 5400],
    ["1h30m", 5400],
    ["90s", 90],
    ["90 secs", 90],
    ["0.5 hours", 1800],
    ["2 days", 172_800],
    ["1w", 604_800],
    ["0 seconds", 0],
  ] as const) {
    test(`"${text}" is ${seconds} s from now`, () => {
      assert.equal((parseStartIn(text, now).getTime() - now.getTime()) / 1000, seconds);
    });
  }

  for (const text of ["", "soon", "5", "minutes", "5 parsecs", "-5 minutes", "1 hour 30", "900000 weeks"]) {
    test(`"${text}" is refused with examples`, () => {
      assert.throws(() => parseStartIn(text, now), { code: "USAGE", hint: /5 minutes/ });
    });
  }
});

describe("--start-at", () => {
  for (const [text, expected] of [
    ["now", now],
    ["17:30", local(7, 15, 17, 30)],
    ["5:30pm", local(7, 15, 17, 30)],
    ["at 5:30 PM", local(7, 15, 17, 30)],
    ["5pm", local(7, 15, 17)],
    ["12am", local(7, 16, 0)],
    ["noon", local(7, 16, 12)],
    ["midnight", local(7, 16, 0)],
    ["12:30:01", local(7, 15, 12, 30, 1)],
    ["9:00", local(7, 16, 9)],
    ["today 23:15", local(7, 15, 23, 15)],
    ["tomorrow", local(7, 16, 0)],
    ["tomorrow 9am", local(7, 16, 9)],
    ["tomorrow at 9:05", local(7, 16, 9, 5)],
    ["9am tomorrow", local(7, 16, 9)],
    ["friday 8:00", local(7, 17, 8)],
    ["next monday at 8:00", local(7, 20, 8)],
    ["wed 8:00", local(7, 22, 8)],
    ["2026-08-01", local(8, 1, 0)],
    ["2026-08-01 17:30", local(8, 1, 17, 30)],
    ["at 2026-08-01 17:30:05", local(8, 1, 17, 30, 5)],
    ["2026-08-01T17:30", local(8, 1, 17, 30)],
    ["Aug 1 5pm", local(8, 1, 17)],
    ["1 August 2026 17:00", local(8, 1, 17)],
    ["June 1st 17:00", new Date(2027, 5, 1, 17)],
    ["2026-08-01T17:30:00Z", new Date("2026-08-01T17:30:00Z")],
    ["2026-08-01T17:30:00.250Z", new Date("2026-08-01T17:30:00Z")],
    ["2026-08-01 17:30 UTC", new Date("2026-08-01T17:30:00Z")],
    ["2026-08-01T17:30:00+02:00", new Date("2026-08-01T15:30:00Z")],
    ["2026-08-01 17:30 -0800", new Date("2026-08-02T01:30:00Z")],
    ["2026-08-01 17:30 Europe/Berlin", new Date("2026-08-01T15:30:00Z")],
    ["2026-12-01 17:30 America/New_York", new Date("2026-12-01T22:30:00Z")],
    ["2026-10-25 04:00 Europe/Berlin", new Date("2026-10-25T03:00:00Z")],
  ] as const) {
    test(`"${text}" is ${expected.toISOString()}`, () => {
      assert.equal(parseStartAt(text, now).toISOString(), expected.toISOString());
    });
  }

  for (const text of [
    "",
    "later",
    "25:00",
    "13pm",
    "10:75",
    "2026-02-30",
    "17:30 Mars/Base",
    "yesterday",
    "tomorrow 25:00",
  ]) {
    test(`"${text}" is refused with examples`, () => {
      assert.throws(() => parseStartAt(text, now), { code: "USAGE", hint: /tomorrow 9:00/ });
    });
  }
});
