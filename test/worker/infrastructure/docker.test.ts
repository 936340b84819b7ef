import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { loadMachine } from "../../../scripts/setup/machine.ts";
import { removeContainer } from "../../../src/docker/containers.ts";
import { type Engine, findEngine } from "../../../src/docker/engine.ts";
import { readEngineSettings } from "../../../src/docker/engine-address.ts";
import type { JsonObject } from "../../../src/prefect-api/primitives.ts";
import type { Exit, StartedRun } from "../../../worker/infrastructure/contract.ts";
import { createDockerInfrastructure } from "../../../worker/infrastructure/docker.ts";
import { startFakeDocker } from "../../support/fake-docker.ts";
import { exampleJob } from "../jobs/job-examples.ts";

const { docker, baseImage } = await loadMachine();
const missing = [docker, baseImage].find((part) => !part.available);
const skip = missing?.available === false ? missing.reason : false;
const image = baseImage.available ? baseImage.tag : "";
const never = new AbortController().signal;

async function readLines(run: StartedRun): Promise<string[]> {
  const lines: string[] = [];
  for await (const { text } of run.readOutput({}, never)) {
    lines.push(text);
  }
  return lines;
}

describe("runs as containers of a real engine", { skip }, () => {
  const label = `flowyard-test-${randomUUID().slice(0, 8)}`;
  let engine: Engine;

  before(async () => {
    engine = await findEngine(
      readEngineSettings({ HOME: "/nonexistent", DOCKER_HOST: docker.available ? docker.host : "" }),
    );
  });
  after(async () => {
    for (const { Id } of await list()) {
      await removeContainer(engine, Id);
    }
  });

  const list = () => engine.docker.listContainers({ all: true, filters: { label: [label] } });

  async function start(jobVariables: JsonObject): Promise<{ run: StartedRun; notes: string[] }> {
    const job = exampleJob({
      image,
      image_pull_policy: "Never",
      labels: { [label]: "" },
      name: label,
      ...jobVariables,
    });
    const notes: string[] = [];
    const run = await createDockerInfrastructure(engine, "/srv").start(job, (message) => notes.push(message), never);
    return { run, notes };
  }

  async function runToEnd(jobVariables: JsonObject): Promise<{ exit: Exit; lines: string[]; run: StartedRun }> {
    const { run } = await start(jobVariables);
    const [lines, exit] = await Promise.all([readLines(run), run.waitForEnd(never)]);
    return { exit, lines, run };
  }

  test("the command's output and exit code come back, and the container is kept", async () => {
    const { exit, lines, run } = await runToEnd({ command: "sh -c 'echo $PREFECT__FLOW_NAME; exit 3'" });

    assert.deepEqual(lines, ["etl"]);
    assert.equal(exit.kind, "exited");
    assert.equal(exit.kind === "exited" && exit.exitCode, 3);
    assert.match(run.pid, /^http\+docker:\/\/localhost:[0-9a-f]{64}$/);
    assert.equal((await list()).length, 1);
  });

  test("a name that is taken gets a number, as the container of an earlier attempt keeps it", async () => {
    const first = await runToEnd({ command: "true", name: `${label}-name` });
    const second = await runToEnd({ command: "true", name: `${label}-name` });

    assert.equal(first.run.what, `container "${label}-name"`);
    assert.equal(second.run.what, `container "${label}-name-1"`);
  });

  test("want of memory is seen, with the limit that was set", async () => {
    const { exit } = await runToEnd({ command: "tail /dev/zero", mem_limit: "64m", memswap_limit: "64m" });

    // A busy engine misses the kernel's word now and then.
    assert.ok(exit.kind === "exited" && (exit.wasOutOfMemory === true || exit.wasOutOfMemory === "likely"));
    assert.equal(exit.kind === "exited" && exit.memoryLimit, "64m");
  });

  test("a container that is removed has an end as well", async () => {
    const { run } = await start({ command: "sleep 60", name: `${label}-removed` });
    const watching = run.waitForEnd(never);
    await removeContainer(engine, run.pid.split(":").at(-1) ?? "");

    const removed = await watching;

    assert.ok(removed.kind === "vanished" || (removed.kind === "exited" && removed.exitCode === 137));
  });

  test("container_wait_timeout ends the watching, not the container", async () => {
    const { run } = await start({ command: "sleep 60", container_wait_timeout: 1, name: `${label}-slow` });

    const exit = await run.waitForEnd(never);

    assert.deepEqual(exit, { kind: "unwatched", afterSeconds: 1 });
    const [container] = (await list()).filter(({ Names }) => Names.includes(`/${label}-slow`));
    assert.equal(container?.State, "running");
    await run.stop(1);
  });

  test("a container that cannot be started is not left behind", async () => {
    const before = (await list()).length;

    await assert.rejects(start({ networks: [`${label}-none`] }), { code: "CONTAINER_REFUSED", message: /not found/ });
    await assert.rejects(start({ container_create_kwargs: { entrypoint: "/no/such/program" } }), {
      code: "CONTAINER_REFUSED",
      message: /no such file/,
    });

    assert.equal((await list()).length, before);
  });

  test("an image that is not here is named, and with IfPossible both reasons are", async () => {
    await assert.rejects(start({ image: `${label}:none` }), { code: "IMAGE_NOT_FOUND" });
    await assert.rejects(start({ image: `127.0.0.1:1/${label}:none`, image_pull_policy: "IfPossible" }), {
      code: "IMAGE_NOT_FOUND",
      message: /could not be pulled.*no image of that name either/,
    });
    await engine.docker.getImage(image).tag({ repo: `127.0.0.1:1/${label}`, tag: "local" });
    await assert.rejects(start({ image: `127.0.0.1:1/${label}:local`, image_pull_policy: "Always" }), {
      hint: /image ".*:local" of its own: .*image_pull_policy to Never/,
    });
    await engine.docker.getImage(`127.0.0.1:1/${label}:local`).remove();
    const { notes } = await start({ image_pull_policy: "IfPossible", command: "true", networks: [] });
    assert.match(notes.join("\n"), /Pulling image/);
  });
});

