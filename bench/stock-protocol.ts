import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { findFreePort } from "../scripts/setup/free-port.ts";
import { type BenchDatabases, usePostgres, useSqlite } from "./databases.ts";
import { LoadClient, type LoadResult, runLoad } from "./load.ts";
import { PrefectWireSubject } from "./prefect-wire.ts";
import { startProcess } from "./processes.ts";
import { formatTable, type Row } from "./report.ts";
import { startFlowyard, startPrefect } from "./servers.ts";
import { type PollResult, StockPollers } from "./stock-pollers.ts";

// Completed runs through the protocol of Prefect's own workers, and log lines: Flowyard, a real Prefect server, and the
// bare limit, in one run. `node bench/stock-protocol.ts --runs 300 --seconds 5`.

const POLLERS = 8;
const SLOTS = 4;
const LOG_CLIENTS = 8;
const LINES_PER_BATCH = 100;
/** PENDING, Submitting, RUNNING, COMPLETED: each is a transaction of its own. */
const WRITES_PER_RUN = 4;

interface Measured {
  polled: PollResult;
  logs: LoadResult;
}

async function measure(apiUrl: string, runs: number, seconds: number): Promise<Measured> {
  const subject = new PrefectWireSubject(apiUrl, POLLERS);
  await subject.prepare();
  await subject.createUpTo(runs);
  subject.close();
  const options = { apiUrl, poolName: "bench-pool", pollers: POLLERS, slots: SLOTS, runMs: 0, runs };
  const polled = await new StockPollers(options).run();
  return { polled, logs: await sendLogs(apiUrl, seconds) };
}

/** Lines per second, in batches as Prefect's engine sends them. */
async function sendLogs(baseUrl: string, seconds: number): Promise<LoadResult> {
  const client = new LoadClient(baseUrl, LOG_CLIENTS);
  const runIds = Array.from({ length: LOG_CLIENTS }, () => randomUUID());
  const operate = async (index: number) => {
    const lines = Array.from({ length: LINES_PER_BATCH }, (_, line) => ({
      name: "prefect.flow_runs",
      level: 20,
      message: `Processed item ${line} of the batch in 0.021 s`,
      timestamp: new Date().toISOString(),
      flow_run_id: runIds[index],
    }));
    return (await client.send("POST", "/logs/", lines)).status === 201 ? LINES_PER_BATCH : 0;
  };
  const result = await runLoad({ clients: LOG_CLIENTS, seconds, operate });
  client.close();
  return result;
}

async function withBare<T>(script: string, file: string, use: (baseUrl: string) => Promise<T>): Promise<T> {
  const port = await findFreePort();
  const baseUrl = `http://127.0.0.1:${port}`;
  const server = await startProcess({
    command: process.execPath,
    args: [join(import.meta.dirname, script), String(port), file],
    env: {},
    healthUrl: `${baseUrl}/health`,
    timeoutMs: 10_000,
  });
  try {
    return await use(baseUrl);
  } finally {
    await server.stop();
  }
}

async function writeRuns(baseUrl: string, seconds: number): Promise<LoadResult> {
  const client = new LoadClient(baseUrl, POLLERS * SLOTS);
  const body = { name: "bench", parameters: { n: 1 }, state: { type: "SCHEDULED", message: "Run from bench" } };
  const operate = async () => ((await client.send("POST", "/runs", body)).status === 201 ? 1 : 0);
  const result = await runLoad({ clients: POLLERS * SLOTS, seconds, operate });
  client.close();
  return result;
}

function buildRows(ours: Measured, theirs: Measured, bare: { runs: number; lines: number }): Row[] {
  const rate = ({ polled }: Measured) => polled.completed / polled.seconds;
  const twice = ({ polled }: Measured) => [...polled.started.values()].filter((times) => times > 1).length;
  const share = (value: number, limit: number) => `${((value / limit) * 100).toFixed(0)} % of the limit`;
  return [
    {
      name: "completed runs, stock protocol",
      flowyard: `${rate(ours).toFixed(0)}/s (${ours.polled.completed} runs)`,
      prefect: `${rate(theirs).toFixed(1)}/s (${theirs.polled.completed} runs)`,
      ratio: `${(rate(ours) / rate(theirs)).toFixed(1)}x; ${share(rate(ours), bare.runs)}`,
      goal: ">= 50x",
    },
    {
      name: "runs started twice",
      flowyard: String(twice(ours)),
      prefect: String(twice(theirs)),
      ratio: "",
      goal: "0",
    },
    {
      name: "log lines",
      flowyard: `${ours.logs.rate.toFixed(0)}/s (p99 ${ours.logs.p99Ms.toFixed(0)} ms a batch)`,
      prefect: `${theirs.logs.rate.toFixed(0)}/s (p99 ${theirs.logs.p99Ms.toFixed(0)} ms a batch)`,
      ratio: `${(ours.logs.rate / theirs.logs.rate).toFixed(1)}x; ${share(ours.logs.rate, bare.lines)}`,
      goal: ">= 20x",
    },
    {
      name: "answers with 5xx",
      flowyard: String(ours.polled.serverErrors + ours.logs.serverErrors),
      prefect: String(theirs.polled.serverErrors + theirs.logs.serverErrors),
      ratio: "",
      goal: "0",
    },
  ];
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      runs: { type: "string", default: "300" },
      seconds: { type: "string", default: "5" },
      database: { type: "string", default: "sqlite" },
    },
  });
  const [runs, seconds] = [Number(values.runs), Number(values.seconds)];
  const folder = mkdtempSync(join(tmpdir(), "flowyard-bench-"));
  const databases: BenchDatabases = values.database === "postgres" ? await usePostgres() : useSqlite(folder);
  try {
    const written = await withBare("bare-route.ts", await databases.locate("bare"), (url) => writeRuns(url, seconds));
    const lines = await withBare("bare-logs.ts", join(folder, "logs.sqlite"), (url) => sendLogs(url, seconds));
    const flowyard = await startFlowyard(folder, await databases.locate("flowyard"));
    const ours = await measure(flowyard.apiUrl, runs, seconds);
    await flowyard.server.stop();
    const prefect = await startPrefect(folder, databases);
    const theirs = await measure(prefect.apiUrl, runs, seconds);
    await prefect.server.stop();
    const bare = { runs: written.rate / WRITES_PER_RUN, lines: lines.rate };
    process.stdout.write(
      `${databases.title}, durable commits, ${POLLERS} pollers of ${SLOTS} slots, ${runs} instant runs; ` +
        `logs in batches of ${LINES_PER_BATCH} from ${LOG_CLIENTS} clients for ${seconds} s.\n` +
        `The limit: ${written.rate.toFixed(0)} bare transactions/s, ${WRITES_PER_RUN} a run; ` +
        `${lines.rate.toFixed(0)} bare log lines/s (SQLite).\n\n` +
        `${formatTable(buildRows(ours, theirs, bare))}\n`,
    );
  } finally {
    await databases.remove();
    rmSync(folder, { recursive: true, force: true });
  }
}

await main();
