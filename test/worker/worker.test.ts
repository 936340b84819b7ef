import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createPrefectClient, type PrefectClient } from "../../src/client/prefect-client.ts";
import type { ReceivedFlowRun } from "../../src/prefect-api/flow-runs.ts";
import type { JsonObject } from "../../src/prefect-api/primitives.ts";
import { systemClock } from "../../src/shared/clock.ts";
import { TransientError } from "../../src/shared/errors.ts";
import { silentLogger } from "../../src/shared/logger.ts";
import { createFakeInfrastructure, createFakeMachine } from "../../worker/infrastructure/fake.ts";
import { createLogSender } from "../../worker/logs/log-sender.ts";
import { runWorker, type WorkerDependencies } from "../../worker/worker.ts";
import { openWorkerHome } from "../../worker/worker-home.ts";
import { type PlaneProcess, startPlane } from "../support/plane-process.ts";
import { waitUntil } from "../support/wait-until.ts";

let plane: PlaneProcess;
let client: PrefectClient;
let flowId = "";
let homeFolder = "";
const machines: ReturnType<typeof createFakeMachine>[] = [];
let pools = 0;

before(async () => {
  plane = await startPlane();
  homeFolder = await mkdtemp(join(tmpdir(), "flowyard-home-"));
  client = createPrefectClient({ apiUrl: plane.apiUrl });
  flowId = (await client.flows.create({ name: "etl" })).id;
});
after(async () => {
  for (const container of machines.flatMap(({ containers }) => [...containers.values()])) {
    container.stop.abort();
  }
  await plane[Symbol.asyncDispose]();
  await rm(homeFolder, { recursive: true });
});

const TEMPLATE = {
  job_configuration: { fake: "{{ fake }}", env: "{{ env }}", name: "{{ name }}" },
  variables: { type: "object", properties: { fake: { type: "object" }, env: { type: "object" }, name: {} } },
};

interface TestWorker extends AsyncDisposable {
  pool: string;
  infrastructure: ReturnType<typeof createFakeInfrastructure>;
  output: string[];
  stop: () => void;
  /** Lets go of everything at once, as a killed worker does. */
  die: () => Promise<void>;
  ended: Promise<void>;
}

async function createPool(): Promise<string> {
  pools += 1;
  const name = `pool-${pools}`;
  await client.workPools.create({ name, type: "process", base_job_template: TEMPLATE });
  return name;
}

/** A worker in this process, on the real plane, with an infrastructure that needs no machine. */
async function startTestWorker(
  pool: string,
  settings: Partial<WorkerDependencies["settings"]> = {},
  { machine = createFakeMachine() }: { machine?: ReturnType<typeof createFakeMachine> } = {},
): Promise<TestWorker> {
  machines.push(machine);
  const infrastructure = createFakeInfrastructure(client, machine);
  const home = await openWorkerHome(homeFolder);
  const dying = new AbortController();
  const output: string[] = [];
  const stop = new AbortController();
  const ended = runWorker(
    {
      client,
      infrastructure,
      home,
      logs: createLogSender(client),
      settings: {
        pool,
        name: "w1",
        type: undefined,
        queues: [],
        limit: Number.POSITIVE_INFINITY,
        prefetchSeconds: 0,
        runOnce: false,
        createPoolIfNotFound: true,
        baseJobTemplate: TEMPLATE,
        pollSeconds: 0.05,
        heartbeatSeconds: 30,
        cancelGraceSeconds: 0,
        onStop: "finish",
        drainSeconds: Number.POSITIVE_INFINITY,
        keepFailedSeconds: 0,
        startingLimit: 8,
        diskHighPercent: 100,
        allow: undefined,
        logLimitBytes: 1_000_000,
        environment: { PREFECT_API_URL: plane.apiUrl },
        ...settings,
      },
      logger: silentLogger,
      output: { write: (name, line) => output.push(`${name} | ${line}`) },
      clock: systemClock,
      signal: dying.signal,
    },
    stop.signal,
  );
  return {
    pool,
    infrastructure,
    output,
    stop: () => stop.abort(),
    die: async () => {
      dying.abort();
      stop.abort();
      await ended;
      await home.close();
    },
    ended,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await ended;
      await home.close();
    },
  };
}

