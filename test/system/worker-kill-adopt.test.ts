import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { loadMachine } from "../../scripts/setup/machine.ts";
import { listContainers, removeContainer } from "../../src/docker/containers.ts";
import { type Engine, findEngine } from "../../src/docker/engine.ts";
import { readEngineSettings } from "../../src/docker/engine-address.ts";
import { waitUntil } from "../support/wait-until.ts";
import { missingPart, type PlaceType, Stage } from "./worker-kill/stage.ts";

const machine = await loadMachine();
const RUNS = 20;
const LINES = 100;
/** How the runs end, one after the other; a number is an exit code without a word to the plane. */
const ENDS = ["COMPLETED", "FAILED", "3", "COMPLETED", "0"];
const STATES: Record<string, string> = { COMPLETED: "COMPLETED", FAILED: "FAILED" };

function describeAdoption(type: PlaceType, skip: string | false): void {
  describe(`runs of a ${type} worker that is killed`, { skip }, () => {
    let stage: Stage;
    let engine: Engine | undefined;
    before(async () => {
      stage = await Stage.open(type, machine);
      engine =
        type === "docker" && machine.docker.available
          ? await findEngine(readEngineSettings({ HOME: "/nonexistent", DOCKER_HOST: machine.docker.host }))
          : undefined;
    });
    after(async () => {
      for (const { id } of engine === undefined ? [] : await listContainers(engine, [stage.label])) {
        await removeContainer(engine ?? assert.fail(), id);
      }
      await stage?.close();
    });

    test("replacing workers one after the other loses no run and starts none twice", async () => {
      const runs: string[] = [];
      const create = async (count: number) => {
        for (let index = 0; index < count; index += 1) {
          runs.push(await stage.createRun({ lines: 50, gate: "." }));
        }
      };
      let worker = await stage.startWorker();
      for (const flags of [[], ["--on-stop", "leave"], []]) {
        await create(4);
        const next = stage.startWorker({}, ...flags);
        worker.child.kill("SIGTERM");
        await create(4);
        worker = await next;
      }

      for (const id of runs) {
        const run = await stage.waitForState(id, "COMPLETED", 60_000);
        assert.equal(run.run_count, 1);
        await waitUntil(async () => (await stage.listOutput(id)).length === 51, {
          timeoutMs: 30_000,
          what: `all lines of ${id}`,
        });
      }
      worker.child.kill("SIGKILL");
      await worker.finish(5000);
    });

    test(`${RUNS} runs end as they would have, each once, with every line once`, async () => {
      const first = await stage.startWorker();
      const runs: { id: string; end: string }[] = [];
      for (let index = 0; index < RUNS; index += 1) {
        const end = ENDS[index % ENDS.length] ?? "";
        // Every fourth one ends while there is no worker.
        runs.push({ id: await stage.createRun({ lines: LINES, gate: `gate-${index % 4}`, end }), end });
      }
      await Promise.all(runs.map(({ id }) => stage.waitForState(id, "RUNNING", 60_000)));

      first.child.kill("SIGKILL");
      await first.finish(5000);
      await stage.openGate("gate-0");
      await stage.startWorker();
      for (const gate of ["gate-1", "gate-2", "gate-3"]) {
        await stage.openGate(gate);
      }

      const expected = [...Array.from({ length: LINES }, (_, number) => `line ${number}`), "the end"];
      for (const { id, end } of runs) {
        const run = await stage.waitForState(id, STATES[end] ?? "CRASHED", 60_000);
        await waitUntil(async () => (await stage.listOutput(id)).includes("the end"), {
          timeoutMs: 30_000,
          what: `the last line of ${id}`,
        });
        assert.deepEqual((await stage.listOutput(id)).toSorted(compareLines), expected, `${id} ${end}`);
        assert.equal(run.run_count, 1);
        const history = await stage.client.flowRuns.list({ flow_runs: { id: { any_: [id] } } });
        assert.equal(history.length, 1);
      }
      await waitUntil(async () => engine === undefined || (await listContainers(engine, [stage.label])).length === 0, {
        timeoutMs: 30_000,
        what: "no container left",
      });
    });
  });
}

function compareLines(one: string, two: string): number {
  const number = (line: string) => (line === "the end" ? LINES : Number(line.replace("line ", "")));
  return number(one) - number(two);
}

describeAdoption("docker", missingPart(machine.docker, machine.baseImage));
describeAdoption("process", false);
