import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { z } from "zod";
import { ServerStatus } from "../../../src/flowyard-api/status.ts";
import { parseServerSettings } from "../../../src/server/config.ts";
import { type RunningServer, startServer } from "../../../src/server/start-server.ts";
import { waitUntil } from "../../support/wait-until.ts";

const Made = z.object({ id: z.string(), schedules: z.array(z.object({ id: z.string() })) });

let folder: string;

/** The scheduler looks once an hour: what happens sooner was woken. */
function start(file: string, flags: { loops?: boolean } = {}): Promise<RunningServer> {
  const env = {
    FLOWYARD_HOME: folder,
    FLOWYARD_PORT: "0",
    FLOWYARD_LOG_LEVEL: "error",
    FLOWYARD_SCHEDULER_SECONDS: "3600",
  };
  return startServer(parseServerSettings(env, { database: join(folder, file), ...flags }));
}

async function send(server: RunningServer, method: string, path: string, body: unknown = {}): Promise<unknown> {
  const answer = await fetch(`${server.apiUrl}${path}`, { method, body: JSON.stringify(body) });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status}`);
  const text = await answer.text();
  return text === "" ? null : JSON.parse(text);
}

async function getStatus(server: RunningServer): Promise<ServerStatus> {
  return ServerStatus.parse(await (await fetch(`${server.apiUrl}/flowyard/status`)).json());
}

async function createDeployment(server: RunningServer, name: string, cron: string) {
  const flow = z.object({ id: z.string() }).parse(await send(server, "POST", "/flows/", { name }));
  const body = { name, flow_id: flow.id, schedules: [{ schedule: { cron } }] };
  return Made.parse(await send(server, "POST", "/deployments/", body));
}

function countRuns(server: RunningServer, deploymentId: string): Promise<unknown> {
  return send(server, "POST", "/flow_runs/count", { deployments: { id: { any_: [deploymentId] } } });
}

function waitForRuns(server: RunningServer, deploymentId: string, count: number): Promise<void> {
  return waitUntil(async () => (await countRuns(server, deploymentId)) === count, {
    timeoutMs: 3000,
    what: `${count} runs`,
    pollMs: 20,
  });
}

describe("a plane with its loops", () => {
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "flowyard-loops-"));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  test("makes runs as soon as a schedule is made, changed, paused or resumed, and says so", async () => {
    const server = await start("a.sqlite");
    try {
      const { id, schedules } = await createDeployment(server, "a", "0 0 * * *");
      await waitForRuns(server, id, 3);

      const path = `/deployments/${id}/schedules/${schedules[0]?.id ?? ""}`;
      await send(server, "PATCH", path, { active: false });
      assert.equal(await countRuns(server, id), 0);
      await send(server, "PATCH", path, { active: true });
      await waitForRuns(server, id, 3);

      await send(server, "POST", `/deployments/${id}/pause_deployment`);
      assert.equal(await countRuns(server, id), 0);
      await send(server, "POST", `/deployments/${id}/resume_deployment`);
      await waitForRuns(server, id, 3);

      await send(server, "POST", `/deployments/${id}/schedule`, { max_runs: 5, min_runs: 5 });
      assert.equal(await countRuns(server, id), 5);

      const status = await getStatus(server);
      const scheduler = status.loops.find(({ name }) => name === "schedule-flow-runs");
      assert.deepEqual([status.ready, status.problem, status.runs_loops], [true, null, true]);
      assert.ok(scheduler !== undefined && scheduler.total_changed >= 9 && scheduler.last_success_at !== null);
    } finally {
      await server.stop();
    }
  });

  test("only answers when it is started without them, and what it wrote is caught up with by one that has them", async () => {
    const answering = await start("b.sqlite", { loops: false });
    const { id } = await createDeployment(answering, "b", "0 0 * * *");
    const status = await getStatus(answering);
    assert.deepEqual([status.ready, status.runs_loops, status.loops], [true, false, []]);
    assert.equal(await countRuns(answering, id), 0);
    await answering.stop();

    const working = await start("b.sqlite");
    await waitForRuns(working, id, 3);
    await working.stop();
  });

  test("stops within a second while its scheduler has a lot to do", async () => {
    const server = await start("c.sqlite");
    const flow = z.object({ id: z.string() }).parse(await send(server, "POST", "/flows/", { name: "c" }));
    const schedules = Array.from({ length: 30 }, () => ({ schedule: { interval: 1 } }));
    const made = Made.parse(await send(server, "POST", "/deployments/", { name: "c", flow_id: flow.id, schedules }));
    await waitUntil(async () => Number(await countRuns(server, made.id)) > 0, {
      timeoutMs: 5000,
      what: "the first of 3,000 runs",
      pollMs: 5,
    });

    const startedMs = performance.now();
    await server.stop();
    const elapsedMs = performance.now() - startedMs;

    assert.ok(elapsedMs < 1500, `${Math.round(elapsedMs)} ms`);
    const again = await start("c.sqlite");
    await waitUntil(async () => (await countRuns(again, made.id)) === 3000, {
      timeoutMs: 60_000,
      what: "all of the 3,000 runs",
    });
    await again.stop();
  });
});
