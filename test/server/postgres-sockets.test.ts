import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { LiveBus } from "../../src/orchestration/events/live-bus.ts";
import { buildApp } from "../../src/server/app.ts";
import type { App } from "../../src/server/app-deps.ts";
import { relayAnnouncements } from "../../src/server/relay-announcements.ts";
import { systemClock } from "../../src/shared/clock.ts";
import { silentLogger } from "../../src/shared/logger.ts";
import { openStore } from "../../src/storage/open-store.ts";
import { createBlankDatabase } from "../support/test-database.ts";
import { openAuthenticated } from "./test-socket.ts";

describe("sockets of another plane on the same PostgreSQL", () => {
  const cleanUp = new AsyncDisposableStack();
  let here: App;
  let there: App;

  before(async () => {
    const database = cleanUp.use(await createBlankDatabase());
    [here, there] = [await open(database.url), await open(database.url)];
  });

  after(() => cleanUp.disposeAsync());

  async function open(url: string): Promise<App> {
    const store = await openStore({ database: url, clock: systemClock });
    cleanUp.defer(() => store.close());
    const bus = new LiveBus();
    relayAnnouncements(store, bus, silentLogger);
    const app = await buildApp({ store, clock: systemClock, bus, credentials: null, logLevel: "silent" });
    await app.ready();
    cleanUp.defer(async () => {
      for (const client of app.websocketServer.clients) {
        client.terminate();
      }
      await app.close();
    });
    return app;
  }

  async function post(path: string, payload: object): Promise<unknown> {
    const answer = await here.inject({ method: "POST", url: `/api${path}`, payload });
    assert.ok(answer.statusCode < 300, answer.body);
    return answer.body === "" ? undefined : answer.json();
  }

  test("show its log lines, in their order", async () => {
    const socket = await openAuthenticated(there, "/api/logs/out");
    socket.send({ type: "filter", filter: { level: { ge_: 20 } } });
    await socket.ping();
    const line = { name: "n", level: 20, flow_run_id: crypto.randomUUID() };
    const timestamp = new Date().toISOString();

    await post(
      "/logs/",
      ["one", "two", "three"].map((message) => ({ ...line, message, timestamp })),
    );

    const shown = [await socket.next(), await socket.next(), await socket.next()];
    assert.deepEqual(shown.map(messageOf), ["one", "two", "three"]);
    socket.close();
  });

  test("show its events", async () => {
    const socket = await openAuthenticated(there, "/api/events/out");
    socket.send({ type: "filter", filter: { event: { prefix: ["prefect.flow-run."] } } });
    await socket.ping();

    await post("/flow_runs/", { flow_id: idOf(await post("/flows/", { name: "f" })), name: "made-elsewhere" });

    assert.match(JSON.stringify(await socket.next()), /"prefect.flow-run.Pending".*"made-elsewhere"/);
    socket.close();
  });
});

function messageOf(frame: unknown): unknown {
  return typeof frame === "object" && frame !== null && "log" in frame ? readKey(frame.log, "message") : undefined;
}

function idOf(made: unknown): unknown {
  return readKey(made, "id");
}

function readKey(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null ? Object.entries(value).find(([name]) => name === key)?.[1] : null;
}
