import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setDeploymentPaused, updateDeployment } from "../../src/orchestration/deployments.ts";
import {
  createSchedules,
  deleteSchedule,
  updateSchedule,
} from "../../src/orchestration/schedules/deployment-schedules.ts";
import { scheduleDeployment } from "../../src/orchestration/schedules/schedule-deployment.ts";
import { SchemaCache } from "../../src/prefect-api/json-schema.ts";
import { CreateDeploymentSchedule } from "../../src/prefect-api/schedules.ts";
import type { Store } from "../../src/storage/store.ts";
import { openTestStore } from "../support/open-test-store.ts";
import { createDeployment, listRuns, listTimes, SetClock, schedule } from "./schedule-support.ts";

const NOON = "2026-11-24T12:00:00.500Z";

function patch(store: Store, id: string, body: object, now: Date): Promise<void> {
  return updateDeployment({ store, schemas: new SchemaCache() }, id, body, { now, createdBy: null });
}

describe("the runs of a schedule", () => {
  test("are what Prefect's scheduler makes", async () => {
    const clock = new SetClock(NOON);
    await using opened = await openTestStore(clock);
    const { store } = opened;
    const deployment = await createDeployment(store, clock.now(), {
      version: "7",
      tags: ["a"],
      parameters: { x: 1, y: 1 },
      job_variables: { image: "i" },
      labels: { team: "data" },
      schedules: [
        { schedule: { cron: "0 9 * * *", timezone: "America/New_York" }, parameters: { y: 2 }, slug: "nine" },
      ],
    });

    assert.equal(await schedule(store, clock.now()), 3);

    const [run] = await listRuns(store);
    const [created] = deployment.schedules;
    assert.ok(run !== undefined && created !== undefined && run.state !== null);
    assert.deepEqual(await listTimes(store), ["2026-11-24T14:00:00Z", "2026-11-25T14:00:00Z", "2026-11-26T14:00:00Z"]);
    assert.deepEqual(
      [run.state.type, run.state.name, run.state.message, run.state.state_details.scheduled_time],
      ["SCHEDULED", "Scheduled", "Flow run scheduled", "2026-11-24T14:00:00.000000Z"],
    );
    assert.deepEqual([run.next_scheduled_start_time, run.run_count], ["2026-11-24T14:00:00.000000Z", 0]);
    assert.deepEqual([run.auto_scheduled, run.tags], [true, ["auto-scheduled", "a"]]);
    assert.deepEqual([run.parameters, run.job_variables], [{ x: 1, y: 2 }, {}]);
    assert.deepEqual(
      [run.deployment_id, run.deployment_version, run.flow_id],
      [deployment.id, "7", deployment.flow_id],
    );
    assert.deepEqual(run.created_by, { id: created.id, type: "SCHEDULE", display_value: "nine" });
    assert.deepEqual(run.labels, {
      team: "data",
      "prefect.flow.id": deployment.flow_id,
      "prefect.deployment.id": deployment.id,
    });
    assert.equal(run.idempotency_key, `scheduled ${deployment.id} ${created.id} 2026-11-24 09:00:00-05:00`);
    assert.match(run.name, /^[a-z-]+$/);
  });

  const horizons = [
    { name: "a daily one", spec: { cron: "0 0 * * *" }, runs: 3 },
    { name: "one of every ten minutes", spec: { cron: "*/10 * * * *" }, runs: 7 },
    { name: "one of every second", spec: { interval: 1 }, runs: 100 },
    { name: "one of each month, up to 100 days ahead", spec: { cron: "0 0 1 * *" }, runs: 4 - 1 },
    { name: "one that is over", spec: { rrule: "DTSTART:20200101T000000\nRRULE:FREQ=DAILY;COUNT=3" }, runs: 0 },
    { name: "one with an upper limit", spec: { cron: "*/10 * * * *" }, max_scheduled_runs: 2, runs: 2 },
    { name: "an inactive one", spec: { cron: "*/10 * * * *" }, active: false, runs: 0 },
  ];
  for (const { name, spec, runs, ...rest } of horizons) {
    test(`${name} has ${runs}, and again after some have begun`, async () => {
      const clock = new SetClock(NOON);
      await using opened = await openTestStore(clock);
      const { store } = opened;
      await createDeployment(store, clock.now(), { schedules: [{ schedule: spec, ...rest }] });

      assert.equal(await schedule(store, clock.now()), runs);
      assert.equal(await schedule(store, clock.now()), 0, "nothing is left to do");

      clock.set("2026-11-24T12:31:00Z");
      await schedule(store, clock.now());
      const upcoming = (await listTimes(store)).filter((time) => time >= "2026-11-24T12:31:00Z");
      // The hour ahead is made whole within minutes.
      assert.ok(upcoming.length >= Math.min(runs, 3) && upcoming.length <= 100, String(upcoming.length));
      assert.equal(new Set(await listTimes(store)).size, (await listTimes(store)).length);
    });
  }

  test("one that a person deletes does not come back", async () => {
    const clock = new SetClock(NOON);
    await using opened = await openTestStore(clock);
    const { store } = opened;
    await createDeployment(store, clock.now(), { schedules: [{ schedule: { cron: "0 * * * *" } }] });
    await schedule(store, clock.now());
    const [first] = await listRuns(store);

    await store.transaction((tx) => tx.flowRuns.remove(first?.id ?? ""));
    for (const time of ["2026-11-24T12:10:00Z", "2026-11-24T13:05:00Z"]) {
      clock.set(time);
      await schedule(store, clock.now());
    }

    assert.deepEqual((await listTimes(store)).slice(0, 2), ["2026-11-24T14:00:00Z", "2026-11-24T15:00:00Z"]);
  });

  test("two planes that tick at the same moment make each once", async () => {
    const clock = new SetClock(NOON);
    await using opened = await openTestStore(clock);
    const { store } = opened;
    await Promise.all(
      Array.from({ length: 40 }, (_, minute) =>
        createDeployment(store, clock.now(), { schedules: [{ schedule: { cron: `${minute} * * * *` } }] }),
      ),
    );

    const made = await Promise.all([1, 2, 3, 4].map(() => schedule(store, clock.now())));

    assert.equal(
      made.reduce((sum, each) => sum + each, 0),
      40 * 3,
    );
    const keys = (await listRuns(store)).map((run) => run.idempotency_key);
    assert.equal(new Set(keys).size, 120);
  });
});

