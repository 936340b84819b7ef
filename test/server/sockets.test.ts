import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, suite, test } from "node:test";
import { z } from "zod";
import { receiveEvents } from "../../src/orchestration/events/receive-events.ts";
import { Event } from "../../src/prefect-api/events.ts";
import type { Log } from "../../src/prefect-api/logs.ts";
import { addSeconds, timestampFromDate } from "../../src/prefect-api/timestamp.ts";
import { buildTestPlane, type TestPlane } from "../support/build-test-plane.ts";
import { openAuthenticated, openTestSocket } from "./test-socket.ts";

const SECRET = "user:pass";
const PATHS = ["/api/events/in", "/api/events/out", "/api/logs/out"];

let plane: TestPlane;
/** A plane for each test of a suite. Hooks outside of suites would run for the tests of all files. */
function usePlane(options: { authString?: string } = {}): void {
  beforeEach(async () => {
    plane = await buildTestPlane(options);
  });
  afterEach(() => plane[Symbol.asyncDispose]());
}

function buildEvent(secondsAgo = 0, name = "test.happened", resource = "test.thing") {
  return {
    id: randomUUID(),
    occurred: addSeconds(timestampFromDate(plane.now()), -secondsAgo),
    event: name,
    resource: { "prefect.resource.id": resource },
    related: [],
    payload: {},
  };
}

function store(...events: unknown[]) {
  return receiveEvents(
    plane,
    events.map((event) => Event.parse(event)),
    plane.now(),
  );
}

const EventMessage = z.object({ type: z.literal("event"), event: Event });

function idOf(message: unknown): string {
  return EventMessage.parse(message).event.id;
}

suite("the handshake", () => {
  usePlane();

  for (const path of PATHS) {
    test(`${path} refuses an upgrade without the subprotocol while it is still HTTP`, async () => {
      await assert.rejects(openTestSocket(plane.app, path, {}), /403/);
    });

    test(`${path} answers pings before the auth message, and then auth_success`, async () => {
      const socket = await openTestSocket(plane.app, path);

      await socket.ping();
      socket.send({ type: "auth", token: null });

      assert.deepEqual(await socket.next(), { type: "auth_success" });
      socket.close();
    });

    test(`${path} closes 1008 when the first message is no auth message`, async () => {
      const socket = await openTestSocket(plane.app, path);

      socket.send({ type: "filter", filter: {} });

      assert.equal(await socket.closed, 1008);
    });
  }

  test("a path without a socket answers 404", async () => {
    await assert.rejects(openTestSocket(plane.app, "/api/work_pools/p/workers/connect"), /404/);
  });
});

suite("with credentials", () => {
  usePlane({ authString: SECRET });

  async function authenticate(token: string | null, headers: Record<string, string> = {}) {
    const socket = await openTestSocket(plane.app, "/api/events/in", {
      "sec-websocket-protocol": "prefect",
      ...headers,
    });
    socket.send({ type: "auth", token });
    return Promise.race([socket.next().then(() => "in"), socket.closed]);
  }

  test("the auth string in clear lets in; nothing and anything else is closed 1008", async () => {
    assert.equal(await authenticate(SECRET), "in");
    assert.equal(await authenticate(null), 1008);
    assert.equal(await authenticate("user:wrong"), 1008);
  });

  test("a valid Authorization header on the upgrade lets a client without token in", async () => {
    const basic = `Basic ${Buffer.from(SECRET).toString("base64")}`;

    assert.equal(await authenticate(null, { authorization: basic }), "in");
    assert.equal(await authenticate(null, { authorization: `Bearer ${SECRET}` }), "in");
    assert.equal(await authenticate(null, { authorization: "Bearer wrong" }), 1008);
  });
});

