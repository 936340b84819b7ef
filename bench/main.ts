import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { findFreePort } from "../scripts/setup/free-port.ts";
import { type BenchDatabases, usePostgres, useSqlite } from "./databases.ts";
import { LoadClient, type LoadResult, runLoad } from "./load.ts";
import { PrefectWireSubject } from "./prefect-wire.ts";
import { residentMegabytes, type StartedProcess, startProcess } from "./processes.ts";
import { formatTable, type Row } from "./report.ts";
import { startFlowyard, startPrefect } from "./servers.ts";

const CLIENTS = 8;
const MEMORY_RUNS = 10_000;

interface Measured {
  create: LoadResult;
  transition: LoadResult;
  scheduled: LoadResult;
  filter: LoadResult;
  readyMs: number;
}

interface MeasureOptions {
  seconds: number;
  /** How many runs exist before the transitions and reads are timed, so that both servers answer over as many. */
  runs: number;
}

async function measure(server: StartedProcess, apiUrl: string, options: MeasureOptions): Promise<Measured> {
  const subject = new PrefectWireSubject(apiUrl, CLIENTS);
  await subject.prepare();
  const create = await subject.createFlowRuns(options.seconds);
  await subject.createUpTo(options.runs);
  const scheduled = await subject.readScheduledFlowRuns(options.seconds);
  const filter = await subject.filterFlowRuns(options.seconds);
  const transition = await subject.transitionFlowRuns(options.seconds);
  subject.close();
  return { create, transition, scheduled, filter, readyMs: server.readyMs };
}

async function measureBareRoute(databases: BenchDatabases, seconds: number): Promise<LoadResult> {
  const port = await findFreePort();
  const baseUrl = `http://127.0.0.1:${port}`;
  const server = await startProcess({
    command: process.execPath,
    args: [join(import.meta.dirname, "bare-route.ts"), String(port), await databases.locate("bare")],
    env: {},
    healthUrl: `${baseUrl}/health`,
    timeoutMs: 10_000,
  });
  const client = new LoadClient(baseUrl, CLIENTS);
  const body = { name: "bench", parameters: { n: 1 }, state: { type: "SCHEDULED", message: "Run from bench" } };
  const operate = async () => ((await client.send("POST", "/runs", body)).status === 201 ? 1 : 0);
  await runLoad({ clients: CLIENTS, seconds: 1, operate });
  const result = await runLoad({ clients: CLIENTS, seconds, operate });
  client.close();
  await server.stop();
  return result;
}

/** Memory and start-up are measured on a plane of their own: 10,000 runs stored, then started again over them. */
async function measurePlaneAtSize(
  folder: string,
  databases: BenchDatabases,
): Promise<{ megabytes: number; restartMs: number }> {
  const database = await databases.locate("flowyard_size");
  const first = await startFlowyard(folder, database);
  const subject = new PrefectWireSubject(first.apiUrl, CLIENTS);
  await subject.prepare();
  await subject.createUpTo(MEMORY_RUNS);
  const megabytes = residentMegabytes(first.server.child.pid ?? 0);
  subject.close();
  await first.server.stop();
  const again = await startFlowyard(folder, database);
  await again.server.stop();
  return { megabytes, restartMs: again.server.readyMs };
}

function buildRows(bare: LoadResult, ours: Measured, theirs: Measured): Row[] {
  const rate = (name: string, own: LoadResult, other: LoadResult): Row => ({
    name,
    flowyard: `${own.rate.toFixed(0)}/s (p50 ${own.p50Ms.toFixed(1)} ms, p99 ${own.p99Ms.toFixed(1)} ms)`,
    prefect: `${other.rate.toFixed(1)}/s (p50 ${other.p50Ms.toFixed(0)} ms, p99 ${other.p99Ms.toFixed(0)} ms)`,
    ratio: `${(own.rate / other.rate).toFixed(1)}x; ${((own.rate / bare.rate) * 100).toFixed(0)} % of the limit`,
    goal: ">= 50x; >= 35 %",
  });
  const latency = (name: string, own: LoadResult, other: LoadResult): Row => ({
    name,
    flowyard: `p50 ${own.p50Ms.toFixed(2)} ms`,
    prefect: `p50 ${other.p50Ms.toFixed(1)} ms`,
    ratio: `1/${(other.p50Ms / own.p50Ms).toFixed(1)}`,
    goal: "<= 1/10",
  });
  const errors = (measured: Measured) =>
    String(
      measured.create.serverErrors +
        measured.transition.serverErrors +
        measured.scheduled.serverErrors +
        measured.filter.serverErrors,
    );
  return [
    rate("create flow runs", ours.create, theirs.create),
    rate("state transitions", ours.transition, theirs.transition),
    latency("get_scheduled_flow_runs", ours.scheduled, theirs.scheduled),
    latency("flow_runs/filter", ours.filter, theirs.filter),
    { name: "answers with 5xx", flowyard: errors(ours), prefect: errors(theirs), ratio: "", goal: "0" },
    {
      name: "ready after start",
      flowyard: `${ours.readyMs.toFixed(0)} ms`,
      prefect: `${theirs.readyMs.toFixed(0)} ms`,
      ratio: `1/${(theirs.readyMs / ours.readyMs).toFixed(1)}`,
      goal: "<= 1000 ms",
    },
  ];
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seconds: { type: "string", default: "10" },
      runs: { type: "string", default: "300" },
      database: { type: "string", default: "sqlite" },
    },
  });
  const options = { seconds: Number(values.seconds), runs: Number(values.runs) };
  const folder = mkdtempSync(join(tmpdir(), "flowyard-bench-"));
  const databases = values.database === "postgres" ? await usePostgres() : useSqlite(folder);
  try {
    const bare = await measureBareRoute(databases, options.seconds);
    const flowyard = await startFlowyard(folder, await databases.locate("flowyard"));
    const ours = await measure(flowyard.server, flowyard.apiUrl, options);
    await flowyard.server.stop();
    const prefect = await startPrefect(folder, databases);
    const theirs = await measure(prefect.server, prefect.apiUrl, options);
    await prefect.server.stop();
    const size = await measurePlaneAtSize(mkdtempSync(join(folder, "size-")), databases);
    const rows = buildRows(bare, ours, theirs);
    rows.push(
      {
        name: `memory after ${MEMORY_RUNS} runs`,
        flowyard: `${size.megabytes.toFixed(0)} MB`,
        prefect: "",
        ratio: "",
        goal: "<= 150 MB",
      },
      {
        name: `ready over ${MEMORY_RUNS} runs`,
        flowyard: `${size.restartMs.toFixed(0)} ms`,
        prefect: "",
        ratio: "",
        goal: "<= 1000 ms",
      },
    );
    process.stdout.write(
      `${databases.title}, durable commits, ${CLIENTS} concurrent clients, ${options.seconds} s each.\n` +
        `The limit: a bare Fastify route, zod body, one durable transaction: ${bare.rate.toFixed(0)}/s.\n\n` +
        `${formatTable(rows)}\n`,
    );
  } finally {
    await databases.remove();
    rmSync(folder, { recursive: true, force: true });
  }
}

await main();
