import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { loadMachine } from "../../scripts/setup/machine.ts";
import { waitUntil } from "../support/wait-until.ts";
import { OwnEngine } from "../system/chaos/own-engine.ts";
import { missingPart, Stage } from "../system/worker-kill/stage.ts";

const machine = await loadMachine();
const noRoot = process.getuid?.() === 0 ? false : "starting an own Docker engine needs root";
/** The base image twice, as it is loaded from an archive, and some. */
const DISK_MEGABYTES = 1600;

/** Writes into its container's own layer until it may not, and prints all the same. */
const GREEDY = `import os, time
print("begins", flush=True)
time.sleep(2)
try:
    with open("/var/tmp/filled", "wb") as file:
        while True:
            file.write(b"x" * 65536)
            file.flush()
except OSError as error:
    print(error.strerror, flush=True)
for number in range(200):
    print("printed on a full disk", number, flush=True)
os._exit(9)
`;

describe("an engine whose disk is full", { skip: missingPart(machine.docker, machine.baseImage) || noRoot }, () => {
  let engine: OwnEngine;
  let stage: Stage;

  before(async () => {
    assert.ok(machine.docker.available && machine.baseImage.available);
    engine = await OwnEngine.start([], DISK_MEGABYTES);
    await engine.copyImage(machine.baseImage.tag, machine.docker.host);
    stage = await Stage.open("docker", { ...machine, docker: { ...machine.docker, host: engine.host } });
    await writeFile(join(stage.folder, "greedy.py"), GREEDY);
    await stage.startWorker();
  });
  after(async () => {
    await stage?.close();
    await engine?.remove();
  });

  test("a flow that fills it ends with its exit code; others go on to their end, and the next ones start", async () => {
    const other = await stage.createRun({ lines: 5 });
    await stage.waitForState(other, "RUNNING");
    await waitUntil(async () => (await stage.listOutput(other)).length === 5, {
      timeoutMs: 20_000,
      what: "its output",
    });
    await engine.fillDisk(40);
    const command = `python3 ${join(stage.folder, "greedy.py")}`;
    const greedy = await stage.createRun({ variables: { command } });

    const ended = await stage.waitForState(greedy, "CRASHED", 60_000);
    assert.match(ended.state?.message ?? "", /exit code 9/);
    assert.equal((await stage.listOutput(greedy))[0], "begins");
    await engine.freeDisk();
    await stage.openGate();
    await stage.waitForState(other, "COMPLETED");
    await waitUntil(async () => (await engine.countContainers()) === 0, {
      timeoutMs: 30_000,
      what: "no container left",
    });
    const expected = ["line 0", "line 1", "line 2", "line 3", "line 4", "the end"];
    assert.deepEqual((await stage.listOutput(other)).toSorted(), expected);
  });

  test("a run that cannot be started for it is CRASHED with that reason, and the next one starts when there is room", async () => {
    await engine.fillDisk(0);
    const failing = await stage.createRun({ lines: 1 });
    const ended = await stage.waitForState(failing, "CRASHED", 60_000);
    await engine.freeDisk();
    const later = await stage.createRun({ lines: 3 });
    await stage.waitForState(later, "COMPLETED", 60_000);
    assert.match(ended.state?.message ?? "", /DOCKER_DISK_FULL: .*no space left on device/);
    await waitUntil(async () => (await engine.countContainers()) === 0, {
      timeoutMs: 30_000,
      what: "no container left",
    });
  });
});
