import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { findFreePort } from "../../scripts/setup/free-port.ts";
import { createPrefectClient } from "../../src/client/prefect-client.ts";
import { TestProcess } from "../support/child-process.ts";
import { flowyard, plainEnvironment } from "../support/plane-process.ts";
import { waitUntil } from "../support/wait-until.ts";

test("a worker outlives its plane: what it ran meanwhile is reported when the plane is back", async () => {
  const folder = await mkdtemp(join(tmpdir(), "flowyard-outage-"));
  const port = await findFreePort();
  const apiUrl = `http://127.0.0.1:${port}/api`;
  const env = plainEnvironment(folder, { PREFECT_API_URL: apiUrl });
  const serve = () =>
    new TestProcess(flowyard, ["server", "start", "--port", String(port), "--database", join(folder, "plane.sqlite")], {
      cwd: folder,
      env,
    });
  let plane = serve();
  await plane.waitForOutput(/API is at/, 20_000);
  const client = createPrefectClient({ apiUrl });
  const worker = new TestProcess(flowyard, ["worker", "start", "--pool", "shell", "--type", "process"], {
    cwd: folder,
    env,
  });
  try {
    await worker.waitForOutput(/Worker started/, 20_000);
    const flow = await client.flows.create({ name: "etl" });
    const { value: run } = await client.flowRuns.create({
      flow_id: flow.id,
      work_pool_name: "shell",
      state: { type: "SCHEDULED" },
      job_variables: { command: "sh -c 'echo working; sleep 1; exit 9'" },
    });
    await worker.waitForOutput(/\| working/, 10_000);

    plane.child.kill("SIGKILL");
    await plane.finish(5000);
    await worker.waitForOutput(/tried again|trying again/, 20_000);
    plane = serve();
    await plane.waitForOutput(/API is at/, 20_000);

    const isCrashed = async () => (await client.flowRuns.get(run.id)).state_type === "CRASHED";
    await waitUntil(isCrashed, { timeoutMs: 40_000, what: "CRASHED", evidence: () => worker.output });
    assert.match((await client.flowRuns.get(run.id)).state?.message ?? "", /exit code 9/);
  } finally {
    await worker.stop();
    await plane.stop();
    await rm(folder, { recursive: true, force: true });
  }
});
