import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { loadMachine } from "../../scripts/setup/machine.ts";
import { createPrefectClient, type PrefectClient } from "../../src/client/prefect-client.ts";
import { TestProcess } from "../support/child-process.ts";
import { flowyard, type PlaneProcess, plainEnvironment, startPlane } from "../support/plane-process.ts";
import { waitUntil } from "../support/wait-until.ts";

/** Says in a file that it began, and takes long enough that workers are replaced under it. */
const FLOW = `import time
from prefect import flow

@flow
def note(path: str, name: str):
    with open(path, "a") as notes:
        notes.write(name + "\\n")
    time.sleep(1)
`;
const RUNS_MS = 90_000;

const machine = await loadMachine();

describe("two workers that are updated one after the other", {
  skip: !machine.prefect.available && machine.prefect.reason,
}, () => {
  let plane: PlaneProcess;
  let client: PrefectClient;
  let folder: string;
  let deploymentId: string;
  const workers: TestProcess[] = [];

  before(async () => {
    plane = await startPlane();
    client = createPrefectClient({ apiUrl: plane.apiUrl });
    folder = await mkdtemp(join(tmpdir(), "flowyard-rolling-"));
    await writeFile(join(folder, "note.py"), FLOW);
    await client.workPools.create({ name: "pool", type: "process" });
    const flow = await client.flows.create({ name: "note" });
    const { value } = await client.deployments.create({
      name: "note",
      flow_id: flow.id,
      work_pool_name: "pool",
      entrypoint: "note.py:note",
      pull_steps: [{ "prefect.deployments.steps.set_working_directory": { directory: folder } }],
    });
    deploymentId = value.id;
  });
  after(async () => {
    for (const worker of workers) {
      await worker.stop();
    }
    await plane?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  async function startWorker(name: string): Promise<TestProcess> {
    assert.ok(machine.prefect.available);
    const worker = new TestProcess(flowyard, ["worker", "start", "--pool", "pool", "--name", name, "--limit", "2"], {
      cwd: folder,
      env: plainEnvironment(folder, {
        PREFECT_API_URL: plane.apiUrl,
        PREFECT_HOME: join(folder, "prefect"),
        FLOWYARD_WORKER_PYTHON: machine.prefect.python,
      }),
    });
    workers.push(worker);
    await worker.waitForOutput(/Worker started/, 20_000);
    return worker;
  }

  /** As docs/running.md says: drain, wait, stop, start the new one, let it take runs. */
  async function update(old: TestProcess, name: string): Promise<TestProcess> {
    const cli = async (...args: string[]) => {
      const run = new TestProcess(flowyard, args, {
        cwd: folder,
        env: plainEnvironment(folder, { PREFECT_API_URL: plane.apiUrl }),
      });
      const { code, stderr } = await run.finish(RUNS_MS);
      assert.equal(code, 0, stderr);
    };
    await cli("worker", "drain", `pool/${name}`, "--wait");
    assert.equal((await client.poolWorkers.find("pool", name))?.status, "DRAINING");
    old.child.kill("SIGTERM");
    const { code } = await old.finish(20_000);
    assert.equal(code, 0, old.output);
    const fresh = await startWorker(name);
    await cli("worker", "drain", `pool/${name}`, "--undo");
    return fresh;
  }

  test("lose no run, and start none twice", async () => {
    const notes = join(folder, "notes");
    const ids: string[] = [];
    const create = async (count: number) => {
      for (let index = 0; index < count; index += 1) {
        const name = `run-${ids.length}`;
        const parameters = { path: notes, name };
        ids.push((await client.deployments.createFlowRun(deploymentId, { name, parameters })).value.id);
      }
    };
    const first = await startWorker("one");
    const second = await startWorker("two");

    await create(2);
    await update(first, "one");
    await create(2);
    await update(second, "two");
    await create(2);

    await waitUntil(
      async () => {
        const runs = await Promise.all(ids.map((id) => client.flowRuns.get(id)));
        const failed = runs.filter(({ state_type }) => state_type === "FAILED" || state_type === "CRASHED");
        assert.deepEqual(
          failed.map(({ state }) => state?.message),
          [],
        );
        return runs.every(({ state_type }) => state_type === "COMPLETED");
      },
      { timeoutMs: RUNS_MS, what: "all runs COMPLETED", evidence: () => workers.map((one) => one.output).join("\n") },
    );
    const begun = (await readFile(notes, "utf8")).trim().split("\n").sort();
    assert.deepEqual(begun, ids.map((_, index) => `run-${index}`).sort());
  });
});
