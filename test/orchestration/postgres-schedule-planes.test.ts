import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { updateSchedule } from "../../src/orchestration/schedules/deployment-schedules.ts";
import { openStore } from "../../src/storage/open-store.ts";
import { takePostgresDatabase } from "../support/test-database.ts";
import { createDeployment, listRuns, SetClock, schedule } from "./schedule-support.ts";

const PLANES = 4;
const SCHEDULES = 60;

describe("planes on one database", () => {
  test("make each run once while they all tick at once, and while schedules change", async () => {
    const clock = new SetClock("2026-11-24T12:00:00.500Z");
    await using database = await takePostgresDatabase();
    const stores = await Promise.all(
      Array.from({ length: PLANES }, () => openStore({ database: database.url, clock })),
    );
    const [first] = stores;
    assert.ok(first !== undefined);
    try {
      const deployment = await createDeployment(first, clock.now(), {
        schedules: Array.from({ length: SCHEDULES }, (_, minute) => ({ schedule: { cron: `${minute} * * * *` } })),
      });
      const tick = () => Promise.all(stores.map((store) => schedule(store, clock.now())));

      const made = await tick();
      assert.equal(
        made.reduce((sum, each) => sum + each, 0),
        SCHEDULES * 3,
      );

      const change = deployment.schedules.map(({ id }, index) =>
        updateSchedule(
          stores[index % PLANES] ?? first,
          { deploymentId: deployment.id, scheduleId: id },
          { schedule: { cron: "0 */2 * * *", timezone: null, day_or: true } },
          clock.now(),
        ),
      );
      await Promise.all([...change, tick(), tick()]);
      await tick();

      const runs = await listRuns(first);
      const times = runs.map((run) => `${run.created_by?.id ?? ""} ${run.expected_start_time ?? ""}`);
      assert.equal(new Set(times).size, times.length, "no fire time has two");
      assert.equal(times.length, SCHEDULES * 3);
      assert.ok(
        runs.every((run) => /T(14|16|18):00:00/.test(run.expected_start_time ?? "")),
        "no run of an old schedule",
      );
    } finally {
      await Promise.all(stores.map((store) => store.close()));
    }
  });
});
