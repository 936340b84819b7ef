import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { z } from "zod";
import { timestampFromDate } from "../../src/prefect-api/timestamp.ts";
import { openStore } from "../../src/storage/open-store.ts";
import { createDeployment, SetClock, schedule } from "./schedule-support.ts";
import { readRows } from "./schedules/read-rows.ts";

const MEMORY = "/dev/shm";
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const START = "2026-01-15T00:00:00.000Z";
const START_YEAR = 2026;

/** A schedule with the minutes since 1970 at which it fires in the three years. */
export interface Expected {
  schedule: Record<string, unknown>;
  minutes: number[];
}

const Row = z.object({
  schedule: z.record(z.string(), z.unknown()),
  count: z.number(),
  first: z.number(),
  /** `[minutes between two fire times, how often in a row]`. */
  steps: z.array(z.tuple([z.number(), z.number()])),
});

/** Up to three. */
export function endOf(years: number): number {
  return Date.UTC(START_YEAR + years, 0, 15);
}

/** What Prefect's own schedules say, and elapsed hours, counted from an odd minute. */
export function listExpected(years: number): Expected[] {
  const recorded = readRows("three-years.json", Row).map(({ schedule: spec, first, steps }) => {
    const minutes = [first];
    for (const [step, times] of steps) {
      for (let time = 0; time < times; time += 1) {
        minutes.push((minutes.at(-1) ?? 0) + step);
      }
    }
    return { schedule: spec, minutes };
  });
  const hourly = ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "America/Santiago"].map((timezone) => {
    const minutes: number[] = [];
    for (let at = Date.parse(START) + 7 * MINUTE_MS; at < endOf(years); at += HOUR_MS) {
      minutes.push(at / MINUTE_MS);
    }
    return { schedule: { interval: 3600, anchor_date: "2025-06-01T00:07:00Z", timezone }, minutes };
  });
  return [...recorded, ...hourly].map(({ schedule: spec, minutes }) => ({
    schedule: spec,
    minutes: minutes.filter((minute) => minute * MINUTE_MS < endOf(years)),
  }));
}

export interface Simulation {
  schedules: number;
  expected: number;
  made: number;
  /** Fire times that got no run, or a run at a time that was not expected, or two. */
  wrong: string[];
  restarts: number;
  outages: number;
  ticks: number;
}

/**
 * Years of a plane, the clock passed in: it looks at its schedules now and then, is away for five hours every
 * week or so, and is started anew over its database every month or so.
 */
export async function simulateYears(
  expected: readonly Expected[],
  years: number,
  random: () => number,
): Promise<Simulation> {
  // In memory where the system has such a folder: the disk is not what this is about.
  const folder = await mkdtemp(join(existsSync(MEMORY) ? MEMORY : tmpdir(), "flowyard-years-"));
  const database = join(folder, "plane.sqlite");
  const clock = new SetClock(START);
  const result = { schedules: expected.length, expected: 0, made: 0, restarts: 0, outages: 0, ticks: 0 };
  let store = await openStore({ database, clock });
  try {
    const deployment = await createDeployment(store, clock.now(), {
      schedules: expected.map((each, index) => ({ schedule: each.schedule, slug: `s${index}` })),
    });
    await store.transaction((tx) =>
      tx.deployments.setCatchUp(deployment.id, { policy: "all", max_lateness_seconds: 86_400 }),
    );
    using workers = createWorkers(database);
    while (clock.now().getTime() < endOf(years)) {
      result.made += await schedule(store, clock.now());
      result.ticks += 1;
      const isOutage = random() < HOUR_MS / (7 * DAY_MS);
      result.outages += isOutage ? 1 : 0;
      if (isOutage || result.ticks % TICKS_BETWEEN_STARTS === 0) {
        workers.startDue(clock.now());
      }
      if (isOutage || random() < HOUR_MS / (30 * DAY_MS)) {
        await store.close();
        store = await openStore({ database, clock });
        result.restarts += 1;
      }
      clock.set(clock.now().getTime() + (isOutage ? 5 * HOUR_MS : Math.ceil((0.4 + 1.2 * random()) * HOUR_MS)));
    }
    const slugs = new Map(deployment.schedules.map(({ id, slug }) => [id, Number(slug?.slice(1))]));
    const wrong = compare(expected, readFireTimes(database, slugs, endOf(years)));
    return { ...result, expected: expected.reduce((sum, { minutes }) => sum + minutes.length, 0), wrong };
  } finally {
    await store.close();
    await rm(folder, { recursive: true, force: true });
  }
}

const Fired = z.object({ schedule_id: z.string(), fire_at: z.string() });

/** Some ten hours: well within the day after which a run that waits is left out. */
const TICKS_BETWEEN_STARTS = 10;

/** Workers take what is due: what still waits long after an outage would be left out then. */
function createWorkers(database: string) {
  const connection = new DatabaseSync(database, { timeout: 5000 });
  connection.exec("pragma synchronous = off");
  const start = connection.prepare(
    `update flow_runs set state_type = 'RUNNING', state_name = 'Running', run_count = 1
    where state_type = 'SCHEDULED' and next_scheduled_start_time <= ?`,
  );
  return {
    startDue: (now: Date) => start.run(timestampFromDate(now)),
    [Symbol.dispose]: () => connection.close(),
  };
}

/** The minutes at which runs were made, for each schedule by its number. */
function readFireTimes(database: string, numbers: ReadonlyMap<string, number>, endMs: number): Map<number, number[]> {
  const connection = new DatabaseSync(database, { readOnly: true });
  const fired = new Map<number, number[]>();
  for (const row of connection
    .prepare("select schedule_id, next_scheduled_start_time as fire_at from flow_runs order by fire_at")
    .iterate()) {
    const { schedule_id: id, fire_at: fireAt } = Fired.parse(row);
    const atMs = Date.parse(`${fireAt.slice(0, 23)}Z`);
    const number = numbers.get(id) ?? -1;
    if (atMs < endMs) {
      const times = fired.get(number) ?? [];
      times.push(atMs / MINUTE_MS);
      fired.set(number, times);
    }
  }
  connection.close();
  return fired;
}

function compare(expected: readonly Expected[], fired: ReadonlyMap<number, readonly number[]>): string[] {
  return expected.flatMap(({ schedule: spec, minutes }, number) => {
    const times = fired.get(number) ?? [];
    const index = Array.from({ length: Math.max(minutes.length, times.length) }, (_, each) => each).find(
      (each) => minutes[each] !== times[each],
    );
    return index === undefined
      ? []
      : [`${JSON.stringify(spec)}: expected ${show(minutes[index])}, got ${show(times[index])} (number ${index})`];
  });
}

function show(minute: number | undefined): string {
  return minute === undefined ? "nothing" : new Date(minute * MINUTE_MS).toISOString();
}

/** Mulberry32: the same numbers every time. */
export function buildRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
