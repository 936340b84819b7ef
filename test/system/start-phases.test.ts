import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { findFreePort } from "../../scripts/setup/free-port.ts";
import { loadMachine } from "../../scripts/setup/machine.ts";
import { runCommand } from "../../scripts/setup/run-command.ts";
import { createPrefectClient, type PrefectClient } from "../../src/client/prefect-client.ts";
import { TestProcess } from "../support/child-process.ts";
import { flowyard, type PlaneProcess, plainEnvironment, startPlane } from "../support/plane-process.ts";
import { waitUntil } from "../support/wait-until.ts";

const machine = await loadMachine();
const missing = !machine.docker.available
  ? machine.docker.reason
  : !machine.registry.available && machine.registry.reason;

describe("the steps of a start, as a Docker worker tells them", { skip: missing }, () => {
  const name = `flowyard-phases-${randomUUID().slice(0, 8)}`;
  let plane: PlaneProcess;
  let worker: TestProcess;
  let client: PrefectClient;
  let folder: string;
  let healthPort: number;

  before(async () => {
    assert.ok(machine.docker.available);
    plane = await startPlane();
    client = createPrefectClient({ apiUrl: plane.apiUrl });
    folder = await mkdtemp(join(tmpdir(), "flowyard-phases-"));
    healthPort = await findFreePort();
    worker = new TestProcess(
      flowyard,
      ["worker", "start", "--pool", "docker", "--type", "docker", "--name", "teller", "--with-healthcheck"],
      {
        cwd: folder,
        env: plainEnvironment(folder, {
          PREFECT_API_URL: plane.apiUrl,
          DOCKER_HOST: machine.docker.host,
          FLOWYARD_WORKER_RELAY: "off",
          PREFECT_WORKER_WEBSERVER_HOST: "127.0.0.1",
          PREFECT_WORKER_WEBSERVER_PORT: String(healthPort),
        }),
      },
    );
    await worker.waitForOutput(/Worker started/, 20_000);
  });
  after(async () => {
    await worker?.stop();
    await plane?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  /** The command is in no image: the container ends as soon as it is started. */
  async function startRun(image: string): Promise<string> {
    const flow = await client.flows.create({ name: "phases" });
    const { value } = await client.deployments.create({
      name: image.replaceAll(/\W/g, "-"),
      flow_id: flow.id,
      work_pool_name: "docker",
      entrypoint: "nothing.py:nothing",
      job_variables: { image, image_pull_policy: "Always", command: "/none", labels: { [name]: "" } },
    });
    return (await client.deployments.createFlowRun(value.id, {})).value.id;
  }

  async function waitForPhases(id: string, last: string): Promise<string[]> {
    let phases: string[] = [];
    await waitUntil(
      async () => {
        phases = (await client.timelines.find(id))?.entries.map(({ phase }) => phase) ?? [];
        return phases.includes(last);
      },
      { timeoutMs: 40_000, what: last, evidence: () => `${phases}\n${worker.output}` },
    );
    return phases;
  }

  test("a registry that does not answer is told while it is tried again, and explains why the run waits", async () => {
    const id = await startRun(`127.0.0.1:${await findFreePort()}/nothing:1`);

    await waitForPhases(id, "image-failing");
    const explanation = await client.explanations.find(id);
    const phases = await waitForPhases(id, "crashed");

    assert.equal(explanation?.reason_code, "IMAGE_PULL_FAILING");
    assert.match(explanation?.sentence ?? "", /nothing:1/);
    assert.deepEqual(
      phases.filter((phase) => phase.startsWith("image-")),
      ["image-pulling", "image-failing", "image-failing"],
    );
  });

  test("an image that is pulled, and a container that is made of it, have their places in the timeline", async () => {
    assert.ok(machine.docker.available && machine.registry.available);
    const image = `${machine.registry.address}/${name}:1`;
    const steps = [
      `tar -c -T /dev/null | docker -H ${machine.docker.host} import - ${image}`,
      `docker -H ${machine.docker.host} push --quiet ${image}`,
      `docker -H ${machine.docker.host} image rm ${image}`,
    ];
    for (const step of steps) {
      const { code, tail } = await runCommand("sh", ["-c", step]);
      assert.equal(code, 0, tail);
    }
    try {
      const phases = await waitForPhases(await startRun(image), "exited");

      const told = phases.filter((phase) => /^(claimed|image|created|started|exited)/.test(phase));
      assert.deepEqual(told, ["claimed", "image-pulling", "image-pulled", "created", "started", "exited"]);
      const metrics = await (await fetch(`http://127.0.0.1:${healthPort}/metrics`)).text();
      assert.match(metrics, /flowyard_worker_start_seconds_count\{[^}]*phase="pulled"[^}]*\} 1/);
      assert.match(metrics, /flowyard_worker_exits_total\{reason="not_started"[^}]*\} 1/);
      assert.match(metrics, /flowyard_worker_exits_total\{reason="failed"[^}]*\} 1/);
      assert.equal((await fetch(`http://127.0.0.1:${healthPort}/health`)).status, 200);
    } finally {
      await runCommand("docker", ["-H", machine.docker.host, "image", "rm", image]);
    }
  });
});