async function createRun(pool: string, fake: JsonObject = {}): Promise<ReceivedFlowRun> {
  const created = await client.flowRuns.create({
    flow_id: flowId,
    work_pool_name: pool,
    state: { type: "SCHEDULED" },
    job_variables: { fake },
  });
  return created.value;
}

async function listOutput(id: string): Promise<string[]> {
  return (await client.logs.list({ logs: { flow_run_id: { any_: [id] } } })).map(({ message }) => message);
}

async function waitForState(id: string, type: string): Promise<ReceivedFlowRun> {
  let run = await client.flowRuns.get(id);
  await waitUntil(
    async () => {
      run = await client.flowRuns.get(id);
      return run.state_type === type;
    },
    { timeoutMs: 15_000, pollMs: 25, what: `${type} of ${run.name}`, evidence: () => JSON.stringify(run.state) },
  );
  return run;
}

test("a run is taken, started once and ends with what its engine reports", async () => {
  const pool = await createPool();
  await using worker = await startTestWorker(pool);
  const { id, name } = await createRun(pool, { lines: ["hello"] });

  const ended = await waitForState(id, "COMPLETED");

  assert.deepEqual(worker.infrastructure.started, [id]);
  assert.deepEqual(worker.output, [`${name} | hello`]);
  assert.equal(ended.run_count, 1);
  assert.equal(ended.labels?.["prefect.worker.name"], "w1");
  assert.equal(ended.labels?.["prefect.worker.type"], "fake");
  assert.equal(ended.labels?.["prefect.work-pool.name"], pool);
  await waitUntil(async () => (await client.flowRuns.get(id)).infrastructure_pid === `fake:${id}`, {
    timeoutMs: 5000,
    what: "the infrastructure_pid",
  });
});

test("the worker is online and its pool ready with the first heartbeat", async () => {
  const pool = await createPool();
  await using _worker = await startTestWorker(pool);

  await waitUntil(async () => (await client.workPools.get(pool)).status === "READY", {
    timeoutMs: 5000,
    what: "READY",
  });

  const [found] = await client.workPools.listWorkers(pool);
  assert.equal(found?.name, "w1");
  assert.equal(found?.status, "ONLINE");
});

test("runs that cannot be started are CRASHED with the reason, and the worker goes on", async () => {
  const pool = await createPool();
  await using _worker = await startTestWorker(pool);
  const refused = await createRun(pool, { start: "refused" });
  const lost = await createRun(pool, { start: "lost" });
  const broken = await createRun(pool, { start: "broken" });
  const invalid = await createRun(pool, { seconds: "soon" });

  const messages = await Promise.all(
    [refused, lost, broken, invalid].map(async ({ id }) => (await waitForState(id, "CRASHED")).state?.message ?? ""),
  );

  assert.equal(messages[0], "The run could not be started. IMAGE_NOT_FOUND: There is no such fake image. Make one.");
  assert.equal(messages[1], "The run could not be started. DOCKER_UNREACHABLE: The fake engine went away.");
  assert.equal(messages[2], "The run could not be started. a bug in the fake infrastructure.");
  assert.match(messages[3] ?? "", /JOB_INVALID: .*"fake\.seconds" is "soon"/);
  const next = await createRun(pool);
  await waitForState(next.id, "COMPLETED");
});

test("an end without a report is CRASHED with exit code and last lines", async () => {
  const pool = await createPool();
  await using _worker = await startTestWorker(pool);
  const never = await createRun(pool, { reports: "nothing", exit_code: 127, lines: ["exec: prefect: not found"] });
  const midway = await createRun(pool, { reports: "running", exit_code: 1 });
  const hungry = await createRun(pool, { reports: "running", exit_code: 137, out_of_memory: true });
  const removed = await createRun(pool, { reports: "running", vanishes: true });

  const message = async (id: string) => (await waitForState(id, "CRASHED")).state?.message ?? "";

  assert.match(await message(never.id), /exit code 127: .*Its last output:\n {4}exec: prefect: not found/s);
  assert.match(await message(midway.id), /exit code 1\.$/);
  assert.match(await message(hungry.id), /ran out of memory/);
  assert.match(await message(removed.id), /was removed by somebody/);
});

