import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { v7 as uuidv7 } from "uuid";
import { loadMachine } from "../../../scripts/setup/machine.ts";
import { type Engine, findEngine } from "../../../src/docker/engine.ts";
import { readEngineSettings } from "../../../src/docker/engine-address.ts";
import type { OutputLine, OutputPosition } from "../../../src/docker/logs.ts";
import type { JsonObject } from "../../../src/prefect-api/primitives.ts";
import type { Exit, FoundRun, Infrastructure, StartedRun } from "../../../worker/infrastructure/contract.ts";
import { createDockerInfrastructure } from "../../../worker/infrastructure/docker.ts";
import { createFakeInfrastructure, createFakeMachine } from "../../../worker/infrastructure/fake.ts";
import { createProcessInfrastructure } from "../../../worker/infrastructure/process.ts";
import { exampleJob } from "../jobs/job-examples.ts";

const { docker, baseImage } = await loadMachine();
const never = new AbortController().signal;

/** How each infrastructure is asked for the same behaviour. */
interface Place {
  /** A worker that has just been started, on the same machine. */
  open(): Infrastructure;
  jobs: {
    /** Prints `out 1` … and ends with the exit code. */
    prints: (lines: number, exitCode: number) => JsonObject;
    /** Prints `out 1`, then waits until it is stopped. */
    hangs: JsonObject;
    /** Cannot be started. */
    impossible: JsonObject;
  };
  impossibleCode: string;
  close(): Promise<void>;
}

/** The promises of `infrastructure/contract.ts`, held by each of them. */
function describeInfrastructure(name: string, skip: string | false, openPlace: () => Promise<Place>): void {
  describe(`the infrastructure "${name}"`, { skip }, () => {
    const workPoolId = randomUUID();
    let place: Place;
    before(async () => {
      place = await openPlace();
    });
    after(async () => {
      for (const { run } of (await place?.open().listRuns(workPoolId)) ?? []) {
        await run.remove();
      }
      await place?.close();
    });

    const start = (jobVariables: JsonObject, pool = workPoolId): Promise<StartedRun> => {
      const attempt = uuidv7();
      const job = exampleJob(jobVariables, {
        type: name === "process" ? "process" : "docker",
        attempt,
        workPoolId: pool,
      });
      return place.open().start(job, () => undefined, never);
    };
    const find = async (run: StartedRun): Promise<FoundRun | undefined> =>
      (await place.open().listRuns(workPoolId)).find((found) => found.run.key === run.key);

    test("output comes from its first line, then the exit code", async () => {
      const run = await start(place.jobs.prints(3, 3));

      const [lines, exit] = await Promise.all([readAll(run), run.waitForEnd(never)]);

      assert.deepEqual(textsOf(lines), ["out 1", "out 2", "out 3"]);
      assert.equal(exitCodeOf(exit), 3);
      await run.remove();
    });

    test("output is read again from behind any line, with the same places, also by the next worker", async () => {
      const run = await start(place.jobs.prints(5, 0));
      await run.waitForEnd(never);
      const all = await readAll(run);

      const found = await find(run);
      assert.ok(found !== undefined);
      for (const [index, line] of all.entries()) {
        const rest = await readAll(found.run, { [line.stream]: line.place });
        assert.deepEqual(
          rest.map(({ place: at }) => at),
          all.slice(index + 1).map(({ place: at }) => at),
        );
      }
      await run.remove();
    });

    test("the next worker finds a running run, with all its facts, and takes it to its end", async () => {
      const run = await start(place.jobs.hangs);

      const found = await find(run);
      assert.ok(found !== undefined);
      assert.deepEqual(found.run.facts, run.facts);
      assert.deepEqual([found.status, found.run.pid, found.run.what], ["running", run.pid, run.what]);
      const ending = found.run.waitForEnd(never);
      const reading = readAll(found.run);
      await waitForFirstLine(run);
      await found.run.stop(1);

      assert.notEqual(exitCodeOf(await ending), 0);
      assert.deepEqual(textsOf(await reading), ["out 1"]);
      await found.run.remove();
      assert.equal(await find(run), undefined);
    });

    test("the next worker finds a run that ended meanwhile, with its exit code and output", async () => {
      const run = await start(place.jobs.prints(2, 7));
      await run.waitForEnd(never);

      const found = await find(run);

      assert.equal(found?.status, "ended");
      assert.equal(exitCodeOf(await found.run.waitForEnd(never)), 7);
      assert.deepEqual(textsOf(await readAll(found.run)), ["out 1", "out 2"]);
      assert.ok(Math.abs((found.endedAt?.getTime() ?? 0) - Date.now()) < 60_000);
      await found.run.remove();
    });

    test("runs of another pool are not found", async () => {
      const run = await start(place.jobs.prints(1, 0), randomUUID());

      assert.equal(await find(run), undefined);
      await run.waitForEnd(never);
      await run.remove();
    });

    test("stopping, removing and waiting may be repeated, also when nothing is left", async () => {
      const run = await start(place.jobs.hangs);

      await run.stop(1);
      await run.stop(1);
      const exit = await run.waitForEnd(never);
      await run.remove();
      await run.remove();
      await run.stop(1);

      assert.notEqual(exitCodeOf(exit), 0);
      assert.equal(await find(run), undefined);
    });

    test("a run that is removed under its watcher has an end", async () => {
      const run = await start(place.jobs.hangs);
      await waitForFirstLine(run);
      const watched = Promise.all([readAll(run), run.waitForEnd(never)]);
      const other = await find(run);

      await other?.run.remove();

      const [, exit] = await watched;
      assert.ok(exit.kind === "vanished" || (exit.kind === "exited" && exit.exitCode !== 0), JSON.stringify(exit));
    });

    test("whoever stops watching leaves the run alone", async () => {
      const run = await start(place.jobs.hangs);
      const leaving = new AbortController();
      const watching = run.waitForEnd(leaving.signal);
      const reading = readAll(run, {}, leaving.signal);
      await waitForFirstLine(run);

      const stopped = [watching, reading].map((promise) => assert.rejects(promise, { name: "AbortError" }));

      leaving.abort();

      await Promise.all(stopped);
      assert.equal((await find(run))?.status, "running");
      await run.remove();
    });

    test("what cannot be started leaves nothing behind", async () => {
      const before = (await place.open().listRuns(workPoolId)).length;

      await assert.rejects(start(place.jobs.impossible), { code: place.impossibleCode });

      assert.equal((await place.open().listRuns(workPoolId)).length, before);
    });
  });
}

