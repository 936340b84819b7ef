import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { z } from "zod";
import { loadMachine } from "../../scripts/setup/machine.ts";
import { runToEnd } from "../support/child-process.ts";
import { type PlaneProcess, plainEnvironment, startPlane } from "../support/plane-process.ts";
import { waitUntil } from "../support/wait-until.ts";

const { prefect } = await loadMachine();
const FLOW = "from prefect import flow\n\n\n@flow\ndef hello():\n    print('hello')\n";
const PROJECT = `deployments:
- name: often
  entrypoint: flow.py:hello
  work_pool: {name: pool}
  schedules:
  - interval: 5
  - cron: "0 6 * * *"
    timezone: America/New_York
`;

const Deployment = z.object({
  id: z.string(),
  schedules: z.array(z.object({ id: z.string(), active: z.boolean(), schedule: z.record(z.string(), z.unknown()) })),
});
const FlowRuns = z.array(
  z.object({ id: z.string(), expected_start_time: z.string(), created_by: z.object({ id: z.string() }) }),
);

describe("schedules of an unmodified Prefect client", { skip: prefect.available ? false : prefect.reason }, () => {
  let plane: PlaneProcess;
  let project: string;

  before(async () => {
    plane = await startPlane();
    project = await mkdtemp(join(tmpdir(), "flowyard-schedules-"));
    await writeFile(join(project, "flow.py"), FLOW);
    await writeFile(join(project, "prefect.yaml"), PROJECT);
    await send("/work_pools/", { name: "pool", type: "process" });
  });

  after(async () => {
    await plane[Symbol.asyncDispose]();
    await rm(project, { recursive: true, force: true });
  });

  async function send(path: string, body: unknown): Promise<unknown> {
    return (await fetch(`${plane.apiUrl}${path}`, { method: "POST", body: JSON.stringify(body) })).json();
  }

  async function runPrefect(...args: string[]): Promise<string> {
    assert.ok(prefect.available);
    const env = plainEnvironment(project, { PREFECT_API_URL: plane.apiUrl, PREFECT_HOME: project, COLUMNS: "200" });
    const { code, stdout, stderr } = await runToEnd(prefect.prefect, ["--no-prompt", ...args], {
      cwd: project,
      env,
      timeoutMs: 90_000,
    });
    assert.equal(code, 0, stdout + stderr);
    return stdout;
  }

  async function readDeployment() {
    const answer = await fetch(`${plane.apiUrl}/deployments/name/hello/often`);
    return Deployment.parse(await answer.json());
  }

  /** Waiting runs of the schedule that fires every five seconds; those that are about to be late are left out. */
  async function listOften() {
    const { schedules } = await readDeployment();
    const often = schedules.find(({ schedule }) => "interval" in schedule);
    const runs = FlowRuns.parse(await send("/flow_runs/filter", { sort: "EXPECTED_START_TIME_ASC" }));
    const soon = new Date(Date.now() + 60_000).toISOString();
    return { often, runs: runs.filter((run) => run.created_by.id === often?.id && run.expected_start_time > soon) };
  }

  test("become runs that its CLI lists, five seconds apart", async () => {
    await runPrefect("deploy", "--all");
    await waitUntil(async () => (await listOften()).runs.length > 50, { timeoutMs: 5000, what: "the runs" });

    const listed = await runPrefect("flow-run", "ls", "--state", "Scheduled", "--limit", "7");

    assert.match(listed, /Scheduled/i);
    const times = (await listOften()).runs.map((run) => Date.parse(run.expected_start_time));
    assert.ok(times.slice(1).every((time, index) => time - (times[index] ?? 0) === 5000));
  });

  test("and their runs stay the same when it deploys the same again", async () => {
    const before = await listOften();

    await runPrefect("deploy", "--all");

    const now = await listOften();
    assert.equal(now.often?.id, before.often?.id);
    const kept = new Set(now.runs.map(({ id }) => id));
    const later = before.runs.filter((run) => run.expected_start_time > (now.runs[0]?.expected_start_time ?? ""));
    assert.ok(later.length > 20);
    assert.deepEqual(
      later.filter(({ id }) => !kept.has(id)),
      [],
    );
  });

  test("stay paused over a deploy, and fire again when they are resumed", async () => {
    const { often } = await listOften();
    await runPrefect("deployment", "schedule", "pause", "hello/often", often?.id ?? "");
    assert.equal((await listOften()).runs.length, 0);

    await runPrefect("deploy", "--all");
    const paused = await listOften();
    assert.deepEqual([paused.often?.id, paused.often?.active, paused.runs.length], [often?.id, false, 0]);

    await runPrefect("deployment", "schedule", "resume", "hello/often", often?.id ?? "");
    await waitUntil(async () => (await listOften()).runs.length > 50, { timeoutMs: 5000, what: "the runs" });
  });
});
