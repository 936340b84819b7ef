import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { parseArgs } from "node:util";
import { v7 as uuidv7 } from "uuid";
import { findFreePort } from "../scripts/setup/free-port.ts";
import { addSeconds, timestampFromDate } from "../src/prefect-api/timestamp.ts";
import { systemClock } from "../src/shared/clock.ts";
import { openStore } from "../src/storage/open-store.ts";
import { LoadClient } from "./load.ts";
import { startProcess } from "./processes.ts";

/**
 * How long requests take while retention removes old runs: `node bench/retention.ts --runs 100000`. The same requests
 * are sent first to a plane that removes nothing.
 */
const { values } = parseArgs({ options: { runs: { type: "string", default: "100000" } } });
const RUNS = Number(values.runs);
const DAY_SECONDS = 86_400;
const AGE_DAYS = 100;
const STATES = ["SCHEDULED", "PENDING", "RUNNING", "COMPLETED"];
const LOGS = 5;
const TASK_RUNS = 2;
const CLIENTS = 8;
/** Between two requests of one client: some hundred requests a second, which the plane answers easily when it is idle. */
const PAUSE_MS = 20;
const BASELINE_SECONDS = 20;
const GOAL_MS = 250;
const MAX_SECONDS = 1800;
const SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin";

/** Lines go with their run, so that all that is removed is removed in one way. */
const KEEP_ALL = { FLOWYARD_RETENTION_LOGS_DAYS: "0", FLOWYARD_RETENTION_EVENTS_DAYS: "0" };

type Row = Record<string, SQLInputValue>;

const entry = join(import.meta.dirname, "..", "bin", "flowyard");
const folder = await mkdtemp(join(tmpdir(), "flowyard-retention-"));
const file = join(folder, "plane.sqlite");
try {
  await (await openStore({ database: file, clock: systemClock })).close();
  const startedMs = performance.now();
  fill();
  say(`${RUNS} old runs with ${STATES.length} states, ${LOGS} lines and ${TASK_RUNS} task runs each`, startedMs);
  const idle = await measure({ ...KEEP_ALL, FLOWYARD_RETENTION_RUNS_DAYS: "0" }, BASELINE_SECONDS);
  report("retention off", idle.latencies);
  const removal = await measure({ ...KEEP_ALL, FLOWYARD_RETENTION_RUNS_DAYS: "90" }, MAX_SECONDS);
  report("retention on", removal.latencies);
  const left = countOld();
  const rate = Math.round((RUNS - left) / removal.seconds);
  process.stdout.write(`removed ${RUNS - left} of ${RUNS} runs in ${removal.seconds.toFixed(0)} s, ${rate} runs/s\n`);
  process.exitCode = Math.max(...removal.latencies) <= GOAL_MS ? 0 : 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}

function say(text: string, startedMs: number): void {
  process.stdout.write(`${text} (${((performance.now() - startedMs) / 1000).toFixed(1)} s)\n`);
}

function report(name: string, latencies: number[]): void {
  latencies.sort((left, right) => left - right);
  const at = (share: number) => (latencies[Math.floor(share * (latencies.length - 1))] ?? Number.NaN).toFixed(1);
  process.stdout.write(
    `${name}: ${latencies.length} requests, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, p99.9 ${at(0.999)} ms, max ${at(1)} ms\n`,
  );
}

/** Straight into the tables: making a hundred thousand runs by requests takes longer than what is measured. */
function fill(): void {
  const database = new DatabaseSync(file);
  database.exec("pragma synchronous = off; begin");
  const insert = buildInsert(database);
  const now = timestampFromDate(systemClock.now());
  const flowId = randomUUID();
  insert("flows", { id: flowId, created: now, updated: now, name: "old", tags: "[]", labels: "{}" });
  for (let index = 0; index < RUNS; index += 1) {
    fillRun(insert, flowId, addSeconds(now, -AGE_DAYS * DAY_SECONDS + index * 0.01));
  }
  database.exec("commit");
  database.close();
}

function fillRun(insert: (table: string, row: Row) => void, flowId: string, at: string): void {
  const id = randomUUID();
  const stateIds = STATES.map(() => uuidv7());
  const times = { created: at, updated: at, expected_start_time: at, start_time: at, end_time: at, total_run_time: 1 };
  const policy = { empirical_policy: "{}", tags: "[]", labels: "{}" };
  const state = { state_id: stateIds.at(-1) ?? "", state_type: "COMPLETED", state_name: "Completed" };
  insert("flow_runs", {
    ...{ id, ...times, ...policy, ...state, state_timestamp: at, name: "old-run", flow_id: flowId, parameters: "{}" },
    ...{ context: "{}", job_variables: "{}", auto_scheduled: 1, run_count: 1 },
  });
  for (const [index, type] of STATES.entries()) {
    const name = type.slice(0, 1) + type.slice(1).toLowerCase();
    insert("flow_run_states", {
      ...{ id: stateIds[index] ?? "", flow_run_id: id, type, name, timestamp: at, state_details: "{}" },
    });
  }
  for (let index = 0; index < LOGS; index += 1) {
    const line = { name: "flow", level: 20, message: `line ${index} of a flow that has long ended`, timestamp: at };
    insert("logs", { id: uuidv7(), created: at, ...line, flow_run_id: id });
  }
  for (let index = 0; index < TASK_RUNS; index += 1) {
    const taskId = randomUUID();
    const keys = { task_key: "task", dynamic_key: String(index), task_inputs: "{}", run_count: 1 };
    const own = { id: taskId, name: "task", flow_run_id: id, flow_run_run_count: 1 };
    insert("task_runs", { ...own, ...times, ...policy, ...keys, ...state, state_timestamp: at });
    for (const type of STATES.slice(1)) {
      const row = { id: uuidv7(), task_run_id: taskId, type, name: type, timestamp: at, state_details: "{}" };
      insert("task_run_states", row);
    }
  }
}

