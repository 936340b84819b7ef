import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { loadMachine } from "../../scripts/setup/machine.ts";
import { TestProcess } from "../support/child-process.ts";
import { flowyard, plainEnvironment, startPlane } from "../support/plane-process.ts";
import { startPrefectServer } from "../support/prefect-server.ts";
import { waitUntil } from "../support/wait-until.ts";

const { prefect } = await loadMachine();
const skip = prefect.available ? false : prefect.reason;
const POOL = "processes";
const BUSY_ATTEMPTS = 10;

const FLOW = `from prefect import flow, task


@task
def double(n: int) -> int:
    return n * 2


@flow(log_prints=True)
def hello(n: int = 1):
    print(f"twice {n} is {double(n)}")
`;

const Made = z.object({ id: z.string() });
const Run = z.object({ state_type: z.string(), infrastructure_pid: z.string().nullable() });
const Logs = z.array(z.object({ message: z.string() }));
const TaskRuns = z.array(z.object({ name: z.string(), state_type: z.string() }));

const combinations = [
  { server: "Prefect's server", worker: "Flowyard's worker" },
  { server: "the plane", worker: "Prefect's worker" },
] as const;

for (const { server, worker } of combinations) {
  describe(`${worker} of a process pool on ${server}`, { skip }, () => {
    let apiUrl = "";
    let folder = "";
    let stopServer: () => PromiseLike<void> = async () => undefined;
    let process: TestProcess | undefined;

    before(async () => {
      assert.ok(prefect.available);
      folder = await mkdtemp(join(tmpdir(), "flowyard-process-workers-"));
      await writeFile(join(folder, "flow.py"), FLOW);
      const started = server === "the plane" ? await startPlane() : await startPrefectServer(prefect.prefect);
      apiUrl = started.apiUrl;
      stopServer = () => started[Symbol.asyncDispose]();
    });
    after(async () => {
      await process?.stop(30_000);
      await stopServer();
      await rm(folder, { recursive: true, force: true });
    });

    async function ask<T extends z.ZodType>(schema: T, path: string, body?: unknown): Promise<z.infer<T>> {
      const send = () =>
        fetch(`${apiUrl}${path}`, {
          method: body === undefined ? "GET" : "POST",
          headers: { "content-type": "application/json" },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
      let answer = await send();
      // Prefect's server is busy with its own database now and then, and its clients try again.
      for (let attempt = 0; attempt < BUSY_ATTEMPTS && answer.status === 503 && server !== "the plane"; attempt += 1) {
        await delay(Number(answer.headers.get("retry-after") ?? 1) * 1000);
        answer = await send();
      }
      assert.ok(answer.ok, `${path} answered ${answer.status}`);
      return schema.parse(await answer.json());
    }

    function startWorker(): TestProcess {
      assert.ok(prefect.available);
      const env = plainEnvironment(folder, {
        PREFECT_API_URL: apiUrl,
        PREFECT_HOME: join(folder, "prefect"),
        PREFECT_WORKER_QUERY_SECONDS: "1",
        PREFECT_SERVER_ANALYTICS_ENABLED: "false",
        FLOWYARD_WORKER_PYTHON: join(dirname(prefect.prefect), "python"),
      });
      const program = worker === "Prefect's worker" ? prefect.prefect : flowyard;
      return new TestProcess(program, ["worker", "start", "--pool", POOL, "--type", "process"], { cwd: folder, env });
    }

    test("a run completes, with its log lines and its task run stored", async () => {
      await ask(Made, "/work_pools/", { name: POOL, type: "process" });
      const flow = await ask(Made, "/flows/", { name: "hello" });
      const deployment = await ask(Made, "/deployments/", {
        name: "hello",
        flow_id: flow.id,
        work_pool_name: POOL,
        path: folder,
        entrypoint: "flow.py:hello",
        job_variables: { working_dir: folder },
      });
      process = startWorker();
      const { id } = await ask(Made, `/deployments/${deployment.id}/create_flow_run`, { parameters: { n: 21 } });
      const evidence = () => process?.output.slice(-6000) ?? "";

      const ended = async () => (await ask(Run, `/flow_runs/${id}`)).state_type === "COMPLETED";
      await waitUntil(ended, { timeoutMs: 180_000, what: "the run to complete", evidence });
      assert.notEqual((await ask(Run, `/flow_runs/${id}`)).infrastructure_pid, null);

      const byRun = { flow_run_id: { any_: [id] } };
      const listLines = async () => (await ask(Logs, "/logs/filter", { logs: byRun })).map(({ message }) => message);
      const hasLine = async () => (await listLines()).includes("twice 21 is 42");
      await waitUntil(hasLine, { timeoutMs: 30_000, what: "the printed line", evidence });
      assert.equal((await listLines()).filter((line) => line === "twice 21 is 42").length, 1, "stored once");

      const listTasks = () => ask(TaskRuns, "/task_runs/filter", { flow_runs: { id: { any_: [id] } } });
      const isRecorded = async () => (await listTasks())[0]?.state_type === "COMPLETED";
      await waitUntil(isRecorded, { timeoutMs: 30_000, what: "the task run", evidence });
      assert.equal((await listTasks()).length, 1);
    });
  });
}
