import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { buildTestPlane } from "../support/build-test-plane.ts";
import { call } from "./call.ts";
import {
  applied,
  apply,
  buildPlane,
  candidate,
  listActions,
  plan,
  read,
  SCOPE,
  SHA,
  wanted,
} from "./release-support.ts";
import { createDeployment, createRun } from "./resources.ts";

test("a plane says that it takes releases", async () => {
  await using plane = await buildTestPlane();

  const { status, body } = await call(plane, "GET", "/flowyard/capabilities");

  assert.equal(status, 200);
  assert.ok(body.features.includes("releases"));
});

describe("applying", () => {
  test("the plan says what the release then does, and the second time there is nothing to do", async () => {
    await using plane = await buildPlane();
    const release = candidate([wanted("nightly"), wanted("hourly")]);

    const before = await plan(plane, release);
    const first = await apply(plane, release, before.plan_hash);
    const second = await apply(plane, release);

    assert.deepEqual(listActions(before.changes), ["create etl/nightly", "create etl/hourly"]);
    assert.equal(first.status, 201, JSON.stringify(first.body));
    assert.deepEqual(
      [first.body.changed, first.body.release.number, first.body.release.live, first.body.release.plan_hash],
      [true, 1, true, before.plan_hash],
    );
    assert.equal(first.body.deployments["etl/nightly"], (await read(plane, "etl/nightly")).id);
    assert.deepEqual(
      [second.status, second.body.changed, second.body.release.id, second.body.deployments],
      [200, false, first.body.release.id, first.body.deployments],
    );
  });

  test("only what differs is changed: the schedules that stay keep their ids", async () => {
    await using plane = await buildPlane();
    const every = (interval: number) => ({ schedule: { interval } });
    await applied(plane, candidate([wanted("nightly", { schedules: [every(60), every(90)] })]));
    const before = await read(plane, "etl/nightly");
    plane.moveClock(30);

    await applied(
      plane,
      candidate([wanted("nightly", { version: "2", schedules: [every(90), every(120), every(60)] })]),
    );

    const after = await read(plane, "etl/nightly");
    const pick = (deployment: typeof before, interval: number) =>
      deployment.schedules.find((each: { schedule: { interval: number } }) => each.schedule.interval === interval);
    assert.deepEqual([after.id, after.version, after.schedules.length], [before.id, "2", 3]);
    assert.deepEqual([pick(after, 60), pick(after, 90)], [pick(before, 60), pick(before, 90)]);
  });

  test("an empty list removes the schedules, and no list leaves those that nobody had declared", async () => {
    await using plane = await buildPlane();
    await applied(plane, candidate([wanted("nightly", { schedules: undefined })]));
    const { id } = await read(plane, "etl/nightly");
    await call(plane, "POST", `/deployments/${id}/schedules`, [{ schedule: { cron: "1 1 * * *" } }]);

    const silent = await applied(plane, candidate([wanted("nightly", { schedules: undefined })]));
    const kept = await read(plane, "etl/nightly");
    await applied(plane, candidate([wanted("nightly", { schedules: [] })]));
    const emptied = await read(plane, "etl/nightly");

    assert.deepEqual([silent.changed, kept.schedules.length, emptied.schedules.length], [false, 1, 0]);
  });

  test("a schedule goes when its lines go from the file", async () => {
    await using plane = await buildPlane();
    await applied(plane, candidate([wanted("nightly")]));

    await applied(plane, candidate([wanted("nightly", { schedules: undefined })]));

    assert.deepEqual((await read(plane, "etl/nightly")).schedules, []);
  });

  test("triggers become automations that the deployment owns, and keep their ids", async () => {
    await using plane = await buildPlane();
    const trigger = (name: string, expect: string) => ({
      name,
      trigger: { type: "event", expect: [expect] },
      actions: [{ type: "run-deployment", source: "selected", parameters: { stars: 2 } }],
    });
    await applied(plane, candidate([wanted("nightly", {}, { triggers: [trigger("a", "x"), trigger("b", "x")] })]));
    const { id } = await read(plane, "etl/nightly");
    const related = async () => {
      const { body } = await call(plane, "GET", `/automations/related-to/prefect.deployment.${id}`);
      return body.sort((a: { name: string }, b: { name: string }) => a.name.localeCompare(b.name));
    };
    const before = await related();

    const again = await apply(
      plane,
      candidate([wanted("nightly", {}, { triggers: [trigger("a", "x"), trigger("b", "x")] })]),
    );
    await applied(plane, candidate([wanted("nightly", {}, { triggers: [trigger("b", "y")] })]));
    const after = await related();

    assert.equal(again.body.changed, false);
    assert.deepEqual(
      before.map(({ name, actions }: { name: string; actions: { deployment_id: string }[] }) => [
        name,
        actions[0]?.deployment_id,
      ]),
      [
        ["a", id],
        ["b", id],
      ],
    );
    assert.deepEqual(
      after.map((each: { id: string; trigger: { expect: string[] } }) => [each.id, each.trigger.expect]),
      [[before[1].id, ["y"]]],
    );
  });

  test("a limit, a queue and a description go when the file does not say them any more", async () => {
    await using plane = await buildPlane();
    await applied(
      plane,
      candidate([
        wanted("nightly", { concurrency_limit: 2, work_queue_name: "fast", description: "old", tags: ["a"] }),
      ]),
    );
    const before = await read(plane, "etl/nightly");

    await applied(plane, candidate([wanted("nightly")]));

    const after = await read(plane, "etl/nightly");
    assert.deepEqual(
      [before.global_concurrency_limit.limit, before.work_queue_name, before.description, before.tags],
      [2, "fast", "old", ["a"]],
    );
    assert.deepEqual(
      [after.global_concurrency_limit, after.work_queue_name, after.description, after.tags],
      [null, "default", null, []],
    );
  });

  test("one deployment that cannot be taken keeps out all of them, and each is named", async () => {
    await using plane = await buildPlane();

    const { status, body } = await apply(
      plane,
      candidate([
        wanted("good"),
        wanted("poolless", { work_pool_name: "nowhere" }),
        wanted("wrong", { parameters: { stars: "many" } }),
        wanted("typed", { job_variables: { image: 1 } }),
        wanted("timeless", { schedules: [{ schedule: { cron: "61 * * * *" } }] }),
      ]),
    );

    assert.deepEqual([status, body.code], [422, "INVALID_RELEASE"]);
    for (const name of ["etl/poolless", "etl/wrong", "etl/typed", "etl/timeless"]) {
      assert.ok(body.detail.includes(name), body.detail);
    }
    assert.equal((await call(plane, "GET", "/deployments/name/etl/good")).status, 404);
    assert.deepEqual((await call(plane, "POST", "/flowyard/releases/filter", {})).body, []);
  });

  test("two applies at once: one whole release follows the other", async () => {
    await using plane = await buildPlane();
    const names = Array.from({ length: 20 }, (_, index) => `d${index}`);
    const release = (version: string) => candidate(names.map((name) => wanted(name, { version })));

    const answers = await Promise.all(["1", "2", "3"].map((version) => apply(plane, release(version))));

    const versions = await Promise.all(names.map(async (name) => (await read(plane, `etl/${name}`)).version));
    assert.deepEqual(
      answers.map(({ body }) => body.release.number),
      [1, 2, 3],
    );
    assert.deepEqual(new Set(versions), new Set(["3"]));
    const stored = (await call(plane, "POST", "/flowyard/releases/filter", {})).body;
    assert.deepEqual(
      stored.map(({ number, live }: { number: number; live: boolean }) => [number, live]),
      [
        [3, true],
        [2, false],
        [1, false],
      ],
    );
  });

  test("a hundred deployments that stay as they are take less than two seconds, plan and apply", async () => {
    await using plane = await buildPlane();
    const release = candidate(Array.from({ length: 100 }, (_, index) => wanted(`d${index}`)));
    await applied(plane, release);

    const started = performance.now();
    const { plan_hash: hash } = await plan(plane, release);
    const { body } = await apply(plane, release, hash);

    assert.equal(body.changed, false);
    assert.ok(performance.now() - started < 2000);
  });

  for (const [what, deployments] of [
    ["a deployment twice", [wanted("nightly"), wanted("nightly")]],
    ["a key that there is not", [wanted("nightly", { scheduls: [] })]],
    ["a name with a slash", [wanted("a/b")]],
    ["text for deployments", "all"],
  ] as const) {
    test(`${what} is refused with its place`, async () => {
      await using plane = await buildPlane();

      const { status, body } = await call(plane, "POST", "/flowyard/releases/plan", {
        ...candidate([]),
        deployments,
      });

      assert.deepEqual([status, body.exception_detail[0].loc.includes("deployments")], [422, true]);
    });
  }
});

