import { readFileSync } from "node:fs";
import { cpuMilliseconds } from "./processes.ts";
import { image, pause, runBesideEngine, type Stack } from "./runs-stack.ts";

// Many containers that do nothing, as runs of a worker and by a shell loop of `docker run`, which is what the engine
// itself needs.

/** Each look costs the plane as much as one of the worker's requests. */
const POLL_MS = 100;

export interface ContainersTime {
  seconds: number;
  /** Of the whole machine, engine and kernel included, and of whatever else runs on it. */
  cpuSeconds: number;
}

export interface ManyContainers {
  count: number;
  /** At a time. */
  parallel: number;
}

/** Until the last run has ended and its container is gone; what the containers do not report is CRASHED. */
export async function timeRuns(stack: Stack, deploymentId: string, { count }: ManyContainers): Promise<ContainersTime> {
  return await measureTime(async () => {
    const ids = await Promise.all(Array.from({ length: count }, () => stack.createRun(deploymentId)));
    for (const id of ids) {
      await stack.waitForEnd(id, POLL_MS);
    }
    const label = `label=io.prefect.deployment-id=${deploymentId}`;
    while ((await runBesideEngine("docker", ["ps", "-aq", "--filter", label])).trim() !== "") {
      await pause(POLL_MS);
    }
  });
}

export async function timeShellLoop({ count, parallel }: ManyContainers): Promise<ContainersTime> {
  const loop = `seq ${count} | xargs -P ${parallel} -I{} docker run --rm --network host --init ${image} true`;
  return await measureTime(() => runBesideEngine("sh", ["-c", loop]));
}

async function measureTime(act: () => Promise<unknown>): Promise<ContainersTime> {
  const startedAt = performance.now();
  const before = machineCpuSeconds();
  await act();
  return { seconds: (performance.now() - startedAt) / 1000, cpuSeconds: machineCpuSeconds() - before };
}

/** All that was not idle since the machine started, from Linux' /proc, in steps of 10 ms. */
function machineCpuSeconds(): number {
  const [line = ""] = readFileSync("/proc/stat", "utf8").split("\n");
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = line.split(/ +/).slice(1).map(Number);
  return (user + nice + system + irq + softirq) / 100;
}

/** Of each process, in milliseconds per container. */
export function watchCpu(pids: Record<string, number>): (containers: number) => Record<string, number> {
  const read = () => Object.entries(pids).map(([name, pid]) => [name, cpuMilliseconds(pid)] as const);
  const before = new Map(read());
  return (containers) =>
    Object.fromEntries(read().map(([name, now]) => [name, (now - (before.get(name) ?? 0)) / containers]));
}
