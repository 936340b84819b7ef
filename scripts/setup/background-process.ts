import { spawn } from "node:child_process";
import { open, readFile, rm, writeFile } from "node:fs/promises";

/**
 * Starts a daemon of the machine that outlives us: own session, output to a file, pid in a file.
 * It holds none of our streams, so that whoever waits for our output is not kept waiting by it.
 */
export async function startDaemon(file: string, args: string[], files: { log: string; pid?: string }): Promise<number> {
  const log = await open(files.log, "a");
  try {
    const child = spawn(file, args, { detached: true, stdio: ["ignore", log.fd, log.fd] });
    await new Promise((resolve, reject) => {
      child.once("spawn", resolve);
      child.once("error", reject);
    });
    child.unref();
    if (child.pid === undefined) {
      throw new Error(`${file} did not start`);
    }
    if (files.pid !== undefined) {
      await writeFile(files.pid, String(child.pid));
    }
    return child.pid;
  } finally {
    await log.close();
  }
}

/** Whether the process runs; one that ended and was not reaped does not. `program` guards against a reused number. */
export async function isAlive(pid: number, program?: string): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => null);
  if (stat !== null) {
    const [, name, state] = /^\d+ \((.*)\) (\w)/.exec(stat) ?? [];
    return state !== "Z" && (program === undefined || name === program);
  }
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** A daemon that was killed leaves its pid file behind, and the next one may take that for a process that runs. */
export async function removeStalePidFile(file: string, program: string): Promise<void> {
  const pid = Number(await readFile(file, "utf8").catch(() => "0"));
  if (pid > 0 && !(await isAlive(pid, program))) {
    await rm(file, { force: true });
  }
}

/** Polls until `probe` gives something; null when the time is up. */
export async function waitUntil<T>(probe: () => Promise<T | null>, timeoutMs: number): Promise<T | null> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const found = await probe();
    if (found !== null || Date.now() > deadline) {
      return found;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

export async function lastLines(file: string, count: number): Promise<string> {
  const text = await readFile(file, "utf8").catch(() => "");
  return text.trim().split("\n").slice(-count).join("\n");
}
