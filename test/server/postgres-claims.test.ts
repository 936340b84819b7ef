import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { LiveBus } from "../../src/orchestration/events/live-bus.ts";
import { buildApp } from "../../src/server/app.ts";
import type { App } from "../../src/server/app-deps.ts";
import { systemClock } from "../../src/shared/clock.ts";
import { openStore } from "../../src/storage/open-store.ts";
import { createBlankDatabase } from "../support/test-database.ts";

const WAITING = 40;
const RUNS = 15;

describe("workers that wait at two planes on one PostgreSQL", () => {
  const cleanUp = new AsyncDisposableStack();
  let planes: App[];

  before(async () => {
    const database = cleanUp.use(await createBlankDatabase());
    planes = [await open(database.url), await open(database.url)];
  });

  after(() => cleanUp.disposeAsync());

  async function open(url: string): Promise<App> {
    const store = await openStore({ database: url, clock: systemClock });
    cleanUp.defer(() => store.close());
    const app = await buildApp({
      store,
      clock: systemClock,
      bus: new LiveBus(),
      credentials: null,
      logLevel: "silent",
    });
    await app.ready();
    cleanUp.defer(() => app.close());
    return app;
  }

  async function post(app: App | undefined, path: string, payload: object) {
    assert.ok(app);
    const answer = await app.inject({ method: "POST", url: `/api${path}`, payload });
    assert.ok(answer.statusCode < 300, answer.body);
    return answer.json();
  }

  test("are given each run once, at once, wherever it was created", async () => {
    const [here, there] = planes;
    await post(here, "/work_pools/", { name: "pool", type: "process" });
    const flow = await post(here, "/flows/", { name: "etl" });
    const deployment = await post(here, "/deployments/", { name: "d", flow_id: flow.id, work_pool_name: "pool" });
    const claimed: string[] = [];
    const [allTaken, taken] = [Promise.withResolvers<void>(), new Set<string>()];
    const polls = Array.from({ length: WAITING }, async (_, index) => {
      const body = { worker_name: `w${index}`, worker_instance: "1", capacity: 1, wait_seconds: 20 };
      const answer = await post(planes[index % 2], "/flowyard/work_pools/pool/claim", body);
      for (const { flow_run } of answer.claimed) {
        claimed.push(flow_run.id);
        taken.add(flow_run.id);
      }
      if (taken.size === RUNS) {
        allTaken.resolve();
      }
    });
    await post(there, "/work_pools/filter", {}); // whoever waits has been let in by now

    const startedAt = performance.now();
    const create = (_: unknown, index: number) =>
      post(planes[index % 2], `/deployments/${deployment.id}/create_flow_run`, {});
    const created = await Promise.all(Array.from({ length: RUNS }, create));
    await allTaken.promise;

    assert.ok(performance.now() - startedAt < 15_000, "nobody waited for the clock");
    assert.deepEqual(claimed.toSorted(), created.map(({ id }) => id).toSorted());
    await Promise.all(planes.map((app) => app.close()));
    await Promise.all(polls);
  });
});
