import { copyFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { Machine } from "../../../scripts/setup/machine.ts";
import { listContainers, removeContainer } from "../../../src/docker/containers.ts";
import { type Engine, findEngine } from "../../../src/docker/engine.ts";
import { readEngineSettings } from "../../../src/docker/engine-address.ts";
import { TransientError } from "../../../src/shared/errors.ts";
import { type PlaneProxy, startPlaneProxy } from "../../support/plane-proxy.ts";
import { type PlaceType, Stage } from "../worker-kill/stage.ts";
import { KeptProcess } from "./kept-process.ts";
import type { MovedClock } from "./moved-clock.ts";
import type { OwnNetwork } from "./own-network.ts";
import { type Strike, strike } from "./strikes.ts";

export const POOL_LIMIT = 6;
export const NARROW_LIMIT = 2;
/** No limit of its own, and one below the pool's. */
export const DEPLOYMENTS = ["free", "narrow"] as const;
export type DeploymentName = (typeof DEPLOYMENTS)[number];

const Witnessed = z.object({
  run: z.string(),
  deployment: z.enum(DEPLOYMENTS),
  what: z.string(),
  pid: z.number(),
  at: z.number(),
});
export type Witnessed = z.infer<typeof Witnessed>;

export interface Expected {
  id: string;
  deployment: DeploymentName;
  lines: number;
  /** COMPLETED, FAILED, or an exit code without a word to the plane. */
  end: string;
}

/** What there is beside plane and workers. */
interface Surroundings {
  /** Workers and all that they start are in it, and reach the plane through it alone. */
  network?: OwnNetwork | undefined;
  clocks?: { plane: MovedClock; workers: MovedClock } | undefined;
}

/** A plane behind a network that can break, one pool with a limit, and workers that are kept running. */
export class ChaosStage {
  readonly stage: Stage;
  readonly proxy: PlaneProxy;
  readonly engine: Engine | undefined;
  readonly workers: KeptProcess[] = [];
  readonly runs: Expected[] = [];
  readonly clocks: Surroundings["clocks"];
  readonly #deploymentIds = new Map<DeploymentName, string>();

  private constructor(stage: Stage, proxy: PlaneProxy, engine: Engine | undefined, clocks: Surroundings["clocks"]) {
    this.clocks = clocks;
    this.stage = stage;
    this.proxy = proxy;
    this.engine = engine;
  }

  static async open(type: PlaceType, machine: Machine, { network, clocks }: Surroundings = {}): Promise<ChaosStage> {
    const stage = await Stage.open(type, machine, clocks?.plane.environment);
    stage.through = network?.enter ?? [];
    const engine =
      type === "docker" && machine.docker.available
        ? await findEngine(readEngineSettings({ HOME: "/nonexistent", DOCKER_HOST: machine.docker.host }))
        : undefined;
    const chaos = new ChaosStage(stage, await startPlaneProxy(stage.plane.apiUrl, network?.outside), engine, clocks);
    await copyFile(join(import.meta.dirname, "engine.py"), join(stage.folder, "chaos.py"));
    await chaos.#prepare(type);
    return chaos;
  }

  async #prepare(pool: string): Promise<void> {
    const { client } = this.stage;
    await client.workPools.update(pool, { concurrency_limit: POOL_LIMIT });
    const flow = await client.flows.create({ name: "chaos" });
    for (const name of DEPLOYMENTS) {
      const { value } = await client.deployments.create({
        name,
        flow_id: flow.id,
        work_pool_name: pool,
        ...(name === "narrow" && { concurrency_limit: NARROW_LIMIT }),
      });
      this.#deploymentIds.set(name, value.id);
    }
  }

  /** One has a name that its next start has, too; the other is somebody new each time. */
  startWorkers(): void {
    const environment = { PREFECT_API_URL: this.proxy.apiUrl, ...this.clocks?.workers.environment };
    this.workers.push(
      new KeptProcess(() => this.stage.launchWorker(environment, "--name", "worker-1")),
      new KeptProcess(() => this.stage.launchWorker(environment)),
    );
  }

  /** Kept by the plane once, however often it has to be asked. */
  async createRun(run: Omit<Expected, "id">, { seconds = 0.5, gate = "-" } = {}): Promise<Expected> {
    const { folder, client, jobVariables } = this.stage;
    const witness = join(folder, "witness.jsonl");
    const program = ["python3", join(folder, "chaos.py"), witness, run.deployment, run.lines, seconds, gate, run.end];
    const idempotency_key = `chaos-${this.runs.length}`;
    const { value } = await keepAsking(() =>
      client.deployments.createFlowRun(this.#deploymentIds.get(run.deployment) ?? "", {
        idempotency_key,
        job_variables: { ...jobVariables, command: program.join(" ") },
      }),
    );
    const expected = { id: value.id, ...run };
    this.runs.push(expected);
    return expected;
  }

  strike(what: Strike, draw: () => number): Promise<boolean> {
    return strike(this, what, draw);
  }

  /** What the engines wrote down themselves. */
  async readWitness(): Promise<Witnessed[]> {
    const text = await readFile(join(this.stage.folder, "witness.jsonl"), "utf8").catch(() => "");
    return text
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => Witnessed.parse(JSON.parse(line)));
  }

  async listContainers(): Promise<string[]> {
    return this.engine === undefined ? [] : (await listContainers(this.engine, [this.stage.label])).map(({ id }) => id);
  }

  async close(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.kill()));
    await this.stage.killRelay();
    for (const id of await this.listContainers()) {
      if (this.engine !== undefined) {
        await removeContainer(this.engine, id);
      }
    }
    await this.proxy[Symbol.asyncDispose]();
    await this.stage.close();
  }
}

/** For the test's own questions while planes die. */
export async function keepAsking<T>(ask: () => Promise<T>, timeoutMs = 60_000): Promise<T> {
  const endAt = Date.now() + timeoutMs;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof TransientError) || Date.now() > endAt) {
        throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}
