import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { loadMachine } from "../../../scripts/setup/machine.ts";
import { createPrefectClient, type PrefectClient } from "../../../src/client/prefect-client.ts";
import { TestProcess } from "../../support/child-process.ts";
import { flowyard, type PlaneProcess, plainEnvironment, startPlane } from "../../support/plane-process.ts";
import { waitUntil } from "../../support/wait-until.ts";
import { missingPart } from "../worker-kill/stage.ts";

const machine = await loadMachine();
const PYTHON_START_MS = 90_000;
const TASKS = 5;

/** Waits for its gate, so that nothing here depends on how fast the machine is, and ends while the plane is away. */
const FLOW = `import time
from pathlib import Path
from prefect import flow, task

@task
def step(number: int):
    print(f"step {number}")
    return number

@flow(log_prints=True)
def outlive(folder: str):
    print("begun")
    Path(folder, "begun").touch()
    while not Path(folder, "gate").exists():
        time.sleep(0.05)
    for number in range(${TASKS}):
        step(number)
    Path(folder, "ended").touch()
    return "done"
`;

/** What a real flow in a real container has to show for itself when the plane was away over its end. */
export function describePlaneAway(awaySeconds: number): void {
  describe(`a flow that ends while the plane is away for ${awaySeconds} s`, {
    skip: missingPart(machine.docker, machine.baseImage),
  }, () => {
    let folder: string;
    let plane: PlaneProcess;
    let client: PrefectClient;
    let worker: TestProcess;

    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), "flowyard-away-"));
      await writeFile(join(folder, "flow.py"), FLOW);
      plane = await startPlane();
      client = createPrefectClient({ apiUrl: plane.apiUrl, retry: { retries: 5, firstDelayMs: 200 } });
      worker = startWorker();
      await worker.waitForOutput(/Worker started/, 30_000);
    });

    afterEach(async () => {
      await worker.stop();
      await plane[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    });

    function startWorker(): TestProcess {
      return new TestProcess(flowyard, ["worker", "start", "--pool", "away", "--type", "docker"], {
        cwd: folder,
        env: plainEnvironment(folder, {
          ...(machine.docker.available ? { DOCKER_HOST: machine.docker.host } : {}),
          PREFECT_API_URL: plane.apiUrl,
        }),
      });
    }

    async function startRun(): Promise<string> {
      const flow = await client.flows.create({ name: "outlive" });
      const { value: deployment } = await client.deployments.create({
        name: "docker",
        flow_id: flow.id,
        work_pool_name: "away",
        entrypoint: "flow.py:outlive",
        pull_steps: [{ "prefect.deployments.steps.set_working_directory": { directory: folder } }],
        job_variables: {
          image: machine.baseImage.available ? machine.baseImage.tag : "",
          image_pull_policy: "Never",
          volumes: [`${folder}:${folder}`],
        },
      });
      const { value: run } = await client.deployments.createFlowRun(deployment.id, { parameters: { folder } });
      await waitForFile("begun");
      return run.id;
    }

    function waitForFile(name: string): Promise<void> {
      const exists = () =>
        readFile(join(folder, name)).then(
          () => true,
          () => false,
        );
      return waitUntil(exists, { timeoutMs: PYTHON_START_MS, what: name, evidence: () => worker.output });
    }

    async function assertComplete(id: string): Promise<void> {
      await waitUntil(async () => (await client.flowRuns.get(id)).state_type === "COMPLETED", {
        timeoutMs: 60_000,
        what: "COMPLETED",
        evidence: () => worker.output,
      });
      const filter = { flow_runs: { id: { any_: [id] } } };
      await waitUntil(async () => (await client.flowRuns.listTaskRuns(filter)).length === TASKS, {
        timeoutMs: 20_000,
        what: "the task runs",
      });
      const listSteps = async () => {
        const logs = await client.logs.list({ logs: { flow_run_id: { any_: [id] } } });
        return logs.map(({ message }) => message).filter((message) => message.startsWith("step "));
      };
      // What the engine could not send, the worker stores from the container's output once that has ended.
      await waitUntil(async () => (await listSteps()).length >= TASKS, {
        timeoutMs: 60_000,
        what: "the lines of the tasks",
        evidence: () => worker.output,
      });
      const expected = Array.from({ length: TASKS }, (_, number) => `step ${number}`);
      assert.deepEqual((await listSteps()).toSorted(), expected);
      const tasks = await client.flowRuns.listTaskRuns(filter);
      assert.deepEqual(new Set(tasks.map(({ state_type }) => state_type)), new Set(["COMPLETED"]));
    }

    async function stayAway(): Promise<void> {
      await new Promise((resolve) => setTimeout(resolve, awaySeconds * 1000));
      await plane.start();
    }

    test("ends COMPLETED, with all its log lines and task runs", async () => {
      const id = await startRun();
      await plane.kill();

      await writeFile(join(folder, "gate"), "");
      await waitForFile("ended");
      await stayAway();

      await assertComplete(id);
    });

    test("the same when worker and relay are killed meanwhile, and a worker starts again", async () => {
      const id = await startRun();
      await plane.kill();
      const relay = JSON.parse(await readFile(join(folder, "relay", "relay.json"), "utf8"));
      await writeFile(join(folder, "gate"), "");
      await waitForFile("ended");

      worker.child.kill("SIGKILL");
      process.kill(relay.pid, "SIGKILL");
      await worker.finish(5000);
      // Without a plane no worker can start, but it brings the relay back first, which is what the container needs.
      worker = startWorker();
      await worker.waitForOutput(/PLANE_UNREACHABLE/, 60_000);
      await worker.finish(20_000);
      await stayAway();
      worker = startWorker();

      await assertComplete(id);
    });
  });
}
