import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";
import { z } from "zod";
import { loadMachine } from "../scripts/setup/machine.ts";
import { LoadClient } from "./load.ts";
import { spawnProcess } from "./processes.ts";
import { formatTable } from "./report.ts";
import { startFlowyard, startPrefect } from "./servers.ts";

// A flow that does nothing, from `create_flow_run` to COMPLETED, each in its own container: our plane and worker, and
// Prefect's server and worker with its default poll and with one of a second. Then many containers at once beside a
// shell loop of `docker run`, which is what the engine itself needs.

const POOL = "bench-pool";
const PATH = "/usr/local/bin:/usr/bin:/bin";
const POLL_MS = 20;
/** How long one run may take on a machine that is busy. */
const RUN_MS = 180_000;

const { values: flags } = parseArgs({
  options: {
    runs: { type: "string", default: "5" },
    containers: { type: "string", default: "100" },
    parallel: { type: "string", default: "4" },
  },
});
const RUNS = Number(flags.runs);
const CONTAINERS = Number(flags.containers);
const PARALLEL = Number(flags.parallel);

const FLOW = `from prefect import flow

@flow
def nothing():
    return None
`;

const exec = promisify(execFile);
const Created = z.object({ id: z.string() });
const State = z.object({ state: z.object({ type: z.string(), timestamp: z.string() }) });

const machine = await loadMachine();
if (!machine.docker.available || !machine.baseImage.available || !machine.prefect.available) {
  throw new Error("this bench needs the engine, the base image and Prefect: run `npm test -- --only setup`");
}
const dockerHost = machine.docker.host;
const image = machine.baseImage.tag;
const flowyard = join(import.meta.dirname, "..", "bin", "flowyard");

interface RunFigures {
  /** From the request to the time of the final state. */
  completedMs: number[];
  /** CPU of its container, all processes. */
  cpuSeconds: number[];
}

async function docker(...args: string[]): Promise<string> {
  return (await exec("docker", args, { env: { PATH, DOCKER_HOST: dockerHost } })).stdout;
}

/** One server with one worker, and a deployment on it whose flow does nothing. */
class Stack {
  readonly client: LoadClient;
  readonly #worker: ReturnType<typeof spawnProcess>;

  constructor(apiUrl: string, program: string, folder: string, env: Record<string, string>, args: string[] = []) {
    this.client = new LoadClient(apiUrl, PARALLEL);
    mkdirSync(folder, { recursive: true });
    this.#worker = spawnProcess(program, ["worker", "start", "--pool", POOL, "--type", "docker", ...args], {
      PATH,
      HOME: folder,
      FLOWYARD_HOME: folder,
      PREFECT_HOME: join(folder, "prefect"),
      PREFECT_API_URL: apiUrl,
      DOCKER_HOST: dockerHost,
      ...env,
    });
  }

  async deploy(flowFolder: string, command?: string): Promise<string> {
    const online = { workers: { status: { any_: ["ONLINE"] } } };
    const ask = () => this.client.send("POST", `/work_pools/${POOL}/workers/filter`, online);
    for (let answer = await ask(); answer.status !== 200 || answer.body === "[]"; answer = await ask()) {
      await pause(100);
    }
    const flow = Created.parse(JSON.parse((await this.client.send("POST", "/flows/", { name: "nothing" })).body));
    const deployment = await this.client.send("POST", "/deployments/", {
      name: command === undefined ? "bench" : "bench-command",
      flow_id: flow.id,
      work_pool_name: POOL,
      entrypoint: "flow.py:nothing",
      pull_steps: [{ "prefect.deployments.steps.set_working_directory": { directory: flowFolder } }],
      parameter_openapi_schema: { type: "object", properties: {} },
      job_variables: {
        image,
        image_pull_policy: "Never",
        volumes: [`${flowFolder}:${flowFolder}`],
        ...(command === undefined ? {} : { command }),
      },
    });
    return Created.parse(JSON.parse(deployment.body)).id;
  }

  async createRun(deploymentId: string): Promise<string> {
    const answer = await this.client.send("POST", `/deployments/${deploymentId}/create_flow_run`, {});
    return Created.parse(JSON.parse(answer.body)).id;
  }

  async waitForEnd(id: string): Promise<{ type: string; at: number }> {
    const endAt = Date.now() + RUN_MS;
    while (Date.now() < endAt) {
      const { state } = State.parse(JSON.parse((await this.client.send("GET", `/flow_runs/${id}`)).body));
      if (["COMPLETED", "FAILED", "CRASHED", "CANCELLED"].includes(state.type)) {
        return { type: state.type, at: Date.parse(state.timestamp) };
      }
      await pause(POLL_MS);
    }
    throw new Error(`run ${id} did not end in ${RUN_MS / 1000} s: ${this.#worker.errorText}`);
  }

  stop(): void {
    this.client.close();
    this.#worker.child.kill("SIGTERM");
  }
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
  docker("ps", "-q", "--no-trunc", "--filter", `label=io.prefect.flow-run-id=${flowRunId}`);

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