const NOW = "2026-11-24T08:00:00Z";

test("a watch goes on when the engine restarts under it", async () => {
  const id = "0123";
  let waits = 0;
  await using fake = await startFakeDocker(({ method, path }) => {
    if (path === "/containers/create") {
      return { status: 201, json: { Id: id } };
    }
    if (path.endsWith("/start")) {
      return { status: 204 };
    }
    if (path.endsWith("/wait")) {
      waits += 1;
      return waits === 1 ? { respond: (response) => response.destroy() } : { status: 200, json: { StatusCode: 4 } };
    }
    if (method === "GET" && path === `/containers/${id}/json`) {
      const State = { Running: waits < 2, ExitCode: 4, OOMKilled: false, Error: "", FinishedAt: NOW };
      return { status: 200, json: { Id: id, Name: "/otter", State, Created: NOW, Config: {} } };
    }
    return undefined;
  });
  const infrastructure = createDockerInfrastructure(await fake.connect(), "/srv");
  const run = await infrastructure.start(exampleJob({ image_pull_policy: "Never" }), () => undefined, never);

  const exit = await run.waitForEnd(never);

  assert.equal(waits, 2);
  assert.equal(exit.kind === "exited" && exit.exitCode, 4);
  assert.equal(exit.kind === "exited" && exit.engineWasAway, true);
});

for (const [actions, expected] of [
  [["create", "start", "oom", "die"], { wasOutOfMemory: true, byHand: undefined }],
  [["create", "start", "die"], { wasOutOfMemory: "likely", byHand: undefined }],
  [["create", "start", "kill", "die"], { wasOutOfMemory: false, byHand: "killed" }],
  [["die"], { wasOutOfMemory: undefined, byHand: undefined }],
] as const) {
  test(`an engine that saw no want of memory in a killed container, and remembers ${actions.join(", ")}`, async () => {
    const id = "0123";
    const events = actions.map((Action) =>
      JSON.stringify({ Action, Actor: { Attributes: Action === "kill" ? { signal: "9" } : {} } }),
    );
    await using fake = await startFakeDocker(({ method, path }) => {
      if (path === "/containers/create") {
        return { status: 201, json: { Id: id } };
      }
      if (path.endsWith("/start")) {
        return { status: 204 };
      }
      if (path.endsWith("/wait")) {
        return { status: 200, json: { StatusCode: 137 } };
      }
      if (path === "/events") {
        return { respond: (response) => response.end(events.join("\n")) };
      }
      if (method === "GET" && path === `/containers/${id}/json`) {
        const State = { Running: false, ExitCode: 137, OOMKilled: false, Error: "", FinishedAt: NOW };
        return { status: 200, json: { Id: id, Name: "/otter", State, Created: NOW, Config: {} } };
      }
      return undefined;
    });
    const infrastructure = createDockerInfrastructure(await fake.connect(), "/srv");
    const job = exampleJob({ image_pull_policy: "Never", mem_limit: "64m" });
    const run = await infrastructure.start(job, () => undefined, never);

    const exit = await run.waitForEnd(never);

    assert.ok(exit.kind === "exited");
    assert.deepEqual({ wasOutOfMemory: exit.wasOutOfMemory, byHand: exit.byHand }, expected);
  });
}

test("an engine that is away is told before runs are taken", async () => {
  const fake = await startFakeDocker(() => undefined);
  const infrastructure = createDockerInfrastructure(await fake.connect(), "/srv");
  await infrastructure.checkReady();

  await fake[Symbol.asyncDispose]();

  await assert.rejects(infrastructure.checkReady(), { name: "TransientError", code: "DOCKER_UNREACHABLE" });
});