describe("fire times that passed while no plane ran", () => {
  const policies = [
    { name: "none", catchUp: null, times: [13, 14, 15, 22, 23, 24] },
    {
      name: "latest",
      catchUp: { policy: "latest", max_lateness_seconds: 86_400 },
      times: [21, 22, 23, 24],
    },
    {
      name: "all",
      catchUp: { policy: "all", max_lateness_seconds: 86_400 },
      times: [13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24],
    },
    {
      name: "all, but not those later than two hours",
      catchUp: { policy: "all", max_lateness_seconds: 7200 },
      times: [20, 21, 22, 23, 24],
    },
    {
      name: "latest, when it is later than it may be",
      catchUp: { policy: "latest", max_lateness_seconds: 60 },
      times: [22, 23, 24],
    },
    {
      name: "none, and runs that were there but are too late",
      catchUp: { policy: "none", max_lateness_seconds: 7.25 * 3600 },
      times: [15, 22, 23, 24],
    },
  ] as const;
  for (const { name, catchUp, times } of policies) {
    test(`with ${name}`, async () => {
      const clock = new SetClock(NOON);
      await using opened = await openTestStore(clock);
      const { store } = opened;
      const { id } = await createDeployment(store, clock.now(), { schedules: [{ schedule: { cron: "0 * * * *" } }] });
      await store.transaction((tx) => tx.deployments.setCatchUp(id, catchUp));
      await schedule(store, clock.now());

      clock.set("2026-11-24T21:30:00Z");
      await schedule(store, clock.now());

      const expected = times.map((hour) => new Date(Date.UTC(2026, 10, 24, hour)).toISOString().replace(".000Z", "Z"));
      assert.deepEqual(await listTimes(store), expected);
    });
  }

  test("runs that wait because no worker takes them stay, whatever the policy", async () => {
    const clock = new SetClock(NOON);
    await using opened = await openTestStore(clock);
    const { store } = opened;
    const { id } = await createDeployment(store, clock.now(), { schedules: [{ schedule: { cron: "0 * * * *" } }] });
    await store.transaction((tx) => tx.deployments.setCatchUp(id, { policy: "latest", max_lateness_seconds: 60 }));

    for (let minute = 0; minute <= 306; minute += 1) {
      clock.set(Date.parse(NOON) + minute * 60_000);
      await schedule(store, clock.now());
    }

    assert.equal((await listTimes(store))[0], "2026-11-24T13:00:00Z");
    assert.equal((await listTimes(store)).length, 8);
  });

  test("those of a schedule of every second are made up in bounded steps", async () => {
    const clock = new SetClock(NOON);
    await using opened = await openTestStore(clock);
    const { store } = opened;
    const { id } = await createDeployment(store, clock.now(), { schedules: [{ schedule: { interval: 1 } }] });
    await store.transaction((tx) => tx.deployments.setCatchUp(id, { policy: "all", max_lateness_seconds: 86_400 }));
    await schedule(store, clock.now());

    clock.set("2026-11-24T12:20:00.500Z");
    const made = await schedule(store, clock.now());

    assert.equal(made, 1199);
    assert.equal(new Set((await listRuns(store)).map((run) => run.expected_start_time)).size, 1299);
  });

  test("those of a deployment that an operator had paused are not", async () => {
    const clock = new SetClock(NOON);
    await using opened = await openTestStore(clock);
    const { store } = opened;
    const { id } = await createDeployment(store, clock.now(), { schedules: [{ schedule: { cron: "0 * * * *" } }] });
    await store.transaction((tx) => tx.deployments.setCatchUp(id, { policy: "all", max_lateness_seconds: 86_400 }));
    await schedule(store, clock.now());

    await setDeploymentPaused(store, id, true, clock.now());
    assert.deepEqual(await listTimes(store), [], "pausing removes what is to come");
    clock.set("2026-11-24T18:30:00Z");
    assert.equal(await schedule(store, clock.now()), 0);
    await setDeploymentPaused(store, id, false, clock.now());
    await schedule(store, clock.now());

    assert.deepEqual((await listTimes(store))[0], "2026-11-24T19:00:00Z");
  });
});