/** Seconds for many containers that do nothing, as runs of a worker; what they do not report is CRASHED. */
async function timeContainers(stack: Stack, flowFolder: string): Promise<number> {
  const deploymentId = await stack.deploy(flowFolder, "true");
  const startedAt = performance.now();
  const ids = await Promise.all(Array.from({ length: CONTAINERS }, () => stack.createRun(deploymentId)));
  for (const id of ids) {
    await stack.waitForEnd(id);
  }
  return (performance.now() - startedAt) / 1000;
}

async function timeShellLoop(): Promise<number> {
  const startedAt = performance.now();
  const loop = `seq ${CONTAINERS} | xargs -P ${PARALLEL} -I{} docker run --rm --network host --init ${image} true`;
  await exec("sh", ["-c", loop], { env: { PATH, DOCKER_HOST: dockerHost } });
  return (performance.now() - startedAt) / 1000;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
const seconds = (milliseconds: readonly number[]) =>
  `${(median(milliseconds) / 1000).toFixed(2)} s (${(Math.min(...milliseconds) / 1000).toFixed(2)}–${(Math.max(...milliseconds) / 1000).toFixed(2)})`;

const folder = mkdtempSync(join(tmpdir(), "flowyard-bench-"));
const flowFolder = join(folder, "flow");
mkdirSync(flowFolder);
writeFileSync(join(flowFolder, "flow.py"), FLOW);
const { prefect } = machine.prefect;
const ours = await startFlowyard(folder, join(folder, "plane.sqlite"));
const theirs = await startPrefect(folder, { buildPrefectEnvironment: () => Promise.resolve({}) });
try {
  const own = new Stack(ours.apiUrl, flowyard, join(folder, "w1"), {}, ["--limit", String(PARALLEL)]);
  const flowyardRuns = await measureRuns(own, flowFolder);
  const loopSeconds = await timeShellLoop();
  const workerSeconds = await timeContainers(own, flowFolder);
  own.stop();
  const slow = new Stack(theirs.apiUrl, prefect, join(folder, "w2"), {});
  const defaultRuns = await measureRuns(slow, flowFolder);
  slow.stop();
  const fast = new Stack(theirs.apiUrl, prefect, join(folder, "w3"), { PREFECT_WORKER_QUERY_SECONDS: "1" });
  const secondRuns = await measureRuns(fast, flowFolder);
  fast.stop();
  const row = (name: string, flowyardText: string, prefectText: string, ratio: number, goal: string) => ({
    name,
    flowyard: flowyardText,
    prefect: prefectText,
    ratio: ratio.toFixed(2),
    goal,
  });
  const ratioTo = (other: RunFigures) => median(flowyardRuns.completedMs) / median(other.completedMs);
  const cpu = (figures: RunFigures) => `${median(figures.cpuSeconds).toFixed(2)} s`;
  process.stdout.write(
    `${formatTable([
      row(
        "create to COMPLETED, Prefect's default poll",
        seconds(flowyardRuns.completedMs),
        seconds(defaultRuns.completedMs),
        ratioTo(defaultRuns),
        "<= 0.25",
      ),
      row(
        "create to COMPLETED, Prefect's poll 1 s",
        seconds(flowyardRuns.completedMs),
        seconds(secondRuns.completedMs),
        ratioTo(secondRuns),
        "<= 0.50",
      ),
      row(
        "CPU of the container",
        cpu(flowyardRuns),
        cpu(secondRuns),
        median(flowyardRuns.cpuSeconds) / median(secondRuns.cpuSeconds),
        "<= 0.45",
      ),
      row(
        `${CONTAINERS} containers, ${PARALLEL} at a time; beside a shell loop`,
        `${workerSeconds.toFixed(1)} s`,
        `${loopSeconds.toFixed(1)} s (loop)`,
        workerSeconds / loopSeconds,
        "<= 1.2",
      ),
    ])}\n`,
  );
} finally {
  await ours.server.stop();
  await theirs.server.stop();
  // Prefect's worker leaves the containers of its runs behind.
  const left = await docker("ps", "-aq", "--filter", `label=io.prefect.work-pool-name=${POOL}`);
  for (const id of left.split("\n").filter((line) => line !== "")) {
    await docker("rm", "--force", id);
  }
  rmSync(folder, { recursive: true, force: true });
}
