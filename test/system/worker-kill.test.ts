import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { loadMachine, type Machine } from "../../scripts/setup/machine.ts";
import { createPrefectClient, type PrefectClient } from "../../src/client/prefect-client.ts";
import { removeContainer } from "../../src/docker/containers.ts";
import { type Engine, findEngine } from "../../src/docker/engine.ts";
import { readEngineSettings } from "../../src/docker/engine-address.ts";
import type { JsonObject } from "../../src/prefect-api/primitives.ts";
import { TestProcess } from "../support/child-process.ts";
import { flowyard, type PlaneProcess, plainEnvironment, startPlane } from "../support/plane-process.ts";
import { waitUntil } from "../support/wait-until.ts";

/** Runs until the test opens its gate, so that nothing here depends on how fast the machine is. */
const FLOW = `import time
from pathlib import Path
from prefect import flow

@flow(log_prints=True)
def pass_gate(gate: str):
    print("at the gate")
    while not Path(gate).exists():
        time.sleep(0.05)
    print("through the gate")
`;
const PYTHON_START_MS = 60_000;

const machine = await loadMachine();

/** One plane, one pool and one deployment of the flow; a worker for each test. */
class Stage {
  readonly plane: PlaneProcess;
  readonly client: PrefectClient;
  /** The flow and its gates; containers see it at the same path. */
  readonly folder: string;
  readonly #type: "docker" | "process";
  readonly #environment: Record<string, string>;
  #deploymentId = "";
  #worker: TestProcess | undefined;

  private constructor(plane: PlaneProcess, folder: string, type: "docker" | "process", env: Record<string, string>) {
    this.plane = plane;
    this.client = createPrefectClient({ apiUrl: plane.apiUrl });
    this.folder = folder;
    this.#type = type;
    this.#environment = env;
  }

  static async open(type: "docker" | "process", jobVariables: (folder: string) => JsonObject): Promise<Stage> {
    const plane = await startPlane();
    const folder = await mkdtemp(join(tmpdir(), "flowyard-gate-"));
    await writeFile(join(folder, "gate.py"), FLOW);
    const stage = new Stage(plane, folder, type, {
      ...(machine.docker.available ? { DOCKER_HOST: machine.docker.host } : {}),
      ...(machine.prefect.available ? { FLOWYARD_WORKER_PYTHON: machine.prefect.python } : {}),
      PREFECT_API_URL: plane.apiUrl,
      PREFECT_HOME: join(folder, "prefect"),
    });
    await stage.client.workPools.create({ name: type, type });
    const flow = await stage.client.flows.create({ name: "pass-gate" });
    const { value } = await stage.client.deployments.create({
      name: type,
      flow_id: flow.id,
      work_pool_name: type,
      entrypoint: "gate.py:pass_gate",
      pull_steps: [{ "prefect.deployments.steps.set_working_directory": { directory: folder } }],
      job_variables: jobVariables(folder),
    });
    stage.#deploymentId = value.id;
    return stage;
  }

  async startWorker(): Promise<TestProcess> {
    const worker = new TestProcess(flowyard, ["worker", "start", "--pool", this.#type], {
      cwd: this.folder,
      env: plainEnvironment(this.plane.folder, this.#environment),
    });
    this.#worker = worker;
    await worker.waitForOutput(/Worker started/, 20_000);
    return worker;
  }

  async createRun(gate: string, jobVariables: JsonObject = {}): Promise<string> {
    const { value } = await this.client.deployments.createFlowRun(this.#deploymentId, {
      parameters: { gate: join(this.folder, gate) },
      job_variables: jobVariables,
    });
    return value.id;
  }

  /** A run that is RUNNING and waits at its gate. */
  async startRun(gate: string): Promise<string> {
    const id = await this.createRun(gate);
    await this.waitForState(id, "RUNNING");
    return id;
  }

  openGate(gate: string): Promise<void> {
    return writeFile(join(this.folder, gate), "");
  }

