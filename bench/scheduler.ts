import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { writeSchedules } from "../src/orchestration/schedules/deployment-schedules.ts";
import { listFireTimes } from "../src/orchestration/schedules/next-fire-times.ts";
import { scheduleFlowRuns } from "../src/orchestration/schedules/schedule-flow-runs.ts";
import { CreateDeploymentSchedule } from "../src/prefect-api/schedules.ts";
import { timestampFromDate } from "../src/prefect-api/timestamp.ts";
import { silentLogger } from "../src/shared/logger.ts";
import { openStore } from "../src/storage/open-store.ts";
import type { Store } from "../src/storage/store.ts";

/**
 * What the scheduler costs: `node bench/scheduler.ts --deployments 10000 --hours 6`. The first pass makes the runs of
 * all, then simulated hours go by in steps of the loop's five seconds.
 */
const { values } = parseArgs({
  options: {
    deployments: { type: "string", default: "10000" },
    hours: { type: "string", default: "3" },
    database: { type: "string" },
  },
});
const DEPLOYMENTS = Number(values.deployments);
const STEP_MS = 5000;
const GOAL_PASS_MS = 1000;
const GOAL_RRULE_MS = 10;
const START_MS = Date.UTC(2026, 10, 24, 11, 50);

/** What a team has: mostly nightly and hourly, some often. */
const KINDS = [
  (index: number) => ({ cron: `${index % 60} ${index % 24} * * *`, timezone: "America/New_York" }),
  () => ({ cron: "0 6 * * 1-5", timezone: "Europe/Berlin" }),
  (index: number) => ({ cron: `${index % 60} * * * *` }),
  () => ({ cron: "0 * * * *" }),
  () => ({ cron: "*/5 * * * *" }),
  (index: number) => ({ interval: 3600 + index }),
  () => ({ interval: 86_400, timezone: "Australia/Lord_Howe" }),
  (index: number) => ({ rrule: `DTSTART:20200101T0${index % 10}0000\nRRULE:FREQ=WEEKLY;BYDAY=MO,TH` }),
];

interface Pass {
  elapsedMs: number;
  /** The longest of its transactions: what others wait for. */
  longestMs: number;
  made: number;
}

async function main(): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), "flowyard-scheduler-"));
  const clock = { now: () => new Date(START_MS) };
  const store = await openStore({ database: values.database ?? join(folder, "plane.sqlite"), clock });
  try {
    await fill(store);
    const first = await tickAll(store, START_MS);
    say(`first pass: ${first.made} runs in ${show(first.elapsedMs)}, ${rate(first)} runs/s`, first);
    const passes: Pass[] = [];
    for (let nowMs = START_MS + STEP_MS; nowMs <= START_MS + Number(values.hours) * 3_600_000; nowMs += STEP_MS) {
      passes.push(await tickAll(store, nowMs));
    }
    const idle = passes.filter(({ made }) => made === 0);
    report(`${passes.length} passes every ${STEP_MS / 1000} s`, passes);
    report(`${idle.length} of them with nothing to do`, idle);
    return Math.max(...passes.map(({ elapsedMs }) => elapsedMs)) <= GOAL_PASS_MS && measureRRule();
  } finally {
    await store.close();
    await rm(folder, { recursive: true, force: true });
  }
}

async function fill(store: Store): Promise<void> {
  const now = new Date(START_MS);
  const timestamp = timestampFromDate(now);
  const flowId = randomUUID();
  const row = { created: timestamp, updated: timestamp };
  await store.transaction((tx) => tx.flows.insert({ id: flowId, ...row, name: "bench", tags: [], labels: {} }));
  for (let index = 0; index < DEPLOYMENTS; index += 1) {
    const id = randomUUID();
    const schedule = KINDS[index % KINDS.length]?.(index);
    await store.transaction(async (tx) => {
      await tx.deployments.insert({
        ...row,
        id,
        name: `deployment-${index}`,
        flow_id: flowId,
        paused: false,
        concurrency_limit_id: null,
        job_variables: {},
        parameters: { index },
        tags: ["bench"],
        enforce_parameter_schema: true,
        created_by: null,
      });
      await writeSchedules(tx, id, [CreateDeploymentSchedule.parse({ schedule })], now);
    });
  }
}

/** One pass: ticks until none says that there is more. */
async function tickAll(store: Store, nowMs: number): Promise<Pass> {
  const startedMs = performance.now();
  let made = 0;
  let longestMs = 0;
  for (;;) {
    const tickMs = performance.now();
    const { changed, more } = await scheduleFlowRuns({ store, logger: silentLogger }, new Date(nowMs));
    made += changed;
    longestMs = Math.max(longestMs, performance.now() - tickMs);
    if (!more) {
      return { elapsedMs: performance.now() - startedMs, longestMs, made };
    }
  }
}

function report(name: string, passes: readonly Pass[]): void {
  const times = passes.map(({ elapsedMs }) => elapsedMs).sort((a, b) => a - b);
  const at = (share: number) => show(times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0);
  const made = passes.reduce((sum, pass) => sum + pass.made, 0);
  say(`${name}: p50 ${at(0.5)}, p99 ${at(0.99)}, longest ${at(1)}; ${made} runs made`, {
    longestMs: Math.max(0, ...passes.map(({ longestMs }) => longestMs)),
  });
}

function say(text: string, { longestMs }: Pick<Pass, "longestMs">): void {
  process.stdout.write(`${text} (longest transaction ${show(longestMs)})\n`);
}

function show(milliseconds: number): string {
  return `${milliseconds.toFixed(milliseconds < 10 ? 2 : 0)} ms`;
}

function rate({ made, elapsedMs }: Pass): number {
  return Math.round((made / elapsedMs) * 1000);
}

/** Rules that began long ago, each asked once, as after a restart. */
function measureRRule(): boolean {
  const rules = [
    "DTSTART:19700101T000000\nRRULE:FREQ=MINUTELY;INTERVAL=7",
    "DTSTART:19700101T000000\nRRULE:FREQ=DAILY;BYHOUR=2,14;BYMINUTE=30",
    "DTSTART:19000101T000000\nRRULE:FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=9",
    "DTSTART:20000101T000000\nRRULE:FREQ=SECONDLY;INTERVAL=13",
  ];
  const times = rules.map((rrule) => {
    const startedMs = performance.now();
    listFireTimes({ rrule, timezone: "Europe/Berlin" }, { from: new Date(START_MS), limit: 100 });
    return performance.now() - startedMs;
  });
  const longestMs = Math.max(...times);
  process.stdout.write(`100 times of an rrule far from its DTSTART: ${times.map(show).join(", ")}\n`);
  return longestMs <= GOAL_RRULE_MS;
}

process.exitCode = (await main()) ? 0 : 1;