test("a final state stays, whatever the exit code", async () => {
  const pool = await createPool();
  await using worker = await startTestWorker(pool);
  const { id } = await createRun(pool, { reports: "failed", exit_code: 1 });
  await waitForState(id, "FAILED");

  worker.stop();
  await worker.ended;

  assert.equal((await client.flowRuns.get(id)).state_type, "FAILED");
});

test("a cancelled run that does not react is stopped after the grace and ends CANCELLED", async () => {
  const pool = await createPool();
  await using _worker = await startTestWorker(pool);
  const { id } = await createRun(pool, { reports: "hangs" });
  await waitForState(id, "RUNNING");

  await client.flowRuns.setState(id, { state: { type: "CANCELLING" } });

  assert.match((await waitForState(id, "CANCELLED")).state?.message ?? "", /^Cancelled; fake run .* has ended/);
});

test("never more runs than the limit are in flight", async () => {
  const pool = await createPool();
  await using worker = await startTestWorker(pool, { limit: 2 });

  const runs = await Promise.all(Array.from({ length: 6 }, () => createRun(pool, { seconds: 0.1 })));
  await Promise.all(runs.map(({ id }) => waitForState(id, "COMPLETED")));

  assert.equal(worker.infrastructure.mostAtOnce, 2);
});

test("a run that waits for room is begun when another one has ended, and not with the next poll", async () => {
  const pool = await createPool();
  await using _worker = await startTestWorker(pool, { limit: 1, pollSeconds: 600 });

  const runs = await Promise.all(Array.from({ length: 3 }, () => createRun(pool, { seconds: 0.1 })));

  await Promise.all(runs.map(({ id }) => waitForState(id, "COMPLETED")));
});

test("a worker without room stops when it is told to", async () => {
  const pool = await createPool();
  await using worker = await startTestWorker(pool, { limit: 1, pollSeconds: 600 });
  const running = await createRun(pool, { seconds: 0.5 });
  await waitForState(running.id, "RUNNING");

  worker.stop();
  await worker.ended;

  assert.equal((await client.flowRuns.get(running.id)).state_type, "COMPLETED");
});

test("two workers of a pool start each run once", async () => {
  const pool = await createPool();
  await using one = await startTestWorker(pool, { name: "one" });
  await using two = await startTestWorker(pool, { name: "two" });

  const runs = await Promise.all(Array.from({ length: 20 }, () => createRun(pool)));
  await Promise.all(runs.map(({ id }) => waitForState(id, "COMPLETED")));

  const started = [...one.infrastructure.started, ...two.infrastructure.started];
  assert.deepEqual(started.sort(), runs.map(({ id }) => id).sort());
});

test("a stopped worker takes nothing more and returns when its runs have ended", async () => {
  const pool = await createPool();
  await using worker = await startTestWorker(pool);
  const running = await createRun(pool, { seconds: 0.5 });
  await waitForState(running.id, "RUNNING");

  worker.stop();
  const late = await createRun(pool);
  await worker.ended;

  assert.equal((await client.flowRuns.get(running.id)).state_type, "COMPLETED");
  assert.equal((await client.flowRuns.get(late.id)).state_type, "SCHEDULED");
});

test("with --run-once what is due is run, and the worker ends by itself", async () => {
  const pool = await createPool();
  const { id } = await createRun(pool);

  await using worker = await startTestWorker(pool, { runOnce: true });
  await worker.ended;

  assert.equal((await client.flowRuns.get(id)).state_type, "COMPLETED");
});

test("while the infrastructure is away runs wait at the plane, and start when it is back", async () => {
  const pool = await createPool();
  await using worker = await startTestWorker(pool);
  worker.infrastructure.notReady = new TransientError("DOCKER_UNREACHABLE", "away");
  const { id } = await createRun(pool);
  await waitUntil(async () => (await client.workPools.get(pool)).status === "READY", {
    timeoutMs: 5000,
    what: "READY",
  });
  assert.equal((await client.flowRuns.get(id)).state_type, "SCHEDULED");

  worker.infrastructure.notReady = undefined;

  await waitForState(id, "COMPLETED");
});