function buildInsert(database: DatabaseSync): (table: string, row: Row) => void {
  const statements = new Map<string, ReturnType<DatabaseSync["prepare"]>>();
  return (table, row) => {
    const columns = Object.keys(row);
    const text = `insert into ${table} (${columns.join(", ")}) values (${columns.map(() => "?").join(", ")})`;
    const statement = statements.get(text) ?? database.prepare(text);
    statements.set(text, statement);
    statement.run(...Object.values(row));
  };
}

/** Starts a plane over the file and sends it requests, until no old run is left or the time is over. */
async function measure(env: Record<string, string>, mostSeconds: number) {
  const port = await findFreePort();
  const plane = await startProcess({
    command: entry,
    args: ["server", "start", "--port", String(port), "--database", file],
    env: { PATH: SYSTEM_PATH, HOME: folder, ...env },
    healthUrl: `http://127.0.0.1:${port}/api/health`,
    timeoutMs: 60_000,
  });
  const startedMs = performance.now();
  const client = new LoadClient(`http://127.0.0.1:${port}/api`, CLIENTS);
  const latencies: number[] = [];
  try {
    const deploymentId = await prepare(client, `bench-${port}`);
    const ended = { is: false };
    const load = Array.from({ length: CLIENTS }, () =>
      keepAsking(client, deploymentId, `bench-${port}`, latencies, ended),
    );
    while (performance.now() - startedMs < mostSeconds * 1000 && hasOld()) {
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
    const seconds = (performance.now() - startedMs) / 1000;
    ended.is = true;
    await Promise.all(load);
    return { latencies, seconds };
  } finally {
    client.close();
    await plane.stop();
  }
}

/** Read beside the plane, so that it is no load of it. */
function hasOld(): boolean {
  return readBeside("select 1 as n from flow_runs where name = 'old-run' limit 1") > 0;
}

function countOld(): number {
  return readBeside("select count(*) as n from flow_runs where name = 'old-run'");
}

function readBeside(text: string): number {
  const database = new DatabaseSync(file, { readOnly: true });
  const row = database.prepare(text).get();
  database.close();
  return Number(row?.["n"] ?? 0);
}

async function post(client: LoadClient, path: string, body: unknown) {
  const answer = await client.send("POST", path, body);
  if (answer.status < 200 || answer.status > 299) {
    throw new Error(`POST ${path} answered ${answer.status}: ${answer.body}`);
  }
  return JSON.parse(answer.body === "" ? "null" : answer.body);
}

async function prepare(client: LoadClient, pool: string): Promise<string> {
  await post(client, "/work_pools/", { name: pool, type: "process" });
  const flow = await post(client, "/flows/", { name: pool });
  const body = { name: "bench", flow_id: flow.id, work_pool_name: pool, entrypoint: "flow.py:flow" };
  return (await post(client, "/deployments/", body)).id;
}

/** What a team's day is made of: runs are made, taken, run and looked at. */
async function keepAsking(
  client: LoadClient,
  deploymentId: string,
  pool: string,
  latencies: number[],
  ended: { is: boolean },
): Promise<void> {
  const ask = async (path: string, body: unknown) => {
    const before = performance.now();
    const answer = await post(client, path, body);
    latencies.push(performance.now() - before);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS * (0.5 + Math.random())));
    return answer;
  };
  while (!ended.is) {
    const run = await ask(`/deployments/${deploymentId}/create_flow_run`, {});
    await ask(`/work_pools/${pool}/get_scheduled_flow_runs`, { limit: 10 });
    for (const type of ["PENDING", "RUNNING"]) {
      await ask(`/flow_runs/${run.id}/set_state`, { state: { type } });
    }
    const timestamp = timestampFromDate(systemClock.now());
    const line = { name: "flow", level: 20, message: "line", timestamp, flow_run_id: run.id };
    await ask(
      "/logs/",
      Array.from({ length: 5 }, () => line),
    );
    await ask("/flow_runs/filter", { limit: 50, sort: "EXPECTED_START_TIME_DESC" });
    await ask(`/flow_runs/${run.id}/set_state`, { state: { type: "COMPLETED" } });
  }
}
