import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { z } from "zod";
import { loadMachine } from "../setup/machine.ts";
import { dropTestDatabases } from "../setup/postgres.ts";
import { RECORD_MARK } from "./reporter.ts";
import { addTallies, type Tally } from "./tally.ts";
import type { Tier } from "./tiers.ts";

const root = join(import.meta.dirname, "../..");

const Record = z.object({
  name: z.string(),
  result: z.enum(["passed", "failed", "skipped"]),
  detail: z.string().optional(),
  file: z.string().optional(),
  line: z.int().optional(),
});

export interface RunOptions {
  environment: NodeJS.ProcessEnv;
  /** Properties are tried on the same cases in every run: a gate must not fail by chance. The long form draws anew. */
  sameCases: boolean;
}

/** Runs a tier: all its files in one Node, or in a Node each. */
export async function runTier(tier: Tier, options: RunOptions): Promise<Tally> {
  const { postgres } = await loadMachine();
  if (tier.database === "postgres" && !postgres.available) {
    process.stdout.write(`  SKIPPED ${tier.name}: ${postgres.reason}\n`);
    return { passed: 0, failed: 0, skipped: tier.files.length };
  }
  if (tier.lanes === undefined) {
    return runFiles(tier, tier.files, options, printLine);
  }
  const waiting = [...tier.files];
  const tallies: Tally[] = [];
  async function runLane(): Promise<void> {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      tallies.push(await runAlone(tier, file, options));
    }
  }
  await Promise.all(Array.from({ length: tier.lanes }, runLane));
  return addTallies(tallies);
}

/** Prints what a file says when it has ended, in one piece: others are running. */
async function runAlone(tier: Tier, file: string, options: RunOptions): Promise<Tally> {
  const startedAt = performance.now();
  const lines: string[] = [];
  const tally = await runFiles(tier, [file], options, (line) => lines.push(line));
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  printLine([`  ${file} ${seconds} s`, ...lines].join("\n"));
  return tally;
}

type Print = (line: string) => void;

function printLine(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Prints failures and skips as they come. */
async function runFiles(tier: Tier, files: string[], options: RunOptions, print: Print): Promise<Tally> {
  const tally: Tally = { passed: 0, failed: 0, skipped: 0 };
  const child = spawn(process.execPath, buildArguments(tier, files, options.sameCases), {
    cwd: root,
    env: { ...options.environment, FLOWYARD_TEST_DATABASE: tier.database },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)));
  const deadline = setTimeout(() => child.kill("SIGKILL"), tier.timeoutMs);
  for await (const line of createInterface({ input: child.stdout })) {
    const at = line.indexOf(RECORD_MARK);
    if (at === -1) {
      print(line);
      continue;
    }
    const record = Record.parse(JSON.parse(line.slice(at + RECORD_MARK.length)));
    tally[record.result] += 1;
    printRecord(record, print);
  }
  const code = await exited;
  clearTimeout(deadline);
  await dropDatabasesOf(child.pid);
  if (code === 0 && tally.passed + tally.failed + tally.skipped === 0) {
    tally.failed += 1;
    print(`  ✗ tier ${tier.name} ran no test of ${files.join(", ")}`);
  }
  if (code === null || (code !== 0 && tally.failed === 0)) {
    tally.failed += 1;
    const why = code === null ? `was killed, or ended after ${tier.timeoutMs / 1000} s` : `exited with code ${code}`;
    print(`  ✗ tier ${tier.name} ${why}`);
  }
  return tally;
}

/** Those that it kept for its next test, or left when it was killed. */
async function dropDatabasesOf(pid: number | undefined): Promise<void> {
  const { postgres } = await loadMachine();
  if (postgres.available && pid !== undefined) {
    await dropTestDatabases(postgres, pid);
  }
}

function buildArguments(tier: Tier, files: string[], sameCases: boolean): string[] {
  return [
    ...(sameCases ? [`--import=${join(import.meta.dirname, "same-cases.ts")}`] : []),
    "--test",
    "--test-isolation=none",
    // One test may take half of what its tier may: then the tier's end still names it.
    `--test-timeout=${tier.timeoutMs / 2}`,
    `--test-reporter=${join(import.meta.dirname, "reporter.ts")}`,
    "--test-reporter-destination=stdout",
    ...files,
  ];
}

function printRecord(record: z.infer<typeof Record>, print: Print): void {
  const place = record.file === undefined ? "" : ` (${record.file.replace(`${root}/`, "")}:${record.line ?? 1})`;
  if (record.result === "failed") {
    const detail = (record.detail ?? "").replaceAll(/^/gm, "      ");
    print(`  ✗ ${record.name}${place}\n${detail}`);
  }
  if (record.result === "skipped") {
    print(`  SKIPPED ${record.name}${place}: ${record.detail ?? ""}`);
  }
}
