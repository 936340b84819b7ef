import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { z } from "zod";
import { findFreePort } from "../scripts/setup/free-port.ts";
import { loadMachine } from "../scripts/setup/machine.ts";
import { LoadClient } from "./load.ts";
import { residentMegabytes, spawnProcess, startProcess } from "./processes.ts";
import { formatTable } from "./report.ts";

// From `create_flow_run` to the start of its container, and the memory of a worker with 50 runs in flight: our worker
// and Prefect's, each on the same plane of ours and the same engine. The containers only sleep.

const RUNS_IN_FLIGHT = 50;
const SAMPLES = 8;
const SLEEP_SECONDS = 600;
const POOL = "bench-pool";

const run = promisify(execFile);
const Created = z.object({ id: z.string() });
const Container = z.object({ State: z.object({ StartedAt: z.string() }) });

interface WorkerFigures {
  startMs: number[];
  megabytes: number;
}

const machine = await loadMachine();
if (!machine.docker.available || !machine.baseImage.available || !machine.prefect.available) {
  throw new Error("the worker's bench needs the engine, the base image and Prefect: run `npm test -- --only setup`");
}
const dockerHost = machine.docker.host;
const image = machine.baseImage.tag;
const repository = join(import.meta.dirname, "..");

async function docker(...args: string[]): Promise<string> {
  return (await run("docker", args, { env: { PATH: "/usr/local/bin:/usr/bin:/bin", DOCKER_HOST: dockerHost } })).stdout;
}

async function measureWorker(program: string, folder: string): Promise<WorkerFigures> {
  const port = await findFreePort();
  const apiUrl = `http://127.0.0.1:${port}/api`;
  const env = {
    PATH: "/usr/local/bin:/usr/bin:/bin",
    HOME: folder,
    FLOWYARD_HOME: folder,
    PREFECT_HOME: join(folder, "prefect"),
    PREFECT_API_URL: apiUrl,
    DOCKER_HOST: dockerHost,
  };
  const flowyard = join(repository, "bin", "flowyard");
  const plane = await startProcess({
    command: flowyard,
    args: ["server", "start", "--port", String(port), "--database", join(folder, "plane.sqlite")],
    env,
    healthUrl: `${apiUrl}/health`,
    timeoutMs: 30_000,
  });
  await run(flowyard, ["work-pool", "create", "--type", "docker", POOL], { env });
  // Once, so that what each keeps of its compiled sources is there.
  await run(program, ["worker", "start", "--pool", POOL, "--run-once"], { env });
  const worker = spawnProcess(program, ["worker", "start", "--pool", POOL], env);
  const client = new LoadClient(apiUrl, 1);
  try {
    const deploymentId = await prepareDeployment(client);
    await waitForWorker(client);
    const startMs: number[] = [];
    const started: Promise<number>[] = [];
    for (let sample = 0; sample < RUNS_IN_FLIGHT; sample += 1) {
      const createdAt = Date.now();
      const start = createRun(client, deploymentId).then((id) => waitForContainer(id, createdAt));
      started.push(start);
      if (sample < SAMPLES) {
        startMs.push(await start);
      }
    }
    await Promise.all(started);
    return { startMs: startMs.toSorted((a, b) => a - b), megabytes: residentMegabytes(worker.child.pid ?? 0) };
  } finally {
    client.close();
    worker.child.kill("SIGKILL");
    await plane.stop();
    const ids = await docker("ps", "-aq", "--filter", `label=io.prefect.work-pool-name=${POOL}`);
    for (const id of ids.split("\n").filter((line) => line !== "")) {
      await docker("rm", "--force", id);
    }
  }
}

async function prepareDeployment(client: LoadClient): Promise<string> {
  const flow = Created.parse(JSON.parse((await client.send("POST", "/flows/", { name: "sleep" })).body));
  const deployment = await client.send("POST", "/deployments/", {
    name: "bench",
    flow_id: flow.id,
    work_pool_name: POOL,
    parameter_openapi_schema: { type: "object", properties: {} },
    job_variables: { image, image_pull_policy: "Never", command: `sleep ${SLEEP_SECONDS}` },
  });
  return Created.parse(JSON.parse(deployment.body)).id;
}

async function waitForWorker(client: LoadClient): Promise<void> {
  const online = { workers: { status: { any_: ["ONLINE"] } } };
  while ((await client.send("POST", `/work_pools/${POOL}/workers/filter`, online)).body === "[]") {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function createRun(client: LoadClient, deploymentId: string): Promise<string> {
  const answer = await client.send("POST", `/deployments/${deploymentId}/create_flow_run`, {});
  if (answer.status !== 201) {
    throw new Error(`create_flow_run answered ${answer.status}: ${answer.body}`);
  }
  return Created.parse(JSON.parse(answer.body)).id;
}

/** Milliseconds from `createdAt` to the engine's own word of the container's start. */
async function waitForContainer(flowRunId: string, createdAt: number): Promise<number> {
  for (;;) {
    const id = (await docker("ps", "-q", "--filter", `label=io.prefect.flow-run-id=${flowRunId}`)).trim();
    if (id !== "") {
      const [container] = z.array(Container).parse(JSON.parse(await docker("inspect", id)));
      return Date.parse(container?.State.StartedAt ?? "") - createdAt;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const folder = mkdtempSync(join(tmpdir(), "flowyard-bench-"));
try {
  const ours = await measureWorker(join(repository, "bin", "flowyard"), mkdtempSync(join(folder, "flowyard-")));
  const theirs = await measureWorker(machine.prefect.prefect, mkdtempSync(join(folder, "prefect-")));
  const median = ({ startMs }: WorkerFigures) => startMs[Math.floor(startMs.length / 2)] ?? Number.NaN;
  const spread = (figures: WorkerFigures) =>
    `median ${median(figures)} ms (${figures.startMs[0]}–${figures.startMs.at(-1)})`;
  process.stdout.write(
    `${formatTable([
      {
        name: "create_flow_run to container start",
        flowyard: spread(ours),
        prefect: spread(theirs),
        ratio: `1/${(median(theirs) / median(ours)).toFixed(1)}`,
        goal: "<= 1000 ms",
      },
      {
        name: `worker's memory, ${RUNS_IN_FLIGHT} runs in flight`,
        flowyard: `${ours.megabytes.toFixed(0)} MB`,
        prefect: `${theirs.megabytes.toFixed(0)} MB`,
        ratio: `1/${(theirs.megabytes / ours.megabytes).toFixed(1)}`,
        goal: "<= 120 MB",
      },
    ])}\n`,
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