test("a run that is claimed while the infrastructure goes away is put back at once, and not crashed", async () => {
  const pool = await createPool();
  await using worker = await startTestWorker(pool);
  // Its sign of life comes before its first request: only the latter is what the engine's going away overtakes.
  const isWaiting = async () =>
    (await client.workQueues.listOfPool(pool)).some(({ last_polled }) => Boolean(last_polled));
  await waitUntil(isWaiting, { timeoutMs: 5000, what: "the worker's request for work" });
  worker.infrastructure.notReady = new TransientError("DOCKER_UNREACHABLE", "the engine is away");

  const { id } = await createRun(pool);
  const isPutBack = async () => /the engine is away/.test((await client.flowRuns.get(id)).state?.message ?? "");
  await waitUntil(isPutBack, { timeoutMs: 5000, what: "the run to be put back" });

  assert.equal((await client.flowRuns.get(id)).state_type, "SCHEDULED");
  assert.deepEqual(worker.infrastructure.started, []);
  worker.infrastructure.notReady = undefined;
  await waitForState(id, "COMPLETED");
});

test("a pool that is deleted under the worker is created again", async () => {
  const pool = await createPool();
  await using _worker = await startTestWorker(pool, { heartbeatSeconds: 0.1, type: "process" });
  await waitUntil(async () => (await client.workPools.get(pool)).status === "READY", {
    timeoutMs: 5000,
    what: "READY",
  });

  await client.workPools.delete(pool);
  await waitUntil(async () => (await client.workPools.find(pool)) !== undefined, {
    timeoutMs: 10_000,
    what: "the pool",
  });

  const { id } = await createRun(pool);
  await waitForState(id, "COMPLETED");
});

test("a run whose worker died is adopted, and its output stored from the first line to the last, each once", async () => {
  const pool = await createPool();
  const machine = createFakeMachine();
  const first = await startTestWorker(pool, {}, { machine });
  const { id } = await createRun(pool, { lines: ["one", "two"], last_lines: ["three"], seconds: 1.5 });
  await waitUntil(async () => (await listOutput(id)).length === 2, { timeoutMs: 5000, what: "two lines", pollMs: 20 });

  await first.die();
  await using second = await startTestWorker(pool, { name: "w2" }, { machine });

  await waitForState(id, "COMPLETED");
  await waitUntil(async () => machine.containers.size === 0, { timeoutMs: 5000, what: "nothing left" });
  assert.deepEqual(await listOutput(id), ["one", "two", "three"]);
  assert.deepEqual(second.infrastructure.started, []);
});

test("the runs of a worker that lives are left alone by another one on its machine", async () => {
  const pool = await createPool();
  const machine = createFakeMachine();
  await using _first = await startTestWorker(pool, { name: "w1" }, { machine });
  const { id } = await createRun(pool, { reports: "hangs", lines: ["one"] });
  await waitForState(id, "RUNNING");

  await using second = await startTestWorker(pool, { name: "w2" }, { machine });
  const { id: other } = await createRun(pool);
  await waitForState(other, "COMPLETED");

  assert.deepEqual(
    second.output.filter((line) => line.endsWith("| one")),
    [],
  );
  await client.flowRuns.setState(id, { state: { type: "CANCELLING" } });
  await waitForState(id, "CANCELLED");
});

test("a run that was claimed and not started when its worker died is given back and run", async () => {
  const pool = await createPool();
  const first = await startTestWorker(pool);
  first.infrastructure.startsHang = true;
  const { id } = await createRun(pool);
  await waitUntil(async () => (await client.flowRuns.get(id)).state_name === "Submitting", {
    timeoutMs: 5000,
    what: "Submitting",
    pollMs: 20,
  });
  await first.die();

  await using second = await startTestWorker(pool, { name: "w2" });

  await waitForState(id, "COMPLETED");
  assert.deepEqual(second.infrastructure.started, [id]);
});

