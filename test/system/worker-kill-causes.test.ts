import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { loadMachine } from "../../scripts/setup/machine.ts";
import { listContainers, removeContainer } from "../../src/docker/containers.ts";
import { type Engine, findEngine } from "../../src/docker/engine.ts";
import { readEngineSettings } from "../../src/docker/engine-address.ts";
import type { JsonObject } from "../../src/prefect-api/primitives.ts";
import { waitUntil } from "../support/wait-until.ts";
import { missingPart, Stage } from "./worker-kill/stage.ts";

/** Each ends in another way; all print a line that the engine has no time to send. */
const FLOWS = `import os, sys, time
from prefect import flow

@flow(log_prints=True)
def end(how: str):
    print(f"last words of {how}")
    if how == "raises":
        raise ValueError("boom")
    if how == "exits":
        sys.exit(3)
    if how == "exits at once":
        os._exit(3)
    if how == "wants memory":
        blocks = []
        while True:
            blocks.append(bytearray(10_000_000))
    sys.stdout.write("written past the logger\\n")
    sys.stdout.flush()
`;

const machine = await loadMachine();

describe("the reason of every end", { skip: missingPart(machine.docker, machine.baseImage) }, () => {
  let stage: Stage;
  let engine: Engine;

  before(async () => {
    assert.ok(machine.docker.available);
    engine = await findEngine(readEngineSettings({ HOME: "/nonexistent", DOCKER_HOST: machine.docker.host }));
    stage = await Stage.open("docker", machine);
    await writeFile(join(stage.folder, "ends.py"), FLOWS);
    await stage.startWorker();
  });
  after(async () => {
    for (const { id } of await listContainers(engine, [stage.label])) {
      await removeContainer(engine, id);
    }
    await stage?.close();
  });

  async function findContainerOf(flowRunId: string): Promise<string> {
    let id = "";
    await waitUntil(
      async () => {
        id = (await listContainers(engine, [`io.flowyard.flow-run-id=${flowRunId}`]))[0]?.id ?? "";
        return id !== "";
      },
      { timeoutMs: 20_000, what: "the container" },
    );
    return id;
  }

  const messageOf = async (id: string, type: string, timeoutMs?: number) =>
    (await stage.waitForState(id, type, timeoutMs)).state?.message ?? "";
  const isGone = (id: string) =>
    waitUntil(async () => (await listContainers(engine, [`io.flowyard.flow-run-id=${id}`])).length === 0, {
      timeoutMs: 20_000,
      what: "no container left",
    });

  const refused: [string, JsonObject, RegExp][] = [
    ["an image that is not there", { image: "flowyard-none:1" }, /IMAGE_NOT_FOUND: .*flowyard-none:1/],
    [
      "a registry that is not there",
      { image: "registry.invalid/x:1", image_pull_policy: "Always" },
      /REGISTRY_UNREACHABLE: .*registry\.invalid/,
    ],
    ["a command that ends with 3", { command: "sh -c 'exit 3'" }, /ended with exit code 3\./],
    [
      "memory in which nothing fits",
      { command: "tail /dev/zero", mem_limit: "32m", memswap_limit: "32m" },
      /ran out of memory: .*mem_limit 32m/,
    ],
  ];
  for (const [name, variables, reason] of refused) {
    test(name, async () => {
      const id = await stage.createRun({ variables });

      assert.match(await messageOf(id, "CRASHED"), reason);
      await isGone(id);
    });
  }

  const byHand: [string, (id: string) => Promise<unknown>, RegExp][] = [
    ["docker rm -f", (id) => removeContainer(engine, id), /was removed by somebody|was killed by hand/],
    ["docker kill", (id) => engine.docker.getContainer(id).kill(), /was killed by hand \(`docker kill`\)/],
    ["docker stop", (id) => engine.docker.getContainer(id).stop({ t: 10 }), /was stopped by hand \(`docker stop`\)/],
  ];
  for (const [name, act, reason] of byHand) {
    test(`${name} under a run is told within seconds, with every line before it`, async () => {
      const id = await stage.createRun({ lines: 30, gate: "never" });
      await stage.waitForState(id, "RUNNING");
      const container = await findContainerOf(id);
      const startedAt = Date.now();

      await act(container);

      const message = await messageOf(id, "CRASHED");
      assert.match(message, reason);
      assert.doesNotMatch(message, /ran out of memory/);
      assert.ok(Date.now() - startedAt < 5000, `${Date.now() - startedAt} ms`);
      await isGone(id);
    });
  }

  test("real engines: what the flow said last is in the log once, whatever its end", async () => {
    const { client } = stage;
    const flow = await client.flows.create({ name: "end" });
    const { value: deployment } = await client.deployments.create({
      name: "ends",
      flow_id: flow.id,
      work_pool_name: "docker",
      entrypoint: "ends.py:end",
      pull_steps: [{ "prefect.deployments.steps.set_working_directory": { directory: stage.folder } }],
      job_variables: {
        image: machine.baseImage.available ? machine.baseImage.tag : "",
        image_pull_policy: "Never",
        volumes: [`${stage.folder}:${stage.folder}`],
        labels: { [stage.label]: "" },
      },
    });
    const ends: [string, string, RegExp, JsonObject][] = [
      ["returns", "COMPLETED", /^$/, {}],
      ["raises", "FAILED", /ValueError: boom/, {}],
      ["exits", "CRASHED", /system exit/, {}],
      ["exits at once", "CRASHED", /status code: 3|exit code 3/, {}],
      ["wants memory", "CRASHED", /ran out of memory: .*mem_limit 600m/, { mem_limit: "600m", memswap_limit: "600m" }],
    ];
    const runs = await Promise.all(
      ends.map(async ([how, type, reason, job_variables]) => {
        const { value } = await client.deployments.createFlowRun(deployment.id, { parameters: { how }, job_variables });
        return { id: value.id, how, type, reason };
      }),
    );

    for (const { id, how, type, reason } of runs) {
      await stage.waitForState(id, type, 120_000);
      await waitUntil(async () => reason.test((await client.flowRuns.get(id)).state?.message ?? ""), {
        timeoutMs: 20_000,
        what: `the reason of a run that ${how}`,
        evidence: () => reason.source,
      });
      await isGone(id);
      const messages = (await client.logs.list({ logs: { flow_run_id: { any_: [id] } } })).map(
        ({ message }) => message,
      );
      const count = (text: string) => messages.filter((message) => message.includes(text)).length;
      assert.equal(count(`last words of ${how}`), 1, messages.join("\n"));
      assert.equal(count("Beginning flow run"), 1, messages.join("\n"));
      assert.equal(count("written past the logger"), how === "returns" ? 1 : 0, messages.join("\n"));
      const flowRunLines = messages.filter((message) => /Flow run '.*' - /.test(message));
      assert.deepEqual(flowRunLines, []);
    }
  });
});