describe("a change", () => {
  const TWO = [{ schedule: { cron: "0 * * * *" }, parameters: { n: 1 } }, { schedule: { interval: 1200 } }];

  async function prepare(store: Store, clock: SetClock) {
    const deployment = await createDeployment(store, clock.now(), { schedules: TWO });
    await schedule(store, clock.now());
    return { deployment, before: new Set((await listRuns(store)).map(({ id }) => id)) };
  }

  async function countKept(store: Store, before: ReadonlySet<string>): Promise<number> {
    return (await listRuns(store)).filter(({ id }) => before.has(id)).length;
  }

  test("that says the same keeps every schedule and run", async () => {
    const clock = new SetClock(NOON);
    await using opened = await openTestStore(clock);
    const { store } = opened;
    const { deployment, before } = await prepare(store, clock);
    clock.set("2026-11-24T12:05:00Z");

    await patch(store, deployment.id, { schedules: parseAll(TWO), description: "new" }, clock.now());
    await schedule(store, clock.now());

    const after = await store.deployments.find(deployment.id);
    assert.deepEqual(after?.schedules.map(({ id }) => id).sort(), deployment.schedules.map(({ id }) => id).sort());
    assert.deepEqual(
      after?.schedules.map((each) => each.schedule),
      deployment.schedules.map((each) => each.schedule),
    );
    assert.equal(await countKept(store, before), before.size);
  });

  test("of one schedule touches the runs of that one alone", async () => {
    const clock = new SetClock(NOON);
    await using opened = await openTestStore(clock);
    const { store } = opened;
    const { deployment, before } = await prepare(store, clock);
    const hourly = deployment.schedules.find((each) => "cron" in each.schedule);

    const changed = [{ schedule: { cron: "30 * * * *" } }, TWO[1] ?? {}];
    await patch(store, deployment.id, { schedules: parseAll(changed) }, clock.now());
    await schedule(store, clock.now());

    const times = await listTimes(store);
    assert.equal(await countKept(store, before), before.size - 3);
    assert.equal(times.filter((time) => time.endsWith(":30:00Z")).length, 3);
    const runs = await listRuns(store);
    assert.ok(runs.every((run) => run.created_by?.id !== hourly?.id));
  });

  test("of the deployment is taken over by the runs that are there", async () => {
    const clock = new SetClock(NOON);
    await using opened = await openTestStore(clock);
    const { store } = opened;
    const { deployment, before } = await prepare(store, clock);

    await patch(store, deployment.id, { parameters: { n: 9, m: 9 }, tags: ["t"], version: "8" }, clock.now());
    await schedule(store, clock.now());

    const runs = await listRuns(store);
    assert.equal(await countKept(store, before), before.size);
    assert.ok(runs.every((run) => run.deployment_version === "8" && run.tags.join() === "auto-scheduled,t"));
    const parameters = new Set(runs.map((run) => JSON.stringify(run.parameters)));
    assert.deepEqual([...parameters].sort(), ['{"n":1,"m":9}', '{"n":9,"m":9}']);
  });

  test("an operator's pause of a schedule survives a deploy that does not speak of it", async () => {
    const clock = new SetClock(NOON);
    await using opened = await openTestStore(clock);
    const { store } = opened;
    const { deployment } = await prepare(store, clock);
    const hourly = deployment.schedules.find((each) => "cron" in each.schedule);
    const place = { deploymentId: deployment.id, scheduleId: hourly?.id ?? "" };

    await updateSchedule(store, place, { active: false }, clock.now());
    assert.equal((await listRuns(store)).filter((run) => run.created_by?.id === hourly?.id).length, 0);
    await patch(store, deployment.id, { schedules: parseAll(TWO) }, clock.now());
    await schedule(store, clock.now());

    assert.equal((await listRuns(store)).filter((run) => run.created_by?.id === hourly?.id).length, 0);
    await patch(
      store,
      deployment.id,
      { schedules: parseAll(TWO.map((each) => ({ ...each, active: true }))) },
      clock.now(),
    );
    await schedule(store, clock.now());
    assert.equal((await listRuns(store)).filter((run) => run.created_by?.id === hourly?.id).length, 3);
  });

  test("an empty list clears, and a schedule that is deleted takes its runs with it", async () => {
    const clock = new SetClock(NOON);
    await using opened = await openTestStore(clock);
    const { store } = opened;
    const { deployment } = await prepare(store, clock);

    await patch(store, deployment.id, { schedules: [] }, clock.now());
    assert.deepEqual(await listTimes(store), []);

    const [made] = await createSchedules(store, deployment.id, parseAll(TWO.slice(0, 1)), clock.now());
    await schedule(store, clock.now());
    assert.equal((await listTimes(store)).length, 3);
    await deleteSchedule(store, { deploymentId: deployment.id, scheduleId: made?.id ?? "" });
    assert.deepEqual(await listTimes(store), []);
  });

  test("a schedule whose interval names no anchor counts from when it was made, also after a new deploy", async () => {
    const clock = new SetClock("2026-11-24T12:07:00Z");
    await using opened = await openTestStore(clock);
    const { store } = opened;
    const { id } = await createDeployment(store, clock.now(), { schedules: [{ schedule: { interval: 3600 } }] });
    clock.set("2026-11-24T12:20:00Z");
    await patch(
      store,
      id,
      { schedules: parseAll([{ schedule: { interval: 3600 }, parameters: { a: 1 } }]) },
      clock.now(),
    );
    clock.set("2026-11-24T12:21:00Z");
    await patch(
      store,
      id,
      { schedules: parseAll([{ schedule: { interval: 3600 }, parameters: { a: 1 } }]) },
      clock.now(),
    );

    await schedule(store, clock.now());

    assert.equal((await listTimes(store))[0], "2026-11-24T13:20:00Z");
  });
});

test("runs can be made for a time that has passed, and those that are there are not made again", async () => {
  const clock = new SetClock(NOON);
  await using opened = await openTestStore(clock);
  const { store } = opened;
  const { id } = await createDeployment(store, clock.now(), { schedules: [{ schedule: { cron: "0 * * * *" } }] });
  await schedule(store, clock.now());
  const past = { start_time: "2026-11-20T00:00:00.000000Z", end_time: "2026-11-20T05:00:00.000000Z" };

  assert.equal(await scheduleDeployment(store, id, { ...past, min_runs: 100 }, clock.now()), 6);
  assert.equal(await scheduleDeployment(store, id, past, clock.now()), 0);
  assert.equal(await scheduleDeployment(store, id, { max_runs: 5, min_runs: 5 }, clock.now()), 2);
  assert.equal(await scheduleDeployment(store, "00000000-0000-0000-0000-000000000000", {}, clock.now()), 0);
});

function parseAll(schedules: readonly object[]): CreateDeploymentSchedule[] {
  return schedules.map((each) => CreateDeploymentSchedule.parse(each));
}