test("a run that is cancelled while it is being started ends at once", async () => {
  const pool = await createPool();
  await using worker = await startTestWorker(pool, { cancelGraceSeconds: 30 });
  worker.infrastructure.startsHang = true;
  const { id } = await createRun(pool);
  await waitUntil(async () => (await client.flowRuns.get(id)).state_name === "Submitting", {
    timeoutMs: 5000,
    what: "Submitting",
    pollMs: 20,
  });
  const startedAt = Date.now();

  await client.flowRuns.setState(id, { state: { type: "CANCELLING" } });
  await waitForState(id, "CANCELLED");
  worker.stop();
  await worker.ended;

  assert.ok(Date.now() - startedAt < 3000, `${Date.now() - startedAt} ms`);
});

test("told to leave, a worker ends at once and its run is adopted by the next", async () => {
  const pool = await createPool();
  const machine = createFakeMachine();
  const first = await startTestWorker(pool, { onStop: "leave" }, { machine });
  const { id } = await createRun(pool, { seconds: 1, last_lines: ["done"] });
  await waitForState(id, "RUNNING");

  first.stop();
  await first.ended;
  assert.equal((await client.flowRuns.get(id)).state_type, "RUNNING");
  await first[Symbol.asyncDispose]();
  await using _second = await startTestWorker(pool, { name: "w2" }, { machine });

  await waitForState(id, "COMPLETED");
  await waitUntil(async () => (await listOutput(id)).includes("done"), { timeoutMs: 5000, what: "its last line" });
});

test("told to cancel, a worker cancels its runs and waits for their end", async () => {
  const pool = await createPool();
  await using worker = await startTestWorker(pool, { onStop: "cancel" });
  const { id } = await createRun(pool, { reports: "hangs" });
  await waitForState(id, "RUNNING");

  worker.stop();
  await worker.ended;

  assert.equal((await client.flowRuns.get(id)).state_type, "CANCELLED");
});

test("when the time to drain is up the rest is left to be adopted", async () => {
  const pool = await createPool();
  const machine = createFakeMachine();
  const worker = await startTestWorker(pool, { drainSeconds: 0.2 }, { machine });
  const { id } = await createRun(pool, { reports: "hangs" });
  await waitForState(id, "RUNNING");

  worker.stop();
  await worker.ended;
  await worker[Symbol.asyncDispose]();

  assert.equal((await client.flowRuns.get(id)).state_type, "RUNNING");
  assert.equal(machine.containers.size, 1);
});

test("what failed is kept for a while when that is wanted, and then removed", async () => {
  const pool = await createPool();
  const machine = createFakeMachine();
  const first = await startTestWorker(pool, { keepFailedSeconds: 3600 }, { machine });
  const failed = await createRun(pool, { reports: "failed" });
  const completed = await createRun(pool);
  await waitForState(failed.id, "FAILED");
  await waitForState(completed.id, "COMPLETED");
  first.stop();
  await first[Symbol.asyncDispose]();
  assert.deepEqual(
    [...machine.containers.values()].map(({ facts }) => facts.flow_run_id),
    [failed.id],
  );

  await using _second = await startTestWorker(pool, { name: "w2", keepFailedSeconds: 0 }, { machine });

  await waitUntil(async () => machine.containers.size === 0, { timeoutMs: 5000, what: "nothing kept" });
});

test("more output than the limit is not stored, and the log says how much", async () => {
  const pool = await createPool();
  await using _worker = await startTestWorker(pool, { logLimitBytes: 1000 });
  const lines = Array.from({ length: 20 }, (_, index) => `${index} ${"x".repeat(200)}`);
  const { id } = await createRun(pool, { lines });
  await waitForState(id, "COMPLETED");

  await waitUntil(async () => (await listOutput(id)).some((line) => /lines of output .* are not stored/.test(line)), {
    timeoutMs: 5000,
    what: "the notice",
  });
  assert.ok((await listOutput(id)).length < 10);
});

test("a run that is started all the same after it was given up is ended", async () => {
  const pool = await createPool();
  const machine = createFakeMachine();
  await using _worker = await startTestWorker(pool, {}, { machine });
  const { id } = await createRun(pool, { start: "late", reports: "hangs" });

  await waitForState(id, "CRASHED");
  await waitUntil(async () => machine.containers.size === 0, { timeoutMs: 30_000, what: "nothing left" });

  assert.equal((await client.flowRuns.get(id)).state_type, "CRASHED");
});
