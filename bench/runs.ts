import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type ContainersTime, timeRuns, timeShellLoop, watchCpu as watchProcesses } from "./containers.ts";
import { formatTable, type Row } from "./report.ts";
import { flowyard, POLL_MS, POOL, pause, prefect, runBesideEngine, Stack } from "./runs-stack.ts";
import { startFlowyard, startPrefect } from "./servers.ts";

// A flow that does nothing, from `create_flow_run` to COMPLETED, each in its own container: our plane and worker, and
// Prefect's server and worker with its default poll and with one of a second. Then many containers at once beside a
// shell loop of `docker run`, in turns; `--only containers` measures nothing else.

const { values: flags } = parseArgs({
  options: {
    only: { type: "string" },
    runs: { type: "string", default: "5" },
    containers: { type: "string", default: "100" },
    parallel: { type: "string", default: "4" },
    rounds: { type: "string", default: "1" },
  },
});
const RUNS = Number(flags.runs);
const CONTAINERS = { count: Number(flags.containers), parallel: Number(flags.parallel) };
const ROUNDS = Number(flags.rounds);

const FLOW = `from prefect import flow

@flow
def nothing():
    return None
`;

interface RunFigures {
  /** From the request to the time of the final state. */
  completedMs: number[];
  /** CPU of its container, all processes. */
  cpuSeconds: number[];
}

async function measureRuns(stack: Stack, flowFolder: string): Promise<RunFigures> {
  const deploymentId = await stack.deploy(flowFolder);
  const figures: RunFigures = { completedMs: [], cpuSeconds: [] };
  for (let run = 0; run < RUNS; run += 1) {
    const createdAt = Date.now();
    const id = await stack.createRun(deploymentId);
    const watching = new AbortController();
    const cpu = watchCpu(id, watching.signal);
    const end = await stack.waitForEnd(id);
    if (end.type !== "COMPLETED") {
      throw new Error(`a run ended ${end.type}`);
    }
    figures.completedMs.push(end.at - createdAt);
    await waitForExit(id);
    watching.abort();
    figures.cpuSeconds.push(await cpu);
  }
  return figures;
}

const containersOf = (flowRunId: string) =>
  runBesideEngine("docker", ["ps", "-q", "--no-trunc", "--filter", `label=io.prefect.flow-run-id=${flowRunId}`]);

async function waitForExit(flowRunId: string): Promise<void> {
  while ((await containersOf(flowRunId)).trim() !== "") {
    await pause(POLL_MS);
  }
}

/** The last that the kernel says of the container's CPU before it is gone, at most a poll before its end. */
async function watchCpu(flowRunId: string, signal: AbortSignal): Promise<number> {
  let path: string | undefined;
  let nanoseconds = 0;
  while (!signal.aborted) {
    if (path === undefined) {
      const id = (await containersOf(flowRunId)).trim();
      const found = cgroupFiles(id).find((file) => id !== "" && existsSync(file));
      path = found;
    } else {
      nanoseconds = readCpu(path) ?? nanoseconds;
    }
    await pause(POLL_MS);
  }
  return nanoseconds / 1e9;
}

/** cgroup v1 and v2, with the engine's own driver and with systemd's. */
function cgroupFiles(id: string): string[] {
  return [
    `/sys/fs/cgroup/cpuacct/docker/${id}/cpuacct.usage`,
    `/sys/fs/cgroup/docker/${id}/cpu.stat`,
    `/sys/fs/cgroup/system.slice/docker-${id}.scope/cpu.stat`,
  ];
}

function readCpu(path: string): number | undefined {
  try {
    const text = readFileSync(path, "utf8");
    const [, micros] = /usage_usec (\d+)/.exec(text) ?? [];
    return micros === undefined ? Number(text) : Number(micros) * 1000;
  } catch {
    return undefined;
  }
}

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
const seconds = (milliseconds: readonly number[]) =>
  `${(median(milliseconds) / 1000).toFixed(2)} s (${(Math.min(...milliseconds) / 1000).toFixed(2)}–${(Math.max(...milliseconds) / 1000).toFixed(2)})`;

function buildRow(name: string, flowyardText: string, prefectText: string, ratio: number, goal: string): Row {
  return { name, flowyard: flowyardText, prefect: prefectText, ratio: ratio.toFixed(2), goal };
}

