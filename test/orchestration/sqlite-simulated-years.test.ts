import assert from "node:assert/strict";
import { test } from "node:test";
import { buildRandom, listExpected, simulateYears } from "./simulate-schedules.ts";

/** Two of the eight hourly ones: all of them are in test/long. */
const HOURLY_ZONES = { cron: "America/Santiago", interval: "Australia/Lord_Howe" };

const YEARS = 1;

test("in a year of four zones, with restarts and outages, every fire time has one run", async (context) => {
  const expected = listExpected(YEARS).filter(
    ({ schedule, minutes }) =>
      minutes.length < 1000 || schedule["timezone"] === HOURLY_ZONES["cron" in schedule ? "cron" : "interval"],
  );

  const { wrong, ...counts } = await simulateYears(expected, YEARS, buildRandom(20_260_115));

  context.diagnostic(JSON.stringify(counts));
  assert.deepEqual(wrong, []);
  assert.ok(counts.restarts > 40 && counts.outages > 40 && counts.expected > 20_000, JSON.stringify(counts));
});
