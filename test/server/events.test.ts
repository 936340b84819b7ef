import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, suite, test } from "node:test";
import { addSeconds, timestampFromDate } from "../../src/prefect-api/timestamp.ts";
import { buildTestPlane, type TestPlane } from "../support/build-test-plane.ts";
import { call } from "./call.ts";

let plane: TestPlane;
/** A plane for each test of a suite. Hooks outside of suites would run for the tests of all files. */
function usePlane(): void {
  beforeEach(async () => {
    plane = await buildTestPlane();
  });
  afterEach(() => plane[Symbol.asyncDispose]());
}

function buildEvents(count: number) {
  const now = timestampFromDate(plane.now());
  return Array.from({ length: count }, (_, index) => ({
    id: randomUUID(),
    occurred: addSeconds(now, index - count),
    event: index % 2 === 0 ? "test.even" : "test.odd",
    resource: { "prefect.resource.id": `test.${index}`, parity: index % 2 === 0 ? "even" : "odd" },
    related: [{ "prefect.resource.id": "test.all", "prefect.resource.role": "group" }],
  }));
}

async function readAll(first: { events: { id: string }[]; next_page: string | null }): Promise<string[]> {
  const ids = first.events.map(({ id }) => id);
  let next = first.next_page;
  while (next !== null) {
    const page = await call(plane, "GET", new URL(next).pathname.replace("/api", "") + new URL(next).search);
    ids.push(...page.body.events.map((event: { id: string }) => event.id));
    next = page.body.next_page;
  }
  return ids;
}

suite("events over HTTP", () => {
  usePlane();

  test("are stored and read back in pages, newest first", async () => {
    const events = buildEvents(60);

    assert.equal((await call(plane, "POST", "/events", events)).status, 204);
    const first = await call(plane, "POST", "/events/filter", { filter: {}, limit: 25 });

    assert.deepEqual([first.body.total, first.body.events.length], [60, 25]);
    assert.deepEqual(await readAll(first.body), events.map(({ id }) => id).reverse());
  });

  test("a filter that only we can judge pages just as well", async () => {
    const events = buildEvents(40);
    await call(plane, "POST", "/events", events);

    const first = await call(plane, "POST", "/events/filter", {
      filter: { resource: { labels: { parity: "o*" } }, related: { id: ["test.all"] }, order: "ASC" },
      limit: 7,
    });

    assert.deepEqual(
      await readAll(first.body),
      events.filter(({ event }) => event === "test.odd").map(({ id }) => id),
    );
  });

  test("a page of more than 50, a token of another's making and an event without resource are refused", async () => {
    const [event] = buildEvents(1);

    assert.equal((await call(plane, "POST", "/events/filter", { limit: 51 })).status, 422);
    assert.equal((await call(plane, "GET", "/events/filter/next?page-token=abc")).status, 422);
    assert.equal((await call(plane, "POST", "/events", [{ ...event, resource: {} }])).status, 422);
  });
});