suite("/events/in", () => {
  usePlane();

  test("events are stored before a ping that follows them is answered", async () => {
    const socket = await openAuthenticated(plane.app, "/api/events/in");
    const events = [1, 2, 3].map(() => buildEvent());

    for (const event of events) {
      socket.send(event);
    }
    await socket.ping();

    assert.equal(await plane.store.events.count({ order: "ASC" }, 10), 3);
    socket.close();
  });

  test("a frame that is no event closes 1002, and what came before it is kept", async () => {
    const socket = await openAuthenticated(plane.app, "/api/events/in");

    socket.send(buildEvent());
    socket.sendText("{");

    assert.equal(await socket.closed, 1002);
    assert.equal(await plane.store.events.count({ order: "ASC" }, 10), 1);
  });
});

suite("/events/out", () => {
  usePlane();

  test("a message other than a filter, or a wrong one, closes 1002", async () => {
    for (const message of [{ type: "auth" }, { type: "filter", filter: { event: 1 } }]) {
      const socket = await openAuthenticated(plane.app, "/api/events/out");
      socket.send(message);
      assert.equal(await socket.closed, 1002);
    }
  });

  test("what happened comes first, oldest first, then what happens, nothing twice", async () => {
    const old = Array.from({ length: 300 }, (_, index) => buildEvent(600 - index));
    await store(...old);
    const socket = await openAuthenticated(plane.app, "/api/events/out");

    socket.send({ type: "filter", filter: { occurred: { since: addSeconds(old[0]?.occurred ?? "", -1) } } });
    const received = [await socket.next()];
    const live = buildEvent();
    await store(live);
    while (received.length < 301) {
      received.push(await socket.next());
    }

    assert.deepEqual(
      received.map(idOf),
      [...old, live].map(({ id }) => id),
    );
    socket.close();
  });

  test("the back-fill reaches 15 minutes back at most, and can be left out", async () => {
    await store(buildEvent(901), buildEvent(60, "test.recent"));
    const socket = await openAuthenticated(plane.app, "/api/events/out");
    const liveOnly = await openAuthenticated(plane.app, "/api/events/out");

    socket.send({ type: "filter", filter: { occurred: { since: "2020-01-01T00:00:00Z" } } });
    liveOnly.send({ type: "filter", filter: {}, backfill: false });
    const first = await socket.next();
    await liveOnly.ping();
    const live = buildEvent();
    await store(live);

    assert.equal(EventMessage.parse(first).event.event, "test.recent");
    assert.equal(idOf(await socket.next()), live.id);
    assert.equal(idOf(await liveOnly.next()), live.id);
    socket.close();
    liveOnly.close();
  });

  test("only events that match the filter come", async () => {
    const [wanted, other] = [buildEvent(5, "test.a", "test.wanted"), buildEvent(4, "test.a", "test.other")];
    await store(other, wanted);
    const socket = await openAuthenticated(plane.app, "/api/events/out");

    socket.send({ type: "filter", filter: { any_resource: { id: ["test.wanted"] } } });
    const first = await socket.next();
    const live = buildEvent(0, "test.b", "test.wanted");
    await store(buildEvent(0, "test.b", "test.other"), live);

    assert.deepEqual([idOf(first), idOf(await socket.next())], [wanted.id, live.id]);
    socket.close();
  });
});

suite("/logs/out", () => {
  usePlane();

  test("lines that match come as they are published", async () => {
    const socket = await openAuthenticated(plane.app, "/api/logs/out");
    const flowRunId = randomUUID();
    const log: Log = {
      id: randomUUID(),
      name: "prefect",
      level: 20,
      message: "hello",
      timestamp: timestampFromDate(plane.now()),
      flow_run_id: flowRunId,
    };

    socket.send({ type: "filter", filter: { flow_run_id: { any_: [flowRunId] } } });
    await socket.ping();
    plane.bus.publishLogs([{ ...log, flow_run_id: randomUUID() }, log]);

    assert.deepEqual(await socket.next(), { type: "log", log });
    socket.close();
  });
});