async function readAll(run: StartedRun, from: OutputPosition = {}, signal = never): Promise<OutputLine[]> {
  const lines: OutputLine[] = [];
  for await (const line of run.readOutput(from, signal)) {
    lines.push(line);
  }
  return lines;
}

async function waitForFirstLine(run: StartedRun): Promise<void> {
  for await (const _ of run.readOutput({}, AbortSignal.timeout(20_000))) {
    return;
  }
}

function textsOf(lines: readonly OutputLine[]): string[] {
  return lines.map(({ text }) => text);
}

function exitCodeOf(exit: Exit): number | undefined {
  return exit.kind === "exited" ? exit.exitCode : undefined;
}

const SHELL_JOBS: Place["jobs"] = {
  prints: (lines, exitCode) => ({
    command: `sh -c 'i=0; while [ $i -lt ${lines} ]; do i=$((i+1)); echo out $i; done; exit ${exitCode}'`,
  }),
  hangs: { command: "sh -c 'echo out 1; sleep 600 & wait'" },
  impossible: { command: "no-such-program" },
};

describeInfrastructure("fake", false, async () => {
  const machine = createFakeMachine();
  const client = { flowRuns: { setState: () => Promise.reject(new Error("no plane")) } };
  const lines = (count: number) => Array.from({ length: count }, (_, index) => `out ${index + 1}`);
  return {
    open: () => createFakeInfrastructure(client, machine),
    jobs: {
      prints: (count, exit_code) => ({ fake: { reports: "nothing", lines: lines(count), exit_code } }),
      hangs: { fake: { reports: "hangs", lines: lines(1) } },
      impossible: { fake: { start: "refused" } },
    },
    impossibleCode: "IMAGE_NOT_FOUND",
    close: () => Promise.resolve(),
  };
});

describeInfrastructure("process", false, async () => {
  const folder = await mkdtemp(join(tmpdir(), "flowyard-process-"));
  const environment = { PATH: "/usr/local/bin:/usr/bin:/bin" };
  return {
    open: () => createProcessInfrastructure({ python: "python3", environment, folder }),
    jobs: SHELL_JOBS,
    impossibleCode: "PROCESS_REFUSED",
    close: () => rm(folder, { recursive: true, force: true }),
  };
});

const missing = [docker, baseImage].find((part) => !part.available);
describeInfrastructure("docker", missing?.available === false ? missing.reason : false, async () => {
  const image = baseImage.available ? baseImage.tag : "";
  const host = docker.available ? docker.host : "";
  const engine: Engine = await findEngine(readEngineSettings({ HOME: "/nonexistent", DOCKER_HOST: host }));
  const common = { image, image_pull_policy: "Never", name: `flowyard-test-${randomUUID().slice(0, 8)}` };
  return {
    open: () => createDockerInfrastructure(engine, "/srv"),
    jobs: {
      prints: (lines, exitCode) => ({ ...common, ...SHELL_JOBS.prints(lines, exitCode) }),
      hangs: { ...common, ...SHELL_JOBS.hangs },
      impossible: { ...common, container_create_kwargs: { entrypoint: "/no/such/program" } },
    },
    impossibleCode: "CONTAINER_REFUSED",
    close: () => Promise.resolve(),
  };
});