/** The rows of our runs beside Prefect's server and worker, with its default poll and with one of a second. */
async function compareRuns(own: Stack, flowFolder: string): Promise<Row[]> {
  const theirs = await startPrefect(folder, { buildPrefectEnvironment: () => Promise.resolve({}) });
  try {
    const flowyardRuns = await measureRuns(own, flowFolder);
    const slow = new Stack(theirs.apiUrl, prefect, join(folder, "w2"), {});
    const defaultRuns = await measureRuns(slow, flowFolder);
    slow.stop();
    const fast = new Stack(theirs.apiUrl, prefect, join(folder, "w3"), { PREFECT_WORKER_QUERY_SECONDS: "1" });
    const secondRuns = await measureRuns(fast, flowFolder);
    fast.stop();
    const rowFor = (name: string, other: RunFigures, goal: string) =>
      buildRow(
        name,
        seconds(flowyardRuns.completedMs),
        seconds(other.completedMs),
        median(flowyardRuns.completedMs) / median(other.completedMs),
        goal,
      );
    const [ownCpu, otherCpu] = [median(flowyardRuns.cpuSeconds), median(secondRuns.cpuSeconds)];
    return [
      rowFor("create to COMPLETED, Prefect's default poll", defaultRuns, "<= 0.25"),
      rowFor("create to COMPLETED, Prefect's poll 1 s", secondRuns, "<= 0.50"),
      buildRow(
        "CPU of the container",
        `${ownCpu.toFixed(2)} s`,
        `${otherCpu.toFixed(2)} s`,
        ownCpu / otherCpu,
        "<= 0.45",
      ),
    ];
  } finally {
    await theirs.server.stop();
  }
}

/** In turns, as other work on the machine then slows both. */
async function compareContainers(own: Stack, pids: Record<string, number>, flowFolder: string): Promise<Row[]> {
  const deploymentId = await own.deploy(flowFolder, "true");
  await timeRuns(own, deploymentId, { ...CONTAINERS, count: CONTAINERS.parallel }); // warm
  const runs: ContainersTime[] = [];
  const loops: ContainersTime[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    loops.push(await timeShellLoop(CONTAINERS));
    const cpu = watchProcesses(pids);
    runs.push(await timeRuns(own, deploymentId, CONTAINERS));
    for (const [name, milliseconds] of Object.entries(cpu(CONTAINERS.count))) {
      process.stderr.write(`CPU of the ${name}: ${milliseconds.toFixed(1)} ms per container\n`);
    }
  }
  const rowFor = (name: string, read: (time: ContainersTime) => number, goal: string) => {
    const [ownMedian, loopMedian] = [median(runs.map(read)), median(loops.map(read))];
    return buildRow(
      name,
      `${ownMedian.toFixed(1)} s`,
      `${loopMedian.toFixed(1)} s (loop)`,
      ownMedian / loopMedian,
      goal,
    );
  };
  const name = `${CONTAINERS.count} containers, ${CONTAINERS.parallel} at a time; beside a shell loop`;
  return [
    rowFor(name, (time) => time.seconds, "<= 1.2"),
    rowFor("CPU of the machine meanwhile", (time) => time.cpuSeconds, ""),
  ];
}

const folder = mkdtempSync(join(tmpdir(), "flowyard-bench-"));
const flowFolder = join(folder, "flow");
mkdirSync(flowFolder);
writeFileSync(join(flowFolder, "flow.py"), FLOW);
const ours = await startFlowyard(folder, join(folder, "plane.sqlite"));
const own = new Stack(ours.apiUrl, flowyard, join(folder, "w1"), {}, ["--limit", String(CONTAINERS.parallel)]);
try {
  const rows = flags.only === "containers" ? [] : await compareRuns(own, flowFolder);
  rows.push(...(await compareContainers(own, { plane: ours.server.child.pid ?? 0, worker: own.pid }, flowFolder)));
  process.stdout.write(`${formatTable(rows)}\n`);
} finally {
  own.stop();
  await ours.server.stop();
  // Prefect's worker leaves the containers of its runs behind.
  const left = await runBesideEngine("docker", ["ps", "-aq", "--filter", `label=io.prefect.work-pool-name=${POOL}`]);
  for (const id of left.split("\n").filter((line) => line !== "")) {
    await runBesideEngine("docker", ["rm", "--force", id]);
  }
  rmSync(folder, { recursive: true, force: true });
}
