import { randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { sleep } from "../../src/shared/abort.ts";
import { CANCEL_SIGNAL } from "../jobs/engine.ts";
import { findProcessStart, parseProcessStart } from "../runs/process-identity.ts";
import { RunFacts } from "../runs/run-facts.ts";
import type { Exit, FoundRun, StartedRun } from "./contract.ts";
import { readOutputFiles } from "./process-output.ts";

const EXIT_POLL_MS = 100;
const SHIM_POLL_MS = 5;
const SHIM_WAIT_MS = 10_000; // a shell starts within milliseconds, on a loaded machine within seconds
const KILL_WAIT_MS = 2000;

/**
 * Waits for the run's program, its arguments, and writes down its process and how it ended. Signals to the group reach
 * the program; the shell itself outlives them, as only SIGKILL may keep it from writing the end down.
 */
export const SHIM = `
folder=$1; shift
trap : TERM INT HUP ${CANCEL_SIGNAL}
{ echo $$; cat /proc/sys/kernel/random/boot_id /proc/$$/stat 2>/dev/null || ps -o lstart= -p $$; } >"$folder/process.tmp"
mv "$folder/process.tmp" "$folder/process"
(exec "$@" >"$folder/stdout" 2>"$folder/stderr" </dev/null)
echo $? >"$folder/exit.tmp"
mv "$folder/exit.tmp" "$folder/exit"
`;

const ProcessRecord = z.object({
  facts: RunFacts,
  stream_output: z.boolean(),
  /** Made for this run, and removed with it. */
  own_folder: z.string().optional(),
  created_at: z.string(),
});
export type ProcessRecord = z.infer<typeof ProcessRecord>;

interface Place {
  path: string;
  record: ProcessRecord;
}

/** The folder of one run. */
export async function saveRecord(folder: string, record: ProcessRecord): Promise<string> {
  const path = join(folder, `${record.facts.flow_run_id}-${randomUUID()}`);
  await mkdir(path, { recursive: true, mode: 0o700 });
  await writeFile(join(path, "run.tmp"), JSON.stringify(record), { mode: 0o600 });
  await rename(join(path, "run.tmp"), join(path, "run.json"));
  return path;
}

export async function removeRecord({ path, record }: Place): Promise<void> {
  if (record.own_folder !== undefined) {
    await rm(record.own_folder, { recursive: true, force: true });
  }
  await rm(path, { recursive: true, force: true });
}

export async function findProcessRuns(folder: string, isWanted: (facts: RunFacts) => boolean): Promise<FoundRun[]> {
  const names = await readdir(folder).catch(() => []);
  const found = await Promise.all(names.map((name) => findProcessRun(join(folder, name), isWanted)));
  return found.filter((run) => run !== undefined);
}

async function findProcessRun(path: string, isWanted: (facts: RunFacts) => boolean): Promise<FoundRun | undefined> {
  const text = await readFile(join(path, "run.json"), "utf8").catch(() => undefined);
  const parsed = ProcessRecord.safeParse(text === undefined ? undefined : JSON.parse(text));
  if (!parsed.success || !isWanted(parsed.data.facts)) {
    return undefined;
  }
  const record = parsed.data;
  const shim = await findShim(path);
  const endedAt = await stat(join(path, "exit")).then(
    ({ mtime }) => mtime,
    () => undefined,
  );
  const isRunning = endedAt === undefined && shim !== undefined && (await isAlive(shim));
  return {
    run: buildProcessRun({ path, record }, shim?.pid),
    status: isRunning ? "running" : shim === undefined ? "fresh" : "ended",
    createdAt: new Date(record.created_at),
    endedAt,
  };
}

interface Shim {
  pid: number;
  started: string | undefined;
}

/** The shell that waits for the run, as it wrote itself down; undefined before it has. */
async function findShim(path: string): Promise<Shim | undefined> {
  const text = await readFile(join(path, "process"), "utf8").catch(() => undefined);
  if (text === undefined) {
    return undefined;
  }
  const [pid = "", first = "", second = ""] = text.split("\n");
  return { pid: Number(pid), started: second === "" ? first.trim() : parseProcessStart(second, first) };
}

/** Until then it could neither be stopped nor found again. */
export async function waitForShim(path: string): Promise<void> {
  const deadline = AbortSignal.timeout(SHIM_WAIT_MS);
  while ((await findShim(path)) === undefined && !deadline.aborted) {
    await sleep(SHIM_POLL_MS, deadline);
  }
}

async function isAlive({ pid, started }: Shim): Promise<boolean> {
  return started !== undefined && (await findProcessStart(pid)) === started;
}

export function buildProcessRun({ path, record }: Place, pid: number | undefined): StartedRun {
  const own = { stopped: false };
  const what = `process ${pid ?? "of a run"}`;
  const hasEnded = async () => (await findExit(path)) !== undefined;
  return {
    key: path,
    pid: String(pid),
    what,
    facts: record.facts,
    streamOutput: record.stream_output,
    removeAlways: false,
    readOutput: (from, signal) => readOutputFiles(path, from, hasEnded, signal),
    waitForEnd: (signal) => waitForEnd(path, what, own, signal),
    askToCancel: async () => {
      const shim = await findShim(path);
      if (shim !== undefined && (await isAlive(shim))) {
        killGroup(shim.pid, CANCEL_SIGNAL);
      }
    },
    stop: async (graceSeconds) => {
      own.stopped = true;
      await stopGroup(path, graceSeconds);
    },
    remove: async () => {
      if (!(await hasEnded())) {
        await stopGroup(path, 0);
      }
      await removeRecord({ path, record });
    },
  };
}

/** The exit code, `lost` when nobody wrote one down and nobody will, undefined while it runs. */
async function findExit(path: string): Promise<number | "lost" | undefined> {
  const read = () => readFile(join(path, "exit"), "utf8").then(Number, () => undefined);
  const code = await read();
  if (code !== undefined) {
    return code;
  }
  const shim = await findShim(path);
  if (shim === undefined) {
    return (await stat(path).catch(() => undefined)) === undefined ? "lost" : undefined;
  }
  // It may have ended between the two looks.
  return (await isAlive(shim)) ? undefined : ((await read()) ?? "lost");
}

const SIGKILLED = 137;

async function waitForEnd(path: string, what: string, own: { stopped: boolean }, signal: AbortSignal): Promise<Exit> {
  for (;;) {
    const code = await findExit(path);
    if (code === "lost" && !own.stopped) {
      const isThere = (await stat(path).catch(() => undefined)) !== undefined;
      return isThere
        ? { kind: "exited", exitCode: SIGKILLED, wasOutOfMemory: undefined }
        : { kind: "vanished", what: `The ${what}` };
    }
    if (code !== undefined) {
      return { kind: "exited", exitCode: code === "lost" ? SIGKILLED : code, wasOutOfMemory: undefined };
    }
    await sleep(EXIT_POLL_MS, signal);
    signal.throwIfAborted();
  }
}

/** All that the run started and that did not leave its group. */
async function stopGroup(path: string, graceSeconds: number): Promise<void> {
  const shim = await findShim(path);
  if (shim === undefined || !(await isAlive(shim))) {
    return;
  }
  const { pid } = shim;
  if (graceSeconds > 0) {
    killGroup(pid, "SIGTERM");
    await waitUntilGone(pid, graceSeconds * 1000);
  }
  killGroup(pid, "SIGKILL");
  await waitUntilGone(pid, KILL_WAIT_MS);
}

async function waitUntilGone(pid: number, ms: number): Promise<void> {
  const deadline = AbortSignal.timeout(ms);
  while (killGroup(pid, 0) && !deadline.aborted) {
    await sleep(EXIT_POLL_MS / 2, deadline);
  }
}

/** False when there is no such group any more. */
function killGroup(pid: number, signal: NodeJS.Signals | number): boolean {
  try {
    process.kill(-pid, signal);
    return true;
  } catch {
    return false;
  }
}
