import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { loadMachine } from "../../scripts/setup/machine.ts";
import { listContainers, removeContainer } from "../../src/docker/containers.ts";
import { type Engine, findEngine } from "../../src/docker/engine.ts";
import { readEngineSettings } from "../../src/docker/engine-address.ts";
import { TestProcess } from "../support/child-process.ts";
import { startDockerProxy } from "../support/docker-proxy.ts";
import { flowyard, plainEnvironment } from "../support/plane-process.ts";
import { waitUntil } from "../support/wait-until.ts";
import { missingPart, Stage } from "./worker-kill/stage.ts";

const machine = await loadMachine();
const run = promisify(execFile);
/** What the worker gives the engine for a start, and then for the clean-up. */
const START_TIMEOUT_MS = 60_000 + 10_000;
/** More than the worker keeps in memory. */
const MANY_LINES = 3000;
const PAD = "x".repeat(1000);

/** A plane and a pool for the tests of one `describe`, and what they start there. */
class Place {
  #stage: Stage | undefined;
  #engine: Engine | undefined;
  readonly #workers: TestProcess[] = [];

  constructor() {
    before(async () => {
      this.#engine = await findEngine(readEngineSettings({ HOME: "/nonexistent", DOCKER_HOST: dockerHost() }));
      this.#stage = await Stage.open("docker", machine);
    });
    after(async () => {
      if (this.#stage !== undefined) {
        for (const { id } of await listContainers(this.engine, [this.#stage.label])) {
          await removeContainer(this.engine, id);
        }
        await this.#stage.close();
      }
    });
    afterEach(async () => {
      for (const worker of this.#workers.splice(0)) {
        worker.child.kill("SIGKILL");
        await worker.finish(5000);
      }
    });
  }

  get stage(): Stage {
    return this.#stage ?? assert.fail("no stage");
  }

  get engine(): Engine {
    return this.#engine ?? assert.fail("no engine");
  }

  async startWorker(environment: Record<string, string> = {}, ...flags: string[]): Promise<TestProcess> {
    const worker = await this.stage.startWorker(environment, ...flags);
    this.#workers.push(worker);
    return worker;
  }

  listContainersOf(flowRunId: string) {
    return listContainers(this.engine, [`io.flowyard.flow-run-id=${flowRunId}`]);
  }

  async findContainerOf(flowRunId: string): Promise<string> {
    const find = async () => (await this.listContainersOf(flowRunId))[0]?.id;
    await waitUntil(async () => (await find()) !== undefined, {
      timeoutMs: 30_000,
      what: `a container of ${flowRunId}`,
      evidence: () => this.stage.tellAll(),
    });
    return (await find()) ?? "";
  }
}

function dockerHost(): string {
  assert.ok(machine.docker.available);
  return machine.docker.host;
}

async function stopWorker(worker: TestProcess): Promise<void> {
  worker.child.kill("SIGTERM");
  await worker.finish(20_000);
}

// The two places side by side: in one of them most of the time is waiting for an engine that does not answer.
const options = { skip: missingPart(machine.docker, machine.baseImage), concurrency: 2 };
describe("a worker whose surroundings fail", options, () => {
  describe("its plane, its host or its disk", { concurrency: 1 }, describeOutages);
  describe("its engine", describeHungEngine);
});

function describeOutages(): void {
  const place = new Place();

  for (const alsoKilled of [false, true]) {
    const what = alsoKilled
      ? "its container is removed by hand and its worker killed"
      : "its container is removed by hand";
    test(`a run loses no line that it printed when ${what} while the plane is away`, async () => {
      const worker = await place.startWorker({}, "--name", "keeper");
      const folder = `gate-${alsoKilled}`;
      const script = `i=0; until [ -e ${join(place.stage.folder, folder)} ]; do sleep 0.1; done; while [ $i -lt ${MANY_LINES} ]; do echo "$i ${folder} ${PAD}"; i=$((i+1)); done; sleep 600`;
      await writeFile(join(place.stage.folder, `${folder}.sh`), script);
      const id = await place.stage.createRun({
        variables: { command: `sh ${join(place.stage.folder, `${folder}.sh`)}` },
      });
      const container = await place.findContainerOf(id);
      const isKnown = async () =>
        (await place.stage.client.poolWorkers.find("docker", "keeper"))?.runs[0]?.started === true;
      await waitUntil(isKnown, { timeoutMs: 30_000, what: "the plane to know that it was started" });

      await place.stage.plane.kill();
      try {
        await place.stage.openGate(folder);
        // Of this run: what the relay kept for others stays in its file until that is full.
        const lastLine = `"${MANY_LINES - 1} ${folder} ${PAD}"`;
        await waitUntil(async () => (await readSpool(place.stage.folder)).includes(lastLine), {
          timeoutMs: 60_000,
          what: "the last line in the relay's spool",
          evidence: () => worker.output.slice(0, 2000),
        });
        if (alsoKilled) {
          worker.child.kill("SIGKILL");
          await worker.finish(5000);
        }
        await removeContainer(place.engine, container);
      } finally {
        await place.stage.plane.start();
      }
      const next = alsoKilled ? await place.startWorker() : worker;

      if (!alsoKilled) {
        await place.stage.waitForState(id, "CRASHED", 60_000);
      }
      const listNumbers = async () => (await listAllOutput(id)).map((line) => Number(line.split(" ")[0]));
      let numbers: number[] = [];
      const isComplete = async () => {
        numbers = await listNumbers();
        return numbers.length >= MANY_LINES;
      };
      await waitUntil(isComplete, {
        timeoutMs: 60_000,
        what: "all lines",
        evidence: () => describeLoss(numbers),
      });
      assert.deepEqual(
        await listNumbers(),
        Array.from({ length: MANY_LINES }, (_, index) => index),
      );
      await stopWorker(next);
    });
  }

  function describeLoss(numbers: readonly number[]): string {
    const present = new Set(numbers);
    const missing = Array.from({ length: MANY_LINES }, (_, index) => index).filter((number) => !present.has(number));
    return [
      `${numbers.length} lines, ${missing.length} missing: ${missing.slice(0, 5).join(" ")} … ${missing.slice(-5).join(" ")}`,
      `relay's spool: ${readdirSync(join(place.stage.folder, "relay", "spool")).join(" ")}`,
      place.stage.tellAll(),
    ].join("\n");
  }

  async function listAllOutput(id: string): Promise<string[]> {
    const logs = await place.stage.client.logs.list(
      { logs: { flow_run_id: { any_: [id] } }, sort: "TIMESTAMP_ASC" },
      { limit: 2 * MANY_LINES },
    );
    return logs.filter(({ name }) => name === "flowyard.stdout").map(({ message }) => message);
  }

  test("a worker that was told to stop is shown as draining until its runs have ended", async () => {
    const worker = await place.startWorker({}, "--name", "leaver");
    const id = await place.stage.createRun({ gate: "leave" });
    await place.stage.waitForState(id, "RUNNING");

    worker.child.kill("SIGTERM");
    await waitUntil(
      async () => (await place.stage.client.poolWorkers.find("docker", "leaver"))?.status === "DRAINING",
      {
        timeoutMs: 20_000,
        what: "DRAINING",
        evidence: () => worker.output,
      },
    );
    const list = new TestProcess(flowyard, ["worker", "ls"], {
      cwd: place.stage.folder,
      env: plainEnvironment(place.stage.folder, { PREFECT_API_URL: place.stage.plane.apiUrl }),
    });

    assert.match((await list.finish(20_000)).stdout, /leaver.*DRAINING/);
    await place.stage.openGate("leave");
    await place.stage.waitForState(id, "COMPLETED");
    assert.equal((await worker.finish(30_000)).code, 0, worker.output);
  });

  const isRoot = process.getuid?.() === 0;
  test("a full disk under its folder costs a worker its notes, and no run", {
    skip: isRoot ? false : "needs root, to mount a small file system",
  }, async () => {
    const home = join(place.stage.folder, "small");
    await mkdir(join(home, "worker"), { recursive: true });
    await run("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", join(home, "worker")]);
    try {
      const worker = await place.startWorker({ FLOWYARD_HOME: home, FLOWYARD_WORKER_RELAY: "off" });
      await run("dd", ["if=/dev/zero", `of=${join(home, "worker", "fill")}`, "bs=4k"]).catch(() => undefined);

      const id = await place.stage.createRun({ lines: 20, gate: "full" });
      await place.stage.openGate("full");
      await place.stage.waitForState(id, "COMPLETED");
      await waitUntil(async () => (await place.listContainersOf(id)).length === 0, {
        timeoutMs: 20_000,
        what: "the container to go",
        evidence: () => worker.output,
      });

      assert.match(worker.output, /folder cannot be written; it goes on without notes.*ENOSPC/);
      assert.equal((await place.stage.listOutput(id)).length, 21);
      await stopWorker(worker);
    } finally {
      await run("umount", ["--lazy", join(home, "worker")]);
    }
  });
}

function describeHungEngine(): void {
  const place = new Place();

  test("a start that the engine never answers is told in its time, and other runs go on", async () => {
    await using proxy = await startDockerProxy(dockerHost());
    const worker = await place.startWorker({ DOCKER_HOST: proxy.host });
    proxy.hangs = (method, path) => method === "POST" && path.includes("/start") && proxy.hanging.length === 0;
    const hung = await place.stage.createRun({ gate: "go-on" });
    await waitUntil(async () => proxy.hanging.length > 0, { timeoutMs: 30_000, what: "a start that hangs" });
    const startedAt = performance.now();

    const other = await place.stage.createRun({ gate: "go-on" });
    await place.stage.openGate("go-on");
    await place.stage.waitForState(other, "COMPLETED", 40_000);
    const { state } = await place.stage.waitForState(hung, "CRASHED", START_TIMEOUT_MS + 20_000);

    assert.match(state?.message ?? "", /DOCKER_UNREACHABLE/);
    assert.ok(performance.now() - startedAt < START_TIMEOUT_MS + 10_000);
    assert.equal((await place.listContainersOf(hung)).length, 0);
    await stopWorker(worker);
  });
}

/** What the relay of a folder keeps for the plane. */
async function readSpool(folder: string): Promise<string> {
  const spool = join(folder, "relay", "spool");
  const names = await readdir(spool).catch(() => []);
  const texts = await Promise.all(names.map((name) => readFile(join(spool, name), "utf8").catch(() => "")));
  return texts.join("");
}