describe("what holds a release up", () => {
  test("a plan that does not hold any more: the new plan comes back, and nothing is changed", async () => {
    await using plane = await buildPlane();
    await applied(plane, candidate([wanted("nightly")]));
    const release = candidate([wanted("nightly", { version: "2" })]);
    const old = await plan(plane, release);
    const { id } = await read(plane, "etl/nightly");
    await call(plane, "PATCH", `/deployments/${id}`, { description: "by hand" });

    const { status, body } = await apply(plane, release, old.plan_hash);

    assert.deepEqual([status, body.code, body.plan.changes[0].fields.length], [409, "PLAN_CHANGED", 2]);
    assert.equal((await read(plane, "etl/nightly")).version, null);
    assert.equal((await apply(plane, release, body.plan.plan_hash)).status, 201);
  });

  test("the same request again, because its answer was lost, is no other plan", async () => {
    await using plane = await buildPlane();
    const release = candidate([wanted("nightly")]);
    const { plan_hash: hash } = await plan(plane, release);

    const first = await apply(plane, release, hash);
    const second = await apply(plane, release, hash);

    assert.deepEqual([second.status, second.body.changed, second.body.release.id], [200, false, first.body.release.id]);
  });

  test("a commit that is older than the live one is refused, the same one is not", async () => {
    await using plane = await buildPlane();
    const at = (sha: string, committedAt: string, version: string) =>
      candidate([wanted("nightly", { version })], { sha, committedAt });
    const early = at(SHA.one, "2026-01-01T00:00:00Z", "1");
    const late = at(SHA.two, "2026-01-02T00:00:00Z", "2");
    await applied(plane, late);

    const refused = await apply(plane, early);
    const planned = await plan(plane, early);
    const again = await apply(plane, late);

    assert.deepEqual([refused.status, refused.body.code], [409, "RELEASE_OUTDATED"]);
    assert.match(refused.body.detail, /release 1, 2{40}/);
    assert.equal(planned.refusal.code, "RELEASE_OUTDATED");
    assert.deepEqual([again.status, again.body.changed], [200, false]);
    assert.equal((await read(plane, "etl/nightly")).version, "2");
  });

  test("a newer commit that changed nothing still keeps older ones out", async () => {
    await using plane = await buildPlane();
    const at = (sha: string, committedAt: string) => candidate([wanted("nightly")], { sha, committedAt });
    await applied(plane, at(SHA.one, "2026-01-01T00:00:00Z"));
    await applied(plane, at(SHA.three, "2026-01-03T00:00:00Z"));

    const { body } = await apply(plane, at(SHA.two, "2026-01-02T00:00:00Z"));

    assert.equal(body.code, "RELEASE_OUTDATED");
  });

  test("a commit whose clock was ahead does not keep the next ones out", async () => {
    await using plane = await buildPlane();
    const at = (sha: string, committedAt: string, version: string) =>
      candidate([wanted("nightly", { version })], { sha, committedAt });
    await applied(plane, at(SHA.one, "2099-01-01T00:00:00Z", "1"));
    plane.moveClock(60);

    const { status } = await apply(plane, at(SHA.two, plane.now().toISOString(), "2"));

    assert.equal(status, 201);
  });

  test("deployments of others are named with their owner, and nothing is changed unless adopt is said", async () => {
    await using plane = await buildPlane();
    const made = await createDeployment(plane);
    const staging = { ...SCOPE, environment: "staging" };
    await applied(plane, { ...candidate([wanted("hourly")]), scope: staging });
    const release = candidate([wanted("nightly"), wanted("hourly"), wanted("new")]);

    const refused = await apply(plane, release);
    const adopted = await apply(plane, { ...release, adopt: true });
    const lost = await apply(plane, { ...candidate([wanted("hourly")]), scope: staging });

    assert.deepEqual([refused.status, refused.body.code], [409, "RELEASE_CONFLICT"]);
    assert.match(
      refused.body.detail,
      /etl\/nightly \(made by hand.*etl\/hourly \(owned by acme\/etl, \., environment staging\)/,
    );
    assert.deepEqual(refused.body.plan.changes[1].owner, staging);
    assert.equal(adopted.status, 201);
    assert.deepEqual(listActions(adopted.body.release.changes), [
      "adopt etl/nightly",
      "adopt etl/hourly",
      "create etl/new",
    ]);
    assert.equal((await read(plane, "etl/nightly")).id, made.id);
    assert.equal(lost.body.code, "RELEASE_CONFLICT");
  });

  test("what no release owns is not pruned", async () => {
    await using plane = await buildPlane();
    await createDeployment(plane);
    await applied(plane, { ...candidate([wanted("other")]), scope: { ...SCOPE, project_path: "other" } });

    const { changes } = await plan(plane, candidate([wanted("mine")], { prune: "delete" }));

    assert.deepEqual(listActions(changes), ["create etl/mine"]);
  });
});

describe("rename", () => {
  test("replaces keeps id and runs, once", async () => {
    await using plane = await buildPlane();
    await applied(plane, candidate([wanted("old")]));
    const { id } = await read(plane, "etl/old");
    const run = await createRun(plane, id);
    const release = candidate([wanted("new", { version: "2" }, { replaces: "old" })]);

    const first = await apply(plane, release);
    const second = await apply(plane, release);

    assert.deepEqual(listActions(first.body.release.changes), ["rename etl/new"]);
    assert.deepEqual([first.body.release.changes[0].from, first.body.deployments["etl/new"]], ["etl/old", id]);
    assert.equal(second.body.changed, false);
    assert.equal((await call(plane, "GET", "/deployments/name/etl/old")).status, 404);
    assert.equal((await call(plane, "GET", `/flow_runs/${run.id}`)).body.deployment_id, id);
  });

  test("a deployment moves to another flow, and names are handed on in a chain", async () => {
    await using plane = await buildPlane();
    await applied(plane, candidate([wanted("a"), wanted("b")]));
    const before = [(await read(plane, "etl/a")).id, (await read(plane, "etl/b")).id];

    await applied(
      plane,
      candidate([wanted("b", {}, { replaces: "etl/a" }), wanted("c", {}, { replaces: "etl/b", flow_name: "load" })]),
    );

    assert.deepEqual([(await read(plane, "etl/b")).id, (await read(plane, "load/c")).id], before);
  });
});

describe("pruning", () => {
  test("what the release lacks is paused first, and deleted by a later commit only", async () => {
    await using plane = await buildPlane();
    await applied(plane, candidate([wanted("stays"), wanted("goes")]));
    const release = (sha: string) => candidate([wanted("stays")], { sha, prune: "delete" });

    const second = await apply(plane, release(SHA.two));
    const paused = await read(plane, "etl/goes");
    const repeated = await apply(plane, release(SHA.two));
    const third = await apply(plane, release(SHA.three));

    assert.deepEqual(listActions(second.body.release.changes), ["pause etl/goes"]);
    assert.equal(paused.paused, true);
    assert.equal(repeated.body.changed, false);
    assert.deepEqual(listActions(third.body.release.changes), ["delete etl/goes"]);
    assert.equal((await call(plane, "GET", "/deployments/name/etl/goes")).status, 404);
  });

  test("prune: pause never deletes, and keep does nothing", async () => {
    await using plane = await buildPlane();
    await applied(plane, candidate([wanted("stays"), wanted("goes")]));

    const kept = await apply(plane, candidate([wanted("stays")], { sha: SHA.two, prune: "keep" }));
    const paused = await apply(plane, candidate([wanted("stays")], { sha: SHA.two }));
    const again = await apply(plane, candidate([wanted("stays")], { sha: SHA.three }));

    assert.deepEqual(
      [kept.body.changed, listActions(paused.body.release.changes), again.body.changed],
      [false, ["pause etl/goes"], false],
    );
    assert.equal((await read(plane, "etl/goes")).paused, true);
  });

  test("what comes back is resumed, unless an operator had paused it", async () => {
    await using plane = await buildPlane();
    await applied(plane, candidate([wanted("running"), wanted("held")]));
    const { id } = await read(plane, "etl/held");
    await call(plane, "POST", `/deployments/${id}/pause_deployment`);
    await applied(plane, candidate([], { sha: SHA.two }));

    await applied(plane, candidate([wanted("running"), wanted("held")], { sha: SHA.three }));

    assert.deepEqual(
      [(await read(plane, "etl/running")).paused, (await read(plane, "etl/held")).paused],
      [false, true],
    );
  });
});
