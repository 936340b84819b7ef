import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { createPrefectClient } from "../../src/client/prefect-client.ts";
import { startTestPlane, type TestPlane } from "../cli/test-plane.ts";

let plane: TestPlane;
const never = new AbortController().signal;

describe("streams", () => {
  before(async () => {
    plane = await startTestPlane({ authString: "admin:pass" });
  });

  after(() => plane[Symbol.asyncDispose]());

  function buildEvent(resource: string) {
    return {
      id: randomUUID(),
      occurred: new Date().toISOString(),
      event: "test.happened",
      resource: { "prefect.resource.id": resource },
      related: [],
      payload: { n: 1 },
    };
  }

  async function takeOne<T>(stream: AsyncIterable<T>): Promise<T> {
    for await (const item of stream) {
      return item;
    }
    throw new Error("the stream ended");
  }

  test("an emitted event reaches a subscription to its resource", async () => {
    const events = await plane.client.sockets.openEvents({ any_resource: { id: ["thing.1"] } }, never);
    const emitter = plane.client.sockets.createEventEmitter(never);
    const event = buildEvent("thing.1");

    emitter.emit(buildEvent("thing.2"));
    emitter.emit(event);

    assert.equal((await takeOne(events)).id, event.id);
    await emitter.close(5000);
  });

  test("a log line reaches a subscription to its run", async () => {
    const id = randomUUID();
    const logs = await plane.client.sockets.openLogs({ flow_run_id: { any_: [id] } }, never);
    const line = { name: "x", level: 20, message: "hello", timestamp: new Date().toISOString(), flow_run_id: id };

    await plane.client.logs.create([{ ...line, flow_run_id: randomUUID() }, line]);

    assert.equal((await takeOne(logs)).message, "hello");
  });

  test("wrong credentials end a subscription with UNAUTHORIZED", async () => {
    const stranger = createPrefectClient({ apiUrl: plane.apiUrl, authString: "admin:wrong" });

    await assert.rejects(stranger.sockets.openEvents({}, never), { code: "UNAUTHORIZED" });
  });

  test("a plane that is not there is PLANE_UNREACHABLE", async () => {
    const nowhere = createPrefectClient({ apiUrl: "http://127.0.0.1:1/api" });

    await assert.rejects(nowhere.sockets.openLogs({}, never), { code: "PLANE_UNREACHABLE" });
  });

  test("an aborted signal ends the iteration without an error", async () => {
    const stop = new AbortController();
    const logs = await plane.client.sockets.openLogs({}, stop.signal);
    const reading = (async () => {
      for await (const _log of logs) {
        // Nothing is sent.
      }
      return "ended";
    })();

    stop.abort();

    assert.equal(await reading, "ended");
  });

  test("the end of the plane breaks an open subscription with an error", async () => {
    const doomed = await startTestPlane();
    const logs = await doomed.client.sockets.openLogs({}, never);

    const broken = assert.rejects(takeOne(logs), { code: "PLANE_UNREACHABLE" });
    await doomed[Symbol.asyncDispose]();

    await broken;
  });

  test("an emitter whose plane is away neither throws nor holds its owner up", async () => {
    const nowhere = createPrefectClient({ apiUrl: "http://127.0.0.1:1/api" });
    const emitter = nowhere.sockets.createEventEmitter(never);

    emitter.emit(buildEvent("thing.1"));
    const before = Date.now();
    await emitter.close(50);

    assert.ok(Date.now() - before < 2000);
  });
});
