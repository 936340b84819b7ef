import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, suite, test } from "node:test";
import { buildTestPlane, type TestPlane } from "../support/build-test-plane.ts";
import { call } from "./call.ts";
import { createDeployment, createRun, UNKNOWN_ID } from "./resources.ts";

const V1 = "/concurrency_limits";

suite("limits of task tags, as the first version of the API has them", () => {
  let plane: TestPlane;

  beforeEach(async () => {
    plane = await buildTestPlane();
  });
  afterEach(() => plane[Symbol.asyncDispose]());

  function take(names: string[], task_run_id: string = randomUUID()) {
    return call(plane, "POST", `${V1}/increment`, { names, task_run_id });
  }

  test("are the limits tag:<tag> of the second version, made or changed by one request", async () => {
    const made = await call(plane, "POST", `${V1}/`, { tag: "db", concurrency_limit: 2 });
    const changed = await call(plane, "POST", `${V1}/`, { tag: "db", concurrency_limit: 3 });
    await call(plane, "POST", "/v2/concurrency_limits/", { name: "other", limit: 1 });
    const listed = await call(plane, "POST", `${V1}/filter`, {});

    assert.deepEqual([made.status, changed.status], [201, 200]);
    assert.deepEqual(Object.keys(made.body), ["id", "created", "updated", "tag", "concurrency_limit", "active_slots"]);
    assert.equal((await call(plane, "GET", "/v2/concurrency_limits/tag:db")).body.limit, 3);
    assert.deepEqual(
      listed.body.map(({ tag, concurrency_limit }: { tag: string; concurrency_limit: number }) => [
        tag,
        concurrency_limit,
      ]),
      [["db", 3]],
    );
    assert.equal((await call(plane, "GET", `${V1}/${made.body.id}`)).body.tag, "db");
    assert.equal((await call(plane, "GET", `${V1}/tag/db`)).body.id, made.body.id);
    assert.equal((await call(plane, "GET", `${V1}/tag/nope`)).status, 404);
    assert.equal((await call(plane, "GET", `${V1}/${UNKNOWN_ID}`)).status, 404);
  });

  test("say which task runs hold their slots", async () => {
    await call(plane, "POST", `${V1}/`, { tag: "db", concurrency_limit: 1 });
    const task = randomUUID();

    const taken = await take(["db", "unlimited"], task);
    const refused = await take(["db"]);
    const holders = (await call(plane, "GET", `${V1}/tag/db`)).body.active_slots;
    const freed = await call(plane, "POST", `${V1}/decrement`, { names: ["db"], task_run_id: task });

    assert.deepEqual(
      taken.body.map(({ name }: { name: string }) => name),
      ["db"],
    );
    assert.deepEqual([refused.status, refused.body.detail], [423, "Concurrency limit for the db tag has been reached"]);
    assert.ok(Number(refused.headers["retry-after"]) > 0);
    assert.deepEqual(holders, [task]);
    assert.deepEqual(
      freed.body.map(({ name }: { name: string }) => name),
      ["tag:db"],
    );
    assert.equal((await take(["db"])).status, 200);
  });

  test("with a limit of 0 refuse for good", async () => {
    await call(plane, "POST", `${V1}/`, { tag: "db", concurrency_limit: 0 });

    const refused = await take(["db"]);

    assert.equal(refused.status, 423);
    assert.equal(refused.headers["retry-after"], undefined);
    assert.match(refused.body.detail, /is 0 and will deadlock/);
  });

  test("are reset to nobody, or to the task runs that are named", async () => {
    await call(plane, "POST", `${V1}/`, { tag: "db", concurrency_limit: 3 });
    await take(["db"]);
    await call(plane, "POST", "/v2/concurrency_limits/increment-with-lease", { names: ["tag:db"], slots: 1 });
    const [one, two] = [randomUUID(), randomUUID()];

    await call(plane, "POST", `${V1}/tag/db/reset`, {});
    assert.equal((await call(plane, "GET", "/v2/concurrency_limits/tag:db")).body.active_slots, 0);
    await call(plane, "POST", `${V1}/tag/db/reset`, { slot_override: [one, two] });
    assert.deepEqual((await call(plane, "GET", `${V1}/tag/db`)).body.active_slots.sort(), [one, two].sort());
    assert.equal((await call(plane, "POST", `${V1}/tag/nope/reset`, {})).status, 404);
  });

  test("are removed by tag or id", async () => {
    const { body } = await call(plane, "POST", `${V1}/`, { tag: "db", concurrency_limit: 1 });
    await call(plane, "POST", `${V1}/`, { tag: "api", concurrency_limit: 1 });

    assert.equal((await call(plane, "DELETE", `${V1}/${body.id}`)).status, 200);
    assert.equal((await call(plane, "DELETE", `${V1}/tag/api`)).status, 200);
    assert.equal((await call(plane, "DELETE", `${V1}/tag/api`)).status, 404);
  });

  test("do not stay taken by the task runs of a flow run that crashed", async () => {
    await call(plane, "POST", `${V1}/`, { tag: "db", concurrency_limit: 1 });
    const run = await createRun(plane, (await createDeployment(plane)).id);
    for (const type of ["PENDING", "RUNNING"]) {
      await call(plane, "POST", `/flow_runs/${run.id}/set_state`, { state: { type } });
    }
    const task = await call(plane, "POST", "/task_runs/", { flow_run_id: run.id, task_key: "t", dynamic_key: "0" });
    await take(["db"], task.body.id);

    await call(plane, "POST", `/flow_runs/${run.id}/set_state`, { state: { type: "CRASHED" } });

    assert.equal((await take(["db"])).status, 200);
  });
});
