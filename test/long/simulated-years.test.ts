import assert from "node:assert/strict";
import { test } from "node:test";
import { buildRandom, listExpected, simulateYears } from "../orchestration/simulate-schedules.ts";

const YEARS = 3;

test("in three years of four zones, with restarts and outages, every fire time has one run", async (context) => {
  const { wrong, ...counts } = await simulateYears(listExpected(YEARS), YEARS, buildRandom(20_260_115));

  context.diagnostic(JSON.stringify(counts));
  assert.deepEqual(wrong, []);
  assert.ok(counts.restarts > 120 && counts.outages > 120 && counts.expected > 200_000, JSON.stringify(counts));
});
