import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openStore } from "../src/storage/open-store.ts";
import { FilledStore, fillRuns } from "./fill-runs.ts";
import { type Asked, type Change, firstRefusal, RunsPlane } from "./runs-plane.ts";
import { startFlowyard } from "./servers.ts";

// How the plane answers over a million stored runs, and over ten thousand: two planes, each in a process of its own, are
// asked the same in turns, so that both have the machine as it is. Options: --runs, --small, --seconds, --folder (where
// filled databases are kept, and used again), --database (a PostgreSQL URL of an empty database for --runs).

/** A filled database, and what was put into it. */
async function fill(folder: string, name: string, options: { runs: number; database?: string | undefined }) {
  const database = options.database ?? join(folder, `${name}.sqlite`);
  const noted = join(folder, `${name}.json`);
  if (existsSync(noted)) {
    return { database, filled: FilledStore.parse(JSON.parse(readFileSync(noted, "utf8"))) };
  }
  const startedAt = performance.now();
  const store = await openStore({ database, clock: { now: () => new Date() } });
  const filled = await fillRuns(store, options.runs, new Date());
  await store.close();
  writeFileSync(noted, JSON.stringify(filled));
  process.stdout.write(`${options.runs} runs stored in ${((performance.now() - startedAt) / 1000).toFixed(0)} s\n`);
  return { database, filled };
}

async function open(folder: string, name: string, options: { runs: number; database?: string | undefined }) {
  const { database, filled } = await fill(folder, name, options);
  const { server, apiUrl } = await startFlowyard(folder, database);
  return new RunsPlane(apiUrl, filled, server);
}

async function measure(planes: RunsPlane[], seconds: number): Promise<string[][]> {
  const [first] = planes;
  const rows: string[][] = [];
  for (const { name } of first?.questions ?? []) {
    const share = name === "poll" ? 2 : 1 / 3;
    rows.push(askedRow(name, await RunsPlane.askInTurns(planes, name, seconds * share)));
  }
  rows.push(askedRow("poll beside a long search", await RunsPlane.askBesideLongSearch(planes, "poll", seconds)));
  const created = planes.map((): string[] => []);
  const creations: Change[] = [];
  const transitions: Change[] = [];
  for (const [at, plane] of planes.entries()) {
    creations.push(await plane.create(seconds, created[at] ?? []));
    transitions.push(await plane.transition(seconds, created[at] ?? []));
  }
  const peaks = planes.map((plane) => plane.peakMegabytes);
  rows.push(changeRow("create flow runs", creations), changeRow("state transitions", transitions));
  rows.push(["most memory", ...peaks.map((peak) => `${peak.toFixed(0)} MB`), "", "<= 200 MB"]);
  const refused = [...creations, ...transitions].map(({ serverErrors }) => String(serverErrors));
  return [...rows, ["changes refused", `${refused[0]} + ${refused[2]}`, `${refused[1]} + ${refused[3]}`, "", "0"]];
}

function askedRow(name: string, asked: Asked[]): string[] {
  const [small, large] = asked;
  const cells = asked.map(
    ({ p50Ms, p99Ms, cpuMs, failed }) =>
      `p50 ${p50Ms.toFixed(1)}, p99 ${p99Ms.toFixed(1)}, cpu ${cpuMs.toFixed(1)} ms${failed > 0 ? `, ${failed} failed` : ""}`,
  );
  const ratio = `${((large?.p50Ms ?? 0) / (small?.p50Ms ?? 1)).toFixed(1)} p50, ${((large?.p99Ms ?? 0) / (small?.p99Ms ?? 1)).toFixed(1)} p99`;
  return [name, ...cells, ratio, goalOf(name)];
}

function changeRow(name: string, changes: Change[]): string[] {
  const [small, large] = changes;
  const cells = changes.map(({ rate, cpuMs }) => `${rate.toFixed(0)}/s, cpu ${cpuMs.toFixed(2)} ms`);
  return [name, ...cells, `${((large?.cpuMs ?? 0) / (small?.cpuMs ?? 1)).toFixed(2)} cpu`, ""];
}

function goalOf(name: string): string {
  if (name.startsWith("count")) {
    return "p50 <= 100 ms";
  }
  return name === "poll" ? "p99 <= 2x" : name.startsWith("history") || name.startsWith("poll") ? "" : "p50 <= 50 ms";
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      runs: { type: "string", default: "1000000" },
      small: { type: "string", default: "10000" },
      seconds: { type: "string", default: "6" },
      folder: { type: "string" },
      database: { type: "string" },
    },
  });
  const folder = values.folder ?? mkdtempSync(join(tmpdir(), "flowyard-bench-"));
  const planes: RunsPlane[] = [];
  try {
    planes.push(await open(folder, "small", { runs: Number(values.small) }));
    planes.push(await open(folder, "large", { runs: Number(values.runs), database: values.database }));
    const rows = [["", `${values.small} runs`, `${values.runs} runs`, "ratio", "goal"]];
    rows.push(...(await measure(planes, Number(values.seconds))));
    const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
    const lines = rows.map((row) => `| ${row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(" | ")} |`);
    lines.splice(1, 0, `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`);
    process.stdout.write(`${lines.join("\n")}\n`);
    if (firstRefusal !== undefined) {
      process.stdout.write(`first refusal: ${firstRefusal.status} ${firstRefusal.body}\n`);
    }
  } finally {
    for (const plane of planes) {
      await plane.stop();
    }
    if (values.folder === undefined) {
      rmSync(folder, { recursive: true, force: true });
    }
  }
}

await main();
