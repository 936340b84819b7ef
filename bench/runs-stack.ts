import { execFile } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { z } from "zod";
import { loadMachine } from "../scripts/setup/machine.ts";
import { LoadClient } from "./load.ts";
import { spawnProcess } from "./processes.ts";

export const POOL = "bench-pool";
export const POLL_MS = 20;
const PATH = "/usr/local/bin:/usr/bin:/bin";
const CLIENTS = 4;
/** How long one run may take on a machine that is busy. */
const RUN_MS = 180_000;

const exec = promisify(execFile);
const Created = z.object({ id: z.string() });
const State = z.object({ state: z.object({ type: z.string(), timestamp: z.string() }) });

const machine = await loadMachine();
if (!machine.docker.available || !machine.baseImage.available || !machine.prefect.available) {
  throw new Error("this bench needs the engine, the base image and Prefect: run `npm test -- --only setup`");
}
const dockerHost = machine.docker.host;
export const image = machine.baseImage.tag;
export const prefect = machine.prefect.prefect;
export const flowyard = join(import.meta.dirname, "..", "bin", "flowyard");

/** Runs a program with the engine's address; answers what it printed. */
export async function runBesideEngine(program: string, args: readonly string[]): Promise<string> {
  return (await exec(program, args, { env: { PATH, DOCKER_HOST: dockerHost } })).stdout;
}

/** One server with one worker, and a deployment on it whose flow does nothing. */
export class Stack {
  readonly client: LoadClient;
  readonly #worker: ReturnType<typeof spawnProcess>;

  constructor(apiUrl: string, program: string, folder: string, env: Record<string, string>, args: string[] = []) {
    this.client = new LoadClient(apiUrl, CLIENTS);
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

  async waitForEnd(id: string, pollMs = POLL_MS): Promise<{ type: string; at: number }> {
    const endAt = Date.now() + RUN_MS;
    while (Date.now() < endAt) {
      const { state } = State.parse(JSON.parse((await this.client.send("GET", `/flow_runs/${id}`)).body));
      if (["COMPLETED", "FAILED", "CRASHED", "CANCELLED"].includes(state.type)) {
        return { type: state.type, at: Date.parse(state.timestamp) };
      }
      await pause(pollMs);
    }
    throw new Error(`run ${id} did not end in ${RUN_MS / 1000} s: ${this.#worker.errorText}`);
  }

  get pid(): number {
    return this.#worker.child.pid ?? 0;
  }

  stop(): void {
    this.client.close();
    this.#worker.child.kill("SIGTERM");
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
