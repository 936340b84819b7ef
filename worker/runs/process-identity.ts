import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";

/** Position of `starttime` in /proc/PID/stat behind the program's name (proc(5), field 22; the name is field 2). */
const START_TIME_FIELD = 19;

/**
 * When a process started, in the words of its machine; undefined when there is none. A process id is given to others
 * again, and a machine starts anew: only id and start together name a process.
 */
export async function findProcessStart(pid: number): Promise<string | undefined> {
  if (process.platform !== "linux") {
    return askPs(pid);
  }
  const [stat, boot] = await Promise.all([
    readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined),
    readFile("/proc/sys/kernel/random/boot_id", "utf8").catch(() => ""),
  ]);
  return stat === undefined ? undefined : parseProcessStart(stat, boot);
}

/** Undefined for a process that has ended and that nobody has waited for yet. */
export function parseProcessStart(stat: string, boot: string): string | undefined {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const start = fields[START_TIME_FIELD];
  return fields[0] === "Z" || fields[0] === "X" || start === undefined ? undefined : `${boot.trim()}/${start}`;
}

function askPs(pid: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile("ps", ["-o", "lstart=", "-p", String(pid)], (error, stdout) =>
      resolve(error === null && stdout.trim() !== "" ? stdout.trim() : undefined),
    );
  });
}
