import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";

export interface StartedProcess {
  child: ChildProcess;
  /** From spawn to the first 2xx of the health route. */
  readyMs: number;
  stop(): Promise<void>;
}

interface StartOptions {
  command: string;
  args: readonly string[];
  env: Record<string, string>;
  healthUrl: string;
  timeoutMs: number;
}

/** Starts a program and keeps the end of what it says on stderr. */
export function spawnProcess(command: string, args: readonly string[], env: Record<string, string>) {
  const child = spawn(command, args, { env, stdio: ["ignore", "ignore", "pipe"] });
  const spawned = { child, errorText: "" };
  child.stderr?.on("data", (chunk: Buffer) => {
    spawned.errorText = (spawned.errorText + chunk.toString()).slice(-4000);
  });
  return spawned;
}

export async function startProcess(options: StartOptions): Promise<StartedProcess> {
  const startedAt = performance.now();
  const spawned = spawnProcess(options.command, options.args, options.env);
  const { child } = spawned;
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  while (!(await isHealthy(options.healthUrl))) {
    if (child.exitCode !== null || performance.now() - startedAt > options.timeoutMs) {
      child.kill("SIGKILL");
      throw new Error(`${options.command} ${options.args.join(" ")} did not become ready: ${spawned.errorText}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return {
    child,
    readyMs: performance.now() - startedAt,
    async stop() {
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
      await exited;
      clearTimeout(timer);
    },
  };
}

async function isHealthy(url: string): Promise<boolean> {
  try {
    return (await fetch(url)).ok;
  } catch {
    return false;
  }
}

/** What a process has spent in user and system code so far, from Linux' /proc, in steps of 10 ms. */
export function cpuMilliseconds(pid: number): number {
  // The name, in parentheses, may have spaces; what follows it is numbered from the state, field 3.
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** The most that was resident of a process in MB, from Linux' /proc. */
export function peakMegabytes(pid: number): number {
  const match = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(match?.[1] ?? Number.NaN) / 1024;
}

/** Resident memory of a process in MB, from Linux' /proc. */
export function residentMegabytes(pid: number): number {
  const match = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(match?.[1] ?? Number.NaN) / 1024;
}
