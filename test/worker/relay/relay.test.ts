import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { v7 as uuidv7 } from "uuid";
import { WebSocket } from "ws";
import { createPrefectClient, type PrefectClient } from "../../../src/client/prefect-client.ts";
import { refusalStatus } from "../../../src/client/refusal.ts";
import { CLOSE_MALFORMED } from "../../../src/prefect-api/socket-messages.ts";
import { silentLogger } from "../../../src/shared/logger.ts";
import { buildRunAuthString } from "../../../worker/relay/run-token.ts";
import { provideSecret } from "../../../worker/relay/secret.ts";
import { untilSettled } from "../../../worker/relay/settled.ts";
import { type RunningRelay, startRelay } from "../../../worker/relay/start-relay.ts";
import { type PlaneProcess, startPlane } from "../../support/plane-process.ts";
import { waitUntil } from "../../support/wait-until.ts";
import { LIMITS } from "./limits.ts";

const AUTH = "admin:open sesame";
const RETRIES = { retries: 5, firstDelayMs: 100 };

describe("a relay between a run and its plane", () => {
  let plane: PlaneProcess;
  let relay: RunningRelay;
  let folder: string;
  let worker: PrefectClient;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "flowyard-relay-"));
    plane = await startPlane({ FLOWYARD_AUTH_STRING: AUTH });
    relay = await startTestRelay();
    worker = createPrefectClient({ apiUrl: plane.apiUrl, authString: AUTH });
  });

  after(async () => {
    await relay.stop();
    await plane[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  function startTestRelay(port = 0): Promise<RunningRelay> {
    const api = { apiUrl: plane.apiUrl, authString: AUTH, apiKey: undefined };
    const settings = { api, folder, hosts: ["127.0.0.1"], port, limits: LIMITS };
    return startRelay(settings, silentLogger);
  }

  async function startRun(fencing_token: number | null = null) {
    const flow = await worker.flows.create({ name: "etl" });
    const { value: run } = await worker.flowRuns.create({ flow_id: flow.id, state: { type: "PENDING" } });
    const authString = buildRunAuthString(await provideSecret(folder), { flow_run_id: run.id, fencing_token });
    const apiUrl = `http://127.0.0.1:${relay.port}/api`;
    return { run, authString, client: createPrefectClient({ apiUrl, authString, retry: RETRIES }) };
  }

  function buildLog(flowRunId: string, message: string) {
    return {
      name: "prefect.flow_runs",
      level: 20,
      message,
      timestamp: new Date().toISOString(),
      flow_run_id: flowRunId,
    };
  }

  function buildEvent(name: string) {
    return {
      id: uuidv7(),
      occurred: new Date().toISOString(),
      event: name,
      resource: { "prefect.resource.id": `prefect.flow-run.${name}` },
      related: [],
      payload: {},
      follows: null,
    };
  }

  async function listMessages(flowRunId: string): Promise<string[]> {
    const logs = await worker.logs.list({ logs: { flow_run_id: { any_: [flowRunId] } } });
    return logs.map(({ message }) => message);
  }

  test("requests, answers and refusals go through under the worker's credentials", async () => {
    const { run, client } = await startRun();

    assert.equal((await client.flowRuns.get(run.id)).id, run.id);
    assert.equal((await client.flowRuns.setState(run.id, { state: { type: "RUNNING" } })).status, "ACCEPT");
    assert.equal(await client.flows.find(uuidv7()), undefined);
    await assert.rejects(client.workPools.delete("pool"), (error) => refusalStatus(error) === 403);
  });

  test("nobody comes in without a run's own credentials", async () => {
    for (const authString of [undefined, AUTH, "run:forged.signature"]) {
      const client = createPrefectClient({ apiUrl: `http://127.0.0.1:${relay.port}/api`, authString, retry: RETRIES });
      await assert.rejects(client.flows.list(), (error) => refusalStatus(error) === 401);
    }
  });

  test("the lines that were said before a state are at the plane before it", async () => {
    const { run, client } = await startRun();
    await client.flowRuns.setState(run.id, { state: { type: "RUNNING" } });
    const said = Array.from({ length: 300 }, (_, index) => `line ${index}`);
    await client.logs.create(said.map((text) => buildLog(run.id, text)));

    await client.flowRuns.setState(run.id, { state: { type: "COMPLETED" } });

    const page = { limit: 200, sort: "TIMESTAMP_ASC" as const };
    const filter = { logs: { flow_run_id: { any_: [run.id] } }, ...page };
    const first = await worker.logs.list(filter);
    assert.equal(first.length, 300);
  });

  test("says when all that it was told is at the plane", async () => {
    const { run, client } = await startRun();
    const isThere = async () => (await worker.logs.list({ logs: { flow_run_id: { any_: [run.id] } } })).length === 300;
    await plane.kill();
    await client.logs.create(Array.from({ length: 300 }, (_, index) => buildLog(run.id, `line ${index}`)));
    let isSaid = false;
    const waiting = untilSettled(`http://127.0.0.1:${relay.port}/api`, silentLogger, new AbortController().signal).then(
      () => {
        isSaid = true;
      },
    );

    const health = async () => (await fetch(`http://127.0.0.1:${relay.port}/relay/health`)).text();
    await waitUntil(async () => (await health()).includes('"plane":false'), {
      timeoutMs: 20_000,
      what: "a try to send them",
    });
    const wasEarly = isSaid;
    await plane.start();
    await waiting;

    assert.equal(wasEarly, false);
    assert.equal(await isThere(), true);
  });

  test("events by a socket are kept, and every other socket goes through", async () => {
    const { client } = await startRun();
    const ending = new AbortController();
    const event = buildEvent("seen");
    const watched = await client.sockets.openEvents({ event: { name: ["seen"] } }, ending.signal);
    const emitter = client.sockets.createEventEmitter(ending.signal);

    emitter.emit(event);

    const { value } = await watched[Symbol.asyncIterator]().next();
    assert.equal(value?.id, event.id);
    ending.abort();
  });

  test("a long list of nonsense is refused at its beginning", async () => {
    const { authString } = await startRun();
    const headers = { authorization: `Basic ${Buffer.from(authString).toString("base64")}` };
    const body = `[${"{},".repeat(400_000)}{}]`;
    const asked = performance.now();

    const answer = await fetch(`http://127.0.0.1:${relay.port}/api/logs/`, { method: "POST", headers, body });

    assert.equal(answer.status, 422);
    assert.ok((await answer.text()).length < 100_000);
    assert.ok(performance.now() - asked < 5000);
  });

  test("an event too deep to be written ends its own socket and nobody else's", async () => {
    const { run, client, authString } = await startRun();
    const depth = 100_000;
    const deep = JSON.stringify(buildEvent("deep")).replace("{}", `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`);

    const socket = new WebSocket(`ws://127.0.0.1:${relay.port}/api/events/in`, "prefect");
    socket.on("open", () => socket.send(JSON.stringify({ type: "auth", token: authString })));
    socket.once("message", () => socket.send(deep));
    const [code] = await once(socket, "close");

    assert.equal(code, CLOSE_MALFORMED);
    assert.equal((await client.flowRuns.get(run.id)).id, run.id);
  });

  test("an outage of the plane costs nothing: what was said meanwhile is there, once, and states wait", async () => {
    const { run, client } = await startRun();
    await client.flowRuns.setState(run.id, { state: { type: "RUNNING" } });
    await client.logs.create([buildLog(run.id, "before")]);
    await plane.kill();

    const event = buildEvent("meanwhile");
    await client.logs.create([buildLog(run.id, "meanwhile")]);
    await client.events.create([event]);
    const version = await fetch(`http://127.0.0.1:${relay.port}/api/admin/version`, {
      headers: { authorization: `Basic ${Buffer.from((await startAuth(run.id)).toString()).toString("base64")}` },
    });
    assert.equal(await version.json(), "3.9.1");
    const ending = client.flowRuns.setState(run.id, { state: { type: "COMPLETED" } });
    await relay.stop();
    relay = await startTestRelay(relay.port);
    await plane.start();

    assert.equal((await ending).status, "ACCEPT");
    await waitUntil(async () => (await worker.events.list({ id: { id: [event.id] } })).length === 1, {
      timeoutMs: 20_000,
      what: "the event at the plane",
    });
    assert.deepEqual((await listMessages(run.id)).toSorted(), ["before", "meanwhile"]);
  });

  async function startAuth(flow_run_id: string): Promise<string> {
    return buildRunAuthString(await provideSecret(folder), { flow_run_id, fencing_token: null });
  }

  test("while the plane is away a client is told to come back without counting it as a failure", async () => {
    const { run } = await startRun();
    await plane.kill();
    try {
      const answer = await fetch(`http://127.0.0.1:${relay.port}/api/flow_runs/${run.id}`, {
        headers: { authorization: `Basic ${Buffer.from(await startAuth(run.id)).toString("base64")}` },
      });
      assert.equal(answer.status, 503);
      assert.equal(answer.headers.get("prefect-maintenance"), "true");
      assert.ok(Number(answer.headers.get("retry-after")) > 0);
    } finally {
      await plane.start();
    }
  });

  test("a full spool drops lines, and the run's log says how many", async () => {
    const { run, client } = await startRun();
    await plane.kill();
    try {
      const big = "x".repeat(300_000);
      for (let index = 0; index < 5; index += 1) {
        await client.logs.create([buildLog(run.id, `${index} ${big}`)]);
      }
    } finally {
      await plane.start();
    }
    await waitUntil(async () => (await listMessages(run.id)).length >= 3, {
      timeoutMs: 20_000,
      what: "the first lines",
    });
    await client.logs.create([buildLog(run.id, "after")]);

    await waitUntil(async () => (await listMessages(run.id)).includes("after"), { timeoutMs: 10_000, what: "after" });
    const messages = await listMessages(run.id);
    const stored = messages.filter((message) => message.includes("xxx")).length;
    const lost = messages.map((message) => Number(/^(\d+) log lines of this run were lost/.exec(message)?.[1] ?? 0));
    assert.ok(stored < 5);
    assert.equal(stored + lost.reduce((sum, count) => sum + count, 0), 5);
  });

  test("a run that has filled its share takes no room from another, and its log says so without it saying more", async () => {
    const own = join(folder, "shares");
    const api = { apiUrl: plane.apiUrl, authString: AUTH, apiKey: undefined };
    const limits = { ...LIMITS, maxSpoolBytesPerRun: 400_000 };
    const shared = await startRelay({ api, folder: own, hosts: ["127.0.0.1"], port: 0, limits }, silentLogger);
    const secret = await provideSecret(own);
    const [chatty, quiet] = [await startRun(), await startRun()];
    const speakFor = (flow_run_id: string) =>
      createPrefectClient({
        apiUrl: `http://127.0.0.1:${shared.port}/api`,
        authString: buildRunAuthString(secret, { flow_run_id, fencing_token: null }),
        retry: RETRIES,
      });
    try {
      await plane.kill();
      const big = "x".repeat(150_000);
      for (let index = 0; index < 5; index += 1) {
        await speakFor(chatty.run.id).logs.create([buildLog(chatty.run.id, `${index} ${big}`)]);
      }
      // Whoever it names: the share is that of the run that says it.
      await speakFor(chatty.run.id).logs.create([buildLog(quiet.run.id, big), buildLog(quiet.run.id, big)]);
      await speakFor(quiet.run.id).logs.create([buildLog(quiet.run.id, "a word")]);
    } finally {
      await plane.start();
    }

    const isTold = async () => (await listMessages(chatty.run.id)).some((message) => message.includes("SPOOL_RUN_MB"));
    await waitUntil(isTold, { timeoutMs: 20_000, what: "the notice" });
    const messages = await listMessages(chatty.run.id);
    assert.equal(messages.filter((message) => message.includes("xxx")).length, 2);
    const countLost = async () =>
      (await listMessages(chatty.run.id))
        .map((message) => Number(/^(\d+) log lines of this run were lost/.exec(message)?.[1] ?? 0))
        .reduce((sum, count) => sum + count, 0);
    await waitUntil(async () => (await countLost()) === 3, { timeoutMs: 20_000, what: "each lost line told" });
    const others = (await listMessages(quiet.run.id)).filter((message) => !message.includes("were lost"));
    assert.deepEqual(others, ["a word"]);
    await shared.stop();
  });
});
