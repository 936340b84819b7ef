import assert from "node:assert/strict";
import { access, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { loadMachine } from "../../scripts/setup/machine.ts";
import { listContainers, removeContainer } from "../../src/docker/containers.ts";
import { type Engine, findEngine } from "../../src/docker/engine.ts";
import { readEngineSettings } from "../../src/docker/engine-address.ts";
import type { JsonObject } from "../../src/prefect-api/primitives.ts";
import { isTerminal } from "../../src/prefect-api/states.ts";
import { waitUntil } from "../support/wait-until.ts";
import { missingPart, Stage } from "./worker-kill/stage.ts";

const FLOWS = `import time
from pathlib import Path
from prefect import flow, pause_flow_run, suspend_flow_run, task

@task
def step(number: int):
    print(f"step {number}")
    return number

@flow(log_prints=True)
def end(how: str, folder: str):
    step(1)
    step(2)
    if how == "fails":
        raise ValueError("boom")
    if how == "exits":
        raise SystemExit(3)
    if how == "is cancelled":
        try:
            print("waiting")
            time.sleep(600)
        finally:
            Path(folder).touch()

@flow(log_prints=True, retries=1, retry_delay_seconds=0)
def retry(how: str, folder: str):
    mark = Path(folder)
    if not mark.exists():
        mark.touch()
        raise ValueError("first")
    print("second")

@flow(log_prints=True)
def pause(how: str, folder: str):
    print("before")
    pause_flow_run(timeout=600, poll_interval=1)
    print("after")

@flow(log_prints=True)
def suspend(how: str, folder: str):
    print("on the way")
    suspend_flow_run(timeout=600)
    print("after")

def tell(flow, flow_run, state):
    Path(flow_run.parameters["folder"]).touch()

@flow(log_prints=True, on_cancellation=[tell])
def hooked(how: str, folder: str):
    print("waiting")
    time.sleep(600)
`;

const GRACE_SECONDS = 60;
/** Three interpreters start one after the other, on a machine that may be busy. */
const PYTHON_START_MS = 180_000;

/** Most of a test is waiting, for its interpreters and for the plane. */
const RUN_TOGETHER = 3;

const machine = await loadMachine();

interface Place {
  type: "docker" | "process";
  /** What the pool's runs need, besides what a stage gives them. */
  environment: Record<string, string>;
  missing: string | false;
}

const PLACES: Record<string, Place> = {
  "in containers": { type: "docker", environment: {}, missing: missingPart(machine.docker, machine.baseImage) },
  "in processes of the oldest supported Prefect": {
    type: "process",
    environment: machine.oldestPrefect.available ? { FLOWYARD_WORKER_PYTHON: machine.oldestPrefect.python } : {},
    missing: missingPart(machine.oldestPrefect),
  },
};

for (const [where, place] of Object.entries(PLACES)) {
  const options = { skip: place.missing, concurrency: RUN_TOGETHER };
  describe(`the engine run directly and by Prefect's runner, ${where}`, options, () => compareEngines(place));
}

function compareEngines({ type, environment }: Place): void {
  let stage: Stage;
  let engine: Engine | undefined;
  const deployments: Record<string, string> = {};

  before(async () => {
    if (type === "docker" && machine.docker.available) {
      engine = await findEngine(readEngineSettings({ HOME: "/nonexistent", DOCKER_HOST: machine.docker.host }));
    }
    stage = await Stage.open(type, machine);
    await writeFile(join(stage.folder, "ends.py"), FLOWS);
    for (const name of ["end", "retry", "pause", "suspend", "hooked"]) {
      const flow = await stage.client.flows.create({ name });
      const { value } = await stage.client.deployments.create({
        name,
        flow_id: flow.id,
        work_pool_name: type,
        entrypoint: `ends.py:${name}`,
        pull_steps: [{ "prefect.deployments.steps.set_working_directory": { directory: stage.folder } }],
        job_variables: stage.jobVariables,
      });
      deployments[name] = value.id;
    }
    await stage.startWorker({ PREFECT_HOME: join(stage.folder, "prefect"), ...environment });
  });
  after(async () => {
    if (engine !== undefined) {
      for (const { id } of await listContainers(engine, [stage.label])) {
        await removeContainer(engine, id);
      }
    }
    await stage?.close();
  });

  const markOf = (how: string, mode: string) => join(stage.folder, `${how.replaceAll(" ", "-")}-${mode}`);

  async function startRun(name: string, how: string, mode: string): Promise<string> {
    const job_variables: JsonObject = { engine: mode, cancel_grace_seconds: GRACE_SECONDS };
    const parameters = { how, folder: markOf(how, mode) };
    const { value } = await stage.client.deployments.createFlowRun(deployments[name] ?? "", {
      parameters,
      job_variables,
    });
    return value.id;
  }

  async function waitForLine(id: string, line: string): Promise<void> {
    let messages: string[] = [];
    const isThere = async () => {
      const { state } = await stage.client.flowRuns.get(id);
      messages = (await stage.client.logs.list({ logs: { flow_run_id: { any_: [id] } } })).map(
        ({ message }) => message,
      );
      const isSaid = messages.includes(line);
      assert.ok(
        isSaid || state == null || !isTerminal(state.type),
        `it is ${state?.name} and never said "${line}"\n${evidence()}`,
      );
      return isSaid;
    };
    const evidence = () => `only these are there:\n${messages.join("\n")}\n${stage.tellAll()}`;
    await waitUntil(isThere, { timeoutMs: PYTHON_START_MS, what: line, evidence });
  }

  async function waitForEnd(id: string): Promise<void> {
    await waitUntil(async () => !(await hasInfrastructure(id)), {
      timeoutMs: PYTHON_START_MS,
      what: `what ran ${id} to go`,
    });
  }

  async function hasInfrastructure(id: string): Promise<boolean> {
    if (engine !== undefined) {
      return (await listContainers(engine, [`io.flowyard.flow-run-id=${id}`])).length > 0;
    }
    const folder = join(stage.folder, "worker", "processes");
    const names = await readdir(folder).catch(() => []);
    const records = await Promise.all(
      names.map((name) => readFile(join(folder, name, "run.json"), "utf8").catch(() => "")),
    );
    return records.some((record) => record.includes(id));
  }

  /** What can be compared: names and ids of the run are its own. */
  async function tell(id: string): Promise<unknown> {
    const { client } = stage;
    const run = await client.flowRuns.get(id);
    const anonymous = (text: string) =>
      text
        .replaceAll(run.name, "NAME")
        .replaceAll(run.id, "ID")
        .replace(/step-\w+/, "step-x");
    const taskRuns = await client.flowRuns.listTaskRuns({ task_runs: { flow_run_id: { any_: [id] } } });
    const logs = await client.logs.list({ logs: { flow_run_id: { any_: [id] } } });
    const events = await client.events.list({ resource: { id: [`prefect.flow-run.${id}`] } });
    return {
      state: [run.state_type, run.state_name, run.run_count],
      tasks: taskRuns.map(({ state_type, task_key }) => `${task_key.replace(/-.*/, "")} ${state_type}`).toSorted(),
      logs: logs
        .filter(({ name, level }) => /^prefect\.(flow|task)_runs$/.test(name) && level >= 20)
        .map(({ message }) => anonymous(message.split("\n")[0] ?? ""))
        // For people at a terminal: the engine sends it to no plane.
        .filter((message) => !message.startsWith("View at "))
        .toSorted(),
      // The worker's own tell of starts, and may come later.
      events: events
        .map(({ event }) => event)
        .filter((event) => event.startsWith("prefect."))
        .toSorted(),
    };
  }

  const cases: [string, string, string][] = [
    ["end", "completes", "COMPLETED"],
    ["end", "fails", "FAILED"],
    ["end", "exits", "CRASHED"],
    ["retry", "is retried", "COMPLETED"],
  ];
  for (const [name, how, type] of cases) {
    test(`a run that ${how} looks the same`, async () => {
      const [direct, runner] = await Promise.all([startRun(name, how, "direct"), startRun(name, how, "runner")]);
      for (const id of [direct, runner]) {
        await stage.waitForState(id, type, PYTHON_START_MS);
        await waitForEnd(id);
      }

      assert.deepEqual(await tell(direct), await tell(runner));
    });
  }

  test("a cancelled run looks the same, its clean-up is run, and it is over within its grace", async () => {
    const [direct, runner] = await Promise.all([
      startRun("end", "is cancelled", "direct"),
      startRun("end", "is cancelled", "runner"),
    ]);
    const seconds: number[] = [];
    for (const id of [direct, runner]) {
      await waitForLine(id, "waiting");
      const startedAt = performance.now();
      await stage.client.flowRuns.setState(id, { state: { type: "CANCELLING" } });
      await stage.waitForState(id, "CANCELLED", PYTHON_START_MS);
      seconds.push((performance.now() - startedAt) / 1000);
      await waitForEnd(id);
    }

    assert.deepEqual(await tell(direct), await tell(runner));
    await access(markOf("is cancelled", "direct"));
    await access(markOf("is cancelled", "runner"));
    assert.ok((seconds[0] ?? Infinity) < 2 + GRACE_SECONDS, `${seconds.join(" s, ")} s`);
  });

  for (const [name, said] of [
    ["pause", "it goes on in its process"],
    ["suspend", "it is started anew"],
  ] as const) {
    test(`a run that is resumed after ${name} looks the same: ${said}`, async () => {
      const ids = await Promise.all([startRun(name, "resumes", "direct"), startRun(name, "resumes", "runner")]);
      for (const id of ids) {
        await stage.waitForState(id, "PAUSED", PYTHON_START_MS);
        if (name === "suspend") {
          await waitForEnd(id);
        }
        const answer = await fetch(`${stage.plane.apiUrl}/flow_runs/${id}/resume`, { method: "POST" });
        assert.equal(answer.status, 201, await answer.text());
      }
      for (const id of ids) {
        await stage.waitForState(id, "COMPLETED", PYTHON_START_MS);
        await waitForEnd(id);
      }

      const [direct = "", runner = ""] = ids;
      assert.deepEqual(await tell(direct), await tell(runner));
    });
  }

  test("a flow with hooks gets the runner by itself, and its hook is run", async () => {
    const id = await startRun("hooked", "has hooks", "auto");
    await waitForLine(id, "waiting");

    await stage.client.flowRuns.setState(id, { state: { type: "CANCELLING" } });
    await stage.waitForState(id, "CANCELLED", PYTHON_START_MS);

    await waitForEnd(id);
    await access(markOf("has hooks", "auto"));
  });
}
