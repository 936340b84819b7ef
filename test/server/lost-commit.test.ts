import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { LiveBus } from "../../src/orchestration/events/live-bus.ts";
import { buildApp } from "../../src/server/app.ts";
import type { App } from "../../src/server/app-deps.ts";
import { systemClock } from "../../src/shared/clock.ts";
import { openStore } from "../../src/storage/open-store.ts";
import type { Store } from "../../src/storage/store.ts";
import { insertDeployment } from "../orchestration/insert-deployment.ts";
import { type CommitProxy, startCommitProxy } from "../support/commit-proxy.ts";
import { createBlankDatabase, type TestDatabase } from "../support/test-database.ts";

/** PostgreSQL has committed, and the connection breaks before the plane hears of it: nobody can know, so a 503. */
describe("a commit whose answer is lost", () => {
  let database: TestDatabase;
  let proxy: CommitProxy;
  let store: Store;
  let app: App;
  let deploymentId: string;

  before(async () => {
    database = await createBlankDatabase();
    proxy = await startCommitProxy(database.url);
    store = await openStore({ database: proxy.url, clock: systemClock });
    app = await buildApp({ store, clock: systemClock, bus: new LiveBus(), credentials: null, logLevel: "silent" });
    deploymentId = (await insertDeployment(store, systemClock.now())).deployment_id;
  });

  after(async () => {
    await app.close();
    await store.close();
    await proxy[Symbol.asyncDispose]();
    await database[Symbol.asyncDispose]();
  });

  async function post(path: string, body: object) {
    const answer = await app.inject({ method: "POST", url: `/api${path}`, payload: body });
    return { status: answer.statusCode, retryAfter: answer.headers["retry-after"], body: answer.json() };
  }

  async function losingTheAnswer(path: string, body: object) {
    const before = proxy.lost;
    proxy.losing = 1;
    const answer = await post(path, body);
    assert.deepEqual([answer.status, answer.retryAfter, proxy.lost - before], [503, "1", 1]);
  }

  async function retry(path: string, body: object) {
    for (let attempt = 0; ; attempt += 1) {
      const answer = await post(path, body);
      if (answer.status !== 503 || attempt === 20) {
        return answer;
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  test("of a new run is a 503, and asking again with its key answers the run that is there", async () => {
    const path = `/deployments/${deploymentId}/create_flow_run`;
    const body = { idempotency_key: "once" };
    await losingTheAnswer(path, body);

    const again = await retry(path, body);

    assert.equal(again.status, 200);
    assert.equal(await store.flowRuns.count({}), 1);
    assert.deepEqual(await listStates(again.body.id), ["SCHEDULED"]);
  });

  test("of a state is a 503, and proposing it again answers the state that was written, once", async () => {
    const run = await retry(`/deployments/${deploymentId}/create_flow_run`, {});
    const path = `/flow_runs/${run.body.id}/set_state`;
    const details = { transition_id: crypto.randomUUID() };
    const body = { state: { type: "PENDING", state_details: details } };
    await losingTheAnswer(path, body);

    const again = await retry(path, body);

    const { status, state } = again.body;
    assert.deepEqual([status, state.type, again.body.details.reason_code], ["REJECT", "PENDING", "SAME_TRANSITION"]);
    assert.deepEqual(await listStates(run.body.id), ["SCHEDULED", "PENDING"]);
  });

  async function listStates(flowRunId: string): Promise<string[]> {
    return (await store.flowRuns.listStates(flowRunId)).map(({ type }) => type);
  }
});
