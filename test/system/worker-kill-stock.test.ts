import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { loadMachine } from "../../scripts/setup/machine.ts";
import { createPrefectClient, type PrefectClient } from "../../src/client/prefect-client.ts";
import { TestProcess } from "../support/child-process.ts";
import { flowyard, plainEnvironment } from "../support/plane-process.ts";
import { type PrefectServer, startPrefectServer } from "../support/prefect-server.ts";
import { waitUntil } from "../support/wait-until.ts";

const { prefect } = await loadMachine();

describe("a worker on Prefect's own server", { skip: prefect.available ? false : prefect.reason }, () => {
  let server: PrefectServer;
  let client: PrefectClient;
  let folder = "";
  const workers: TestProcess[] = [];

  before(async () => {
    server = await startPrefectServer(prefect.available ? prefect.prefect : "");
    client = createPrefectClient({ apiUrl: server.apiUrl });
    folder = await mkdtemp(join(tmpdir(), "flowyard-stock-"));
  });
  after(async () => {
    for (const worker of workers) {
      worker.child.kill("SIGKILL");
      await worker.finish(5000);
    }
    await server?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  async function startWorker(): Promise<TestProcess> {
    const env = plainEnvironment(folder, { PREFECT_API_URL: server.apiUrl });
    const worker = new TestProcess(flowyard, ["worker", "start", "--pool", "shell", "--type", "process"], {
      cwd: folder,
      env,
    });
    workers.push(worker);
    await worker.waitForOutput(/Worker started/, 20_000);
    return worker;
  }

  async function createRun(command: string): Promise<string> {
    const flow = await client.flows.create({ name: "etl" });
    const { value } = await client.flowRuns.create({
      flow_id: flow.id,
      work_pool_name: "shell",
      state: { type: "SCHEDULED" },
      job_variables: { command },
    });
    return value.id;
  }

  const listOutput = async (id: string) =>
    (await client.logs.list({ logs: { flow_run_id: { any_: [id] } } })).map(({ message }) => message);

  test("takes runs by Prefect's protocol, stores their output plain, and adopts them after it was killed", async () => {
    const first = await startWorker();
    const gate = join(folder, "gate");
    const id = await createRun(`sh -c 'echo one; until [ -e ${gate} ]; do sleep 0.1; done; echo two; exit 3'`);
    await waitUntil(async () => (await listOutput(id)).includes("one"), {
      timeoutMs: 30_000,
      what: "the first line",
      evidence: () => first.output,
    });

    first.child.kill("SIGKILL");
    await first.finish(5000);
    await writeFile(gate, "");
    const second = await startWorker();

    await waitUntil(async () => (await client.flowRuns.get(id)).state_type === "CRASHED", {
      timeoutMs: 30_000,
      what: "CRASHED",
      evidence: () => second.output,
    });
    assert.match((await client.flowRuns.get(id)).state?.message ?? "", /exit code 3/);
    assert.deepEqual(await listOutput(id), ["one", "two"]);
  });
});
