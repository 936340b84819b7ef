import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { v4 as uuidv4, v7 as uuidv7 } from "uuid";
import { WebSocket } from "ws";
import { createPrefectClient, type PrefectClient } from "../../../src/client/prefect-client.ts";
import { CLOSE_UNAUTHORIZED } from "../../../src/prefect-api/socket-messages.ts";
import { silentLogger } from "../../../src/shared/logger.ts";
import type { RelayLimits } from "../../../worker/relay/relay-limits.ts";
import { buildRunAuthString } from "../../../worker/relay/run-token.ts";
import { provideSecret } from "../../../worker/relay/secret.ts";
import { type RunningRelay, startRelay } from "../../../worker/relay/start-relay.ts";
import { type PlaneProcess, startPlane } from "../../support/plane-process.ts";
import { waitUntil } from "../../support/wait-until.ts";
import { LIMITS } from "./limits.ts";

const AUTH = "admin:open sesame";

interface Answer {
  status: number;
  // biome-ignore lint/suspicious/noExplicitAny: a test reads what it expects of JSON
  body: any;
}

describe("a run's token", () => {
  let plane: PlaneProcess;
  let folder: string;
  let worker: PrefectClient;
  let flowId: string;
  const relays: RunningRelay[] = [];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "flowyard-relay-"));
    plane = await startPlane({ FLOWYARD_AUTH_STRING: AUTH });
    worker = createPrefectClient({ apiUrl: plane.apiUrl, authString: AUTH });
    flowId = (await worker.flows.create({ name: "etl" })).id;
  });

  after(async () => {
    await Promise.all(relays.map((relay) => relay.stop()));
    await plane[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  async function openRelay(limits: Partial<RelayLimits> = {}, name = "relay"): Promise<string> {
    const api = { apiUrl: plane.apiUrl, authString: AUTH, apiKey: undefined };
    const place = { folder: join(folder, name), hosts: ["127.0.0.1"], port: 0 };
    const relay = await startRelay({ api, ...place, limits: { ...LIMITS, ...limits } }, silentLogger);
    relays.push(relay);
    return `http://127.0.0.1:${relay.port}/api`;
  }

  async function createRun(type: "PENDING" | "RUNNING" = "RUNNING"): Promise<string> {
    return (await worker.flowRuns.create({ flow_id: flowId, state: { type } })).value.id;
  }

  async function speakFor(apiUrl: string, runId: string, name = "relay", use: "run" | "worker" = "run") {
    const secret = await provideSecret(join(folder, name));
    const token = buildRunAuthString(secret, { flow_run_id: runId, fencing_token: null, use });
    const authorization = `Basic ${Buffer.from(token).toString("base64")}`;
    const ask = async (method: string, path: string, body?: unknown): Promise<Answer> => {
      const sent = body === undefined ? {} : { body: JSON.stringify(body) };
      const answer = await fetch(`${apiUrl}${path}`, { method, headers: { authorization }, ...sent });
      const text = await answer.text();
      return { status: answer.status, body: text === "" ? undefined : JSON.parse(text) };
    };
    return { token, ask };
  }

  const completed = { state: { type: "COMPLETED" } };
  const logOf = (flow_run_id: string, message: string) => ({
    name: "prefect.flow_runs",
    level: 20,
    message,
    timestamp: new Date().toISOString(),
    flow_run_id,
  });

  async function listMessages(flowRunId: string): Promise<string[]> {
    const logs = await worker.logs.list({ logs: { flow_run_id: { any_: [flowRunId] } } });
    return logs.map(({ message }) => message);
  }

  test("counts while its run goes on, pauses, waits to try again and for some time after its end", async () => {
    const run = await createRun();
    const { ask } = await speakFor(await openRelay(), run);

    for (const state of [
      { type: "PAUSED", name: "Suspended", state_details: { pause_timeout: "2999-01-01T00:00:00Z" } },
      { type: "SCHEDULED", name: "AwaitingRetry", state_details: { scheduled_time: new Date().toISOString() } },
      { type: "RUNNING" },
      { type: "COMPLETED" },
    ]) {
      assert.equal((await ask("POST", `/flow_runs/${run}/set_state`, { state, force: true })).status, 201, state.type);
      assert.equal((await ask("GET", `/flow_runs/${run}`)).status, 200, state.type);
      assert.equal((await ask("POST", "/logs/", [logOf(run, state.type)])).status, 201, state.type);
    }
    assert.equal((await ask("POST", "/artifacts/", { key: "of-a-hook", type: "markdown", data: "x" })).status, 201);
  });

  test("ends with its run, on sockets too, and counts again when the run does", async () => {
    const run = await createRun();
    const apiUrl = await openRelay({ tokenGraceSeconds: 0 }, "strict");
    const { ask, token } = await speakFor(apiUrl, run, "strict");
    assert.equal((await ask("POST", `/flow_runs/${run}/set_state`, completed)).status, 201);
    const isRefused = async () => (await ask("GET", `/flow_runs/${run}`)).status === 403;
    await waitUntil(isRefused, { timeoutMs: 30_000, what: "the end of the token" });

    for (const [method, path, body] of [
      ["GET", "/flows/filter", undefined],
      ["POST", "/flows/filter", {}],
      ["POST", "/logs/", [logOf(run, "late")]],
      ["POST", "/events", []],
      ["POST", `/flow_runs/${run}/set_state`, { state: { type: "RUNNING" }, force: true }],
    ] as const) {
      const { status, body: refusal } = await ask(method, path, body);
      assert.equal(status, 403, path);
      assert.equal(refusal.code, "RUN_TOKEN_ENDED");
    }
    const socket = new WebSocket(`${apiUrl.replace("http", "ws")}/events/in`, "prefect");
    socket.on("open", () => socket.send(JSON.stringify({ type: "auth", token })));
    const [code] = await once(socket, "close");
    assert.equal(code, CLOSE_UNAUTHORIZED);

    await worker.flowRuns.setState(run, { state: { type: "SCHEDULED" }, force: true });
    assert.equal((await ask("GET", `/flow_runs/${run}`)).status, 200);
  });

  test("of a worker leaves lines whenever they come", async () => {
    const run = await createRun();
    await worker.flowRuns.setState(run, { state: { type: "CRASHED" }, force: true });
    const { ask } = await speakFor(await openRelay({ tokenGraceSeconds: 0 }, "late"), run, "late", "worker");

    assert.equal((await ask("POST", "/logs/", [logOf(run, "found later")])).status, 201);
    assert.equal((await ask("GET", `/flow_runs/${run}`)).status, 403);
    await waitUntil(async () => (await listMessages(run)).includes("found later"), { timeoutMs: 10_000, what: "it" });
  });

  test("changes its run, its subflows and theirs", async () => {
    const run = await createRun();
    const { ask } = await speakFor(await openRelay({}, "tree"), run, "tree");

    let above = run;
    for (const depth of [1, 2]) {
      const task = await ask("POST", "/task_runs/", { flow_run_id: above, task_key: "sub", dynamic_key: `${depth}` });
      assert.equal(task.status, 201);
      const body = { flow_id: flowId, parent_task_run_id: task.body.id, state: { type: "PENDING" } };
      const child = await ask("POST", "/flow_runs/", body);
      assert.equal(child.status, 201);
      above = child.body.id;
    }
    // Another relay has not heard of them.
    const other = await speakFor(await openRelay({}, "elsewhere"), run, "elsewhere");

    assert.equal((await ask("POST", `/flow_runs/${above}/set_state`, { state: { type: "RUNNING" } })).status, 201);
    assert.equal((await other.ask("PATCH", `/flow_runs/${above}`, { name: "sub" })).status, 204);
    assert.equal((await other.ask("POST", `/flow_runs/${above}/set_state`, completed)).status, 201);
    assert.equal((await other.ask("POST", "/logs/", [logOf(above, "of the subflow")])).status, 201);
    await waitUntil(async () => (await listMessages(above)).length > 0, { timeoutMs: 10_000, what: "the line" });
  });

  test("changes a run that it started beside itself, also after the relay was started again", async () => {
    const run = await createRun();
    const { ask } = await speakFor(await openRelay({}, "beside"), run, "beside");
    const started = await ask("POST", "/flow_runs/", { flow_id: flowId, state: { type: "PENDING" } });
    await relays.pop()?.stop();
    const again = await speakFor(await openRelay({}, "beside"), run, "beside");

    const cancelled = { state: { type: "CANCELLED" }, force: true };
    assert.equal((await again.ask("POST", `/flow_runs/${started.body.id}/set_state`, cancelled)).status, 201);
  });

  test("reads other runs and sends them input, and changes nothing of theirs", async () => {
    const [run, other] = [await createRun(), await createRun()];
    const task = await worker.flowRuns.get(other).then(async ({ id }) => {
      const theirs = await speakFor(await openRelay({}, "others"), id, "others");
      return (await theirs.ask("POST", "/task_runs/", { flow_run_id: id, task_key: "t", dynamic_key: "1" })).body.id;
    });
    const { ask } = await speakFor(await openRelay({}, "reach"), run, "reach");

    assert.equal((await ask("GET", `/flow_runs/${other}`)).status, 200);
    assert.equal((await ask("POST", "/flow_runs/filter", {})).status, 200);
    assert.equal((await ask("POST", `/flow_runs/${other}/input`, { key: "hello", value: "{}" })).status, 201);
    for (const [method, path, body] of [
      ["POST", `/flow_runs/${other}/set_state`, completed],
      ["POST", `/flow_runs/${other.toUpperCase()}/set_state/`, completed],
      ["POST", `/flow_runs/${other}/resume`, {}],
      ["PATCH", `/flow_runs/${other}`, { job_variables: { command: "mine" } }],
      ["DELETE", `/flow_runs/${other}`, undefined],
      ["DELETE", `/flow_runs/${other}/input/hello`, undefined],
      ["POST", `/task_runs/${task}/set_state`, completed],
      ["DELETE", `/task_runs/${task}`, undefined],
      ["POST", "/task_runs/", { flow_run_id: other, task_key: "x", dynamic_key: "1" }],
      ["POST", "/flow_runs/", { flow_id: flowId, parent_task_run_id: task, state: { type: "PENDING" } }],
      ["POST", `/deployments/${uuidv4()}/create_flow_run/bulk`, [{ parent_task_run_id: task }]],
      ["POST", "/flow_runs/bulk_set_state", { flow_runs: {}, state: { type: "CANCELLED" } }],
    ] as const) {
      const { status, body: refusal } = await ask(method, path, body);
      assert.equal(status, 403, `${method} ${path}: ${JSON.stringify(refusal)}`);
      assert.equal(refusal.code, "RUN_TOKEN_REFUSED");
    }
    assert.equal((await worker.flowRuns.get(other)).state?.type, "RUNNING");
  });

  test("changes other runs where the operator lets it", async () => {
    const [run, other] = [await createRun(), await createRun()];
    const { ask } = await speakFor(await openRelay({ runsReach: "all" }, "all"), run, "all");

    assert.equal((await ask("POST", `/flow_runs/${other}/set_state`, completed)).status, 201);
  });

  test("speaks in nobody else's name: such lines and events are dropped, those beside them kept", async () => {
    const [run, other] = [await createRun(), await createRun()];
    const { ask } = await speakFor(await openRelay({}, "forged"), run, "forged");
    const buildEvent = (event: string, id: string, flowRunId: string) => ({
      id: uuidv7(),
      occurred: new Date().toISOString(),
      event,
      resource: { "prefect.resource.id": id, "prefect.orchestration": "client" },
      related: [{ "prefect.resource.id": `prefect.flow-run.${flowRunId}`, "prefect.resource.role": "flow-run" }],
      payload: {},
      follows: null,
    });
    const events = [
      buildEvent("prefect.flow-run.Failed", `prefect.flow-run.${other}`, other),
      buildEvent("prefect.task-run.Failed", `prefect.task-run.${uuidv4()}`, other),
      buildEvent("prefect.task-run.Failed", `prefect.task-run.${uuidv4()}`, `${"-".repeat(36)}`),
      buildEvent("my.own", `prefect.flow-run.${other}`, other),
      buildEvent("prefect.flow-run.heartbeat", `prefect.flow-run.${run}`, run),
    ];
    const absent = Array.from({ length: 30 }, () => logOf(uuidv4(), "nobody's"));

    await ask("POST", "/events", events);
    await ask("POST", "/logs/", [logOf(other, "forged"), ...absent, logOf(run, "own")]);

    await waitUntil(async () => (await listMessages(run)).includes("own"), { timeoutMs: 20_000, what: "the own line" });
    assert.deepEqual(await listMessages(other), []);
    const stored = await worker.events.list({ id: { id: events.map(({ id }) => id) } });
    assert.deepEqual(stored.map(({ event }) => event).toSorted(), [
      "my.own",
      "prefect.flow-run.heartbeat",
      "prefect.task-run.Failed",
    ]);
  });
});