  async waitForState(id: string, type: string): Promise<string> {
    let message = "";
    await waitUntil(
      async () => {
        const run = await this.client.flowRuns.get(id);
        message = run.state?.message ?? "";
        assert.ok(
          run.state_type === type || run.end_time === null || run.end_time === undefined,
          `the run ended ${run.state_type}, not ${type}: ${message}`,
        );
        return run.state_type === type;
      },
      { timeoutMs: PYTHON_START_MS, what: type, evidence: () => this.#worker?.output ?? "" },
    );
    return message;
  }

  async stopWorker(): Promise<void> {
    this.#worker?.child.kill("SIGKILL");
    await this.#worker?.finish(5000);
    this.#worker = undefined;
  }

  async close(): Promise<void> {
    await this.stopWorker();
    await this.plane[Symbol.asyncDispose]();
    await rm(this.folder, { recursive: true, force: true });
  }
}

function missingPart(...parts: Machine[keyof Machine][]): string | false {
  const part = parts.find((candidate) => !candidate.available);
  return part !== undefined && !part.available ? part.reason : false;
}

describe("a Docker worker that is stopped or killed", { skip: missingPart(machine.docker, machine.baseImage) }, () => {
  const label = `flowyard-test-${randomUUID().slice(0, 8)}`;
  let engine: Engine;
  let stage: Stage;

  before(async () => {
    assert.ok(machine.docker.available && machine.baseImage.available);
    const image = machine.baseImage.tag;
    engine = await findEngine(readEngineSettings({ HOME: "/nonexistent", DOCKER_HOST: machine.docker.host }));
    stage = await Stage.open("docker", (folder) => ({
      image,
      image_pull_policy: "Never",
      volumes: [`${folder}:${folder}`],
      labels: { [label]: "" },
    }));
  });
  afterEach(() => stage.stopWorker());
  after(async () => {
    for (const { Id } of await engine.docker.listContainers({ all: true, filters: { label: [label] } })) {
      await removeContainer(engine, Id);
    }
    await stage?.close();
  });

  const isRunning = async (flowRunId: string) => {
    const filters = { label: [`io.prefect.flow-run-id=${flowRunId}`] };
    return (await engine.docker.listContainers({ filters })).length === 1;
  };

  test("finishes what it has at the first SIGTERM, and takes nothing more", async () => {
    const worker = await stage.startWorker();
    const running = await stage.startRun("drain");

    worker.child.kill("SIGTERM");
    await worker.waitForOutput(/waiting for those in flight/, 10_000);
    const late = await stage.createRun("drain");
    await stage.openGate("drain");
    const { code } = await worker.finish(30_000);

    assert.equal(code, 0, worker.output);
    await stage.waitForState(running, "COMPLETED");
    assert.equal((await stage.client.flowRuns.get(late)).state_type, "SCHEDULED");
    await stage.client.flowRuns.delete(late);
  });

  test("leaves at the second SIGTERM; its container goes on and completes the run", async () => {
    const worker = await stage.startWorker();
    const run = await stage.startRun("second");

    worker.child.kill("SIGTERM");
    await worker.waitForOutput(/waiting for those in flight/, 10_000);
    worker.child.kill("SIGTERM");
    await worker.finish(10_000);

    assert.equal(await isRunning(run), true);
    await stage.openGate("second");
    await stage.waitForState(run, "COMPLETED");
  });

  test("is killed; its container goes on, completes the run and its log is stored", async () => {
    const worker = await stage.startWorker();
    const run = await stage.startRun("killed");

    worker.child.kill("SIGKILL");
    await worker.finish(5000);

    assert.equal(await isRunning(run), true);
    await stage.openGate("killed");
    await stage.waitForState(run, "COMPLETED");
    const logged = async () =>
      (await stage.client.logs.list({ logs: { flow_run_id: { any_: [run] } } })).some(
        ({ message }) => message === "through the gate",
      );
    await waitUntil(logged, { timeoutMs: 20_000, what: "the run's last log line" });
  });

  test("says why bad runs crashed, and goes on with the next", async () => {
    const worker = await stage.startWorker();
    const outOfMemory = { command: "tail /dev/zero", mem_limit: "64m", memswap_limit: "64m" };
    const bad: [JsonObject, RegExp][] = [
      [{ image: `${label}:none` }, /^The run could not be started\. IMAGE_NOT_FOUND: .*none/],
      [
        { volumes: ["relative/../path:no-slash"] },
        /^The run could not be started\. JOB_INVALID: The volume "relative.*must begin with "\/"/,
      ],
      [{ command: "no-such-program" }, /exit code 127: its command was not found.*\n.*no-such-program/],
      [{ command: "sh -c 'exit 3'" }, /ended with exit code 3/],
      [{ command: "sh -c 'open" }, /JOB_INVALID: .*cannot be split/],
      [outOfMemory, /ran out of memory: .*mem_limit 64m/],
    ];
    const runs: { id: string; variables: JsonObject; reason: RegExp }[] = [];
    for (const [variables, reason] of bad) {
      runs.push({ id: await stage.createRun("bad", variables), variables, reason });
    }

    for (const { id, variables, reason } of runs) {
      assert.match(await stage.waitForState(id, "CRASHED"), reason, JSON.stringify(variables));
    }
    await stage.openGate("good");
    await stage.waitForState(await stage.createRun("good"), "COMPLETED");
    assert.equal(worker.child.exitCode, null, worker.output);
  });
});

describe("a process worker that is stopped or killed", { skip: missingPart(machine.prefect) }, () => {
  let stage: Stage;

  before(async () => {
    assert.ok(machine.prefect.available);
    const path = `${dirname(machine.prefect.python)}:/usr/bin:/bin`;
    stage = await Stage.open("process", () => ({ env: { PATH: path } }));
  });
  afterEach(() => stage.stopWorker());
  after(() => stage?.close());

  test("finishes what it has at the first SIGTERM", async () => {
    const worker = await stage.startWorker();
    const run = await stage.startRun("drain");

    worker.child.kill("SIGTERM");
    await worker.waitForOutput(/waiting for those in flight/, 10_000);
    await stage.openGate("drain");
    const { code } = await worker.finish(30_000);

    assert.equal(code, 0, worker.output);
    await stage.waitForState(run, "COMPLETED");
  });

  test("leaves at the second SIGTERM; its process goes on and completes the run", async () => {
    const worker = await stage.startWorker();
    const run = await stage.startRun("second");

    worker.child.kill("SIGTERM");
    await worker.waitForOutput(/waiting for those in flight/, 10_000);
    worker.child.kill("SIGTERM");
    await worker.finish(10_000);
    await stage.openGate("second");

    await stage.waitForState(run, "COMPLETED");
  });

  test("is killed; its process goes on and completes the run", async () => {
    const worker = await stage.startWorker();
    const run = await stage.startRun("killed");

    worker.child.kill("SIGKILL");
    await worker.finish(5000);
    await stage.openGate("killed");

    await stage.waitForState(run, "COMPLETED");
  });

  test("says why bad runs crashed, and goes on with the next", async () => {
    const worker = await stage.startWorker();
    const bad: [JsonObject, RegExp][] = [
      [{ command: "no-such-program" }, /PROCESS_REFUSED: .*no-such-program/],
      [{ working_dir: "/no/such/folder" }, /JOB_INVALID: .*\/no\/such\/folder/],
      [{ command: "sh -c 'kill -9 $$'" }, /exit code 137/],
    ];
    for (const [variables, reason] of bad) {
      assert.match(await stage.waitForState(await stage.createRun("bad", variables), "CRASHED"), reason);
    }

    await stage.openGate("good");
    await stage.waitForState(await stage.createRun("good"), "COMPLETED");
    assert.equal(worker.child.exitCode, null, worker.output);
  });
});
