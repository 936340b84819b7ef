import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { TestPlane } from "../support/build-test-plane.ts";
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
import { UNKNOWN_ID } from "./resources.ts";

function rollBack(plane: TestPlane, body: Record<string, unknown> = {}) {
  return call(plane, "POST", "/flowyard/releases/rollback", {
    scope: SCOPE,
    source: { event: "cli", actor: "jane" },
    ...body,
  });
}

function drift(plane: TestPlane) {
  return call(plane, "POST", "/flowyard/releases/drift", { scope: SCOPE });
}

/** Three releases of one deployment: versions 1, 2, 3 from commits one, two, three. */
async function releaseThree(plane: TestPlane): Promise<void> {
  for (const [index, sha] of Object.values(SHA).entries()) {
    const committedAt = `2026-01-0${index + 1}T00:00:00Z`;
    await applied(plane, candidate([wanted("nightly", { version: `${index + 1}` })], { sha, committedAt }));
  }
}

describe("what an operator does", () => {
  test("a pause survives every deploy that does not speak of it, on deployments, schedules and triggers", async () => {
    await using plane = await buildPlane();
    const triggers = [{ name: "t", trigger: { type: "event" }, actions: [] }];
    await applied(plane, candidate([wanted("nightly", {}, { triggers })]));
    const { id, schedules } = await read(plane, "etl/nightly");
    const [automation] = (await call(plane, "GET", `/automations/related-to/prefect.deployment.${id}`)).body;
    await call(plane, "POST", `/deployments/${id}/pause_deployment`);
    await call(plane, "PATCH", `/deployments/${id}/schedules/${schedules[0].id}`, { active: false });
    await call(plane, "PATCH", `/automations/${automation.id}`, { enabled: false });

    const same = await apply(plane, candidate([wanted("nightly", {}, { triggers })]));
    const schedule = { schedule: { cron: "0 7 * * *" } };
    await applied(plane, candidate([wanted("nightly", { version: "2", schedules: [schedule] }, { triggers })]));

    const after = await read(plane, "etl/nightly");
    assert.equal(same.body.changed, false);
    assert.deepEqual(
      [after.version, after.paused, after.schedules[0].active, after.schedules[0].schedule.cron],
      ["2", true, false, "0 7 * * *"],
    );
    assert.equal((await call(plane, "GET", `/automations/${automation.id}`)).body.enabled, false);
  });

  test("what the file says wins, and what it said and says no more is taken back", async () => {
    await using plane = await buildPlane();
    const active = (value: boolean | undefined) => [{ schedule: { cron: "0 6 * * *" }, active: value }];
    await applied(plane, candidate([wanted("nightly", { paused: true, schedules: active(false) })]));
    const first = await read(plane, "etl/nightly");

    await applied(plane, candidate([wanted("nightly", { schedules: active(undefined) })]));
    const second = await read(plane, "etl/nightly");
    await call(plane, "POST", `/deployments/${first.id}/pause_deployment`);
    await applied(plane, candidate([wanted("nightly", { paused: false, schedules: active(true) })]));
    const third = await read(plane, "etl/nightly");

    assert.deepEqual([first.paused, first.schedules[0].active], [true, false]);
    assert.deepEqual([second.paused, second.schedules[0].active], [false, true]);
    assert.equal(third.paused, false);
  });

  test("an operator's pause is not taken back because the file once said it", async () => {
    await using plane = await buildPlane();
    await applied(plane, candidate([wanted("nightly", { paused: true })]));
    const { id } = await read(plane, "etl/nightly");
    await call(plane, "POST", `/deployments/${id}/resume_deployment`);
    await applied(plane, candidate([wanted("nightly")]));
    await call(plane, "POST", `/deployments/${id}/pause_deployment`);

    const { body } = await apply(plane, candidate([wanted("nightly")]));

    assert.deepEqual([body.changed, (await read(plane, "etl/nightly")).paused], [false, true]);
  });

  test("a limit and labels that were set on the plane stay", async () => {
    await using plane = await buildPlane();
    await applied(plane, candidate([wanted("nightly", { labels: { team: "a" } })]));
    const { id } = await read(plane, "etl/nightly");
    const limit = (await call(plane, "POST", "/v2/concurrency_limits/", { name: "shared", limit: 1 })).body;
    await call(plane, "PATCH", `/deployments/${id}`, { global_concurrency_limit_id: limit.id });

    await applied(plane, candidate([wanted("nightly", { version: "2", labels: { team: "b" } })]));

    const after = await read(plane, "etl/nightly");
    assert.deepEqual([after.global_concurrency_limit.name, after.labels["team"]], ["shared", "b"]);
  });
});

describe("rollback", () => {
  test("brings an earlier state back as a release of its own, by number, id or commit", async () => {
    await using plane = await buildPlane();
    await releaseThree(plane);
    const releases = (await call(plane, "POST", "/flowyard/releases/filter", {})).body;
    const versions: string[] = [];

    for (const to of ["1", releases[0].id, SHA.two.slice(0, 7)]) {
      const { status, body } = await rollBack(plane, { to });
      assert.equal(status, 201, JSON.stringify(body));
      versions.push((await read(plane, "etl/nightly")).version);
    }

    assert.deepEqual(versions, ["1", "3", "2"]);
    const [last] = (await call(plane, "POST", "/flowyard/releases/filter", { limit: 1 })).body;
    assert.deepEqual(
      [last.number, last.live, last.rollback_of, last.source.actor, last.source.event, last.source.commit_sha],
      [6, true, releases[1].id, "jane", "cli", SHA.two],
    );
  });

  test("without a goal it goes one deploy back each time, and then there is nothing before", async () => {
    await using plane = await buildPlane();
    await releaseThree(plane);

    const versions: string[] = [];
    for (const _ of [1, 2]) {
      await rollBack(plane);
      versions.push((await read(plane, "etl/nightly")).version);
    }
    const nothing = await rollBack(plane);

    assert.deepEqual(versions, ["2", "1"]);
    assert.deepEqual([nothing.status, nothing.body.code], [404, "NOT_FOUND"]);
  });

  test("after it, the commits that come after its own can be released again", async () => {
    await using plane = await buildPlane();
    await releaseThree(plane);
    await rollBack(plane, { to: "1" });

    const { status } = await apply(
      plane,
      candidate([wanted("nightly", { version: "2" })], { sha: SHA.two, committedAt: "2026-01-02T00:00:00Z" }),
    );

    assert.equal(status, 201);
  });

  test("a deployment that is gone is made again, one that the goal lacks is paused, an operator's pause stays", async () => {
    await using plane = await buildPlane();
    await applied(plane, candidate([wanted("gone"), wanted("held")]));
    await applied(
      plane,
      candidate([wanted("gone"), wanted("held", { version: "2" }), wanted("late")], { sha: SHA.two }),
    );
    const { id } = await read(plane, "etl/held");
    await call(plane, "POST", `/deployments/${id}/pause_deployment`);
    await call(plane, "DELETE", `/deployments/${(await read(plane, "etl/gone")).id}`);

    const planned = (
      await call(plane, "POST", "/flowyard/releases/rollback/plan", { scope: SCOPE, source: { event: "cli" } })
    ).body;
    const { body } = await rollBack(plane, { plan_hash: planned.plan_hash });

    assert.deepEqual(listActions(body.release.changes), ["create etl/gone", "update etl/held", "pause etl/late"]);
    const held = await read(plane, "etl/held");
    assert.deepEqual([held.version, held.paused], [null, true]);
  });

  test("a plan hash that does not hold stops it", async () => {
    await using plane = await buildPlane();
    await releaseThree(plane);

    const { status, body } = await rollBack(plane, { plan_hash: "0".repeat(64) });

    assert.deepEqual([status, body.code], [409, "PLAN_CHANGED"]);
    assert.equal((await read(plane, "etl/nightly")).version, "3");
  });

  test("a release of another scope is no goal", async () => {
    await using plane = await buildPlane();
    await releaseThree(plane);
    const other = { ...SCOPE, environment: "staging" };
    const { release } = await applied(plane, { ...candidate([wanted("other")]), scope: other });

    const { status } = await rollBack(plane, { to: release.id });

    assert.equal(status, 404);
  });
});

describe("looking", () => {
  test("drift names what was changed by hand: from the release to what is there", async () => {
    await using plane = await buildPlane();
    await applied(plane, candidate([wanted("edited"), wanted("gone"), wanted("same")]));
    const none = (await drift(plane)).body;
    const { id } = await read(plane, "etl/edited");
    await call(plane, "PATCH", `/deployments/${id}`, { description: "by hand", paused: true });
    await call(plane, "DELETE", `/deployments/${(await read(plane, "etl/gone")).id}`);

    const { body } = await drift(plane);

    assert.deepEqual([none.changes, none.release.number], [[], 1]);
    assert.deepEqual(listActions(body.changes), ["update etl/edited", "delete etl/gone"]);
    assert.deepEqual(
      body.changes[0].fields.map(({ field, before, after }: Record<string, unknown>) => [field, before, after]),
      [
        ["description", null, "by hand"],
        ["paused", false, true],
      ],
    );
  });

  test("drift of what was never released is nothing", async () => {
    await using plane = await buildPlane();

    assert.deepEqual((await drift(plane)).body, { release: null, changes: [] });
  });

  test("two releases are compared, by default with the one before", async () => {
    await using plane = await buildPlane();
    const first = await applied(plane, candidate([wanted("a"), wanted("b"), wanted("c")]));
    await applied(plane, candidate([wanted("a", { version: "2" }), wanted("b"), wanted("c")], { sha: SHA.two }));
    const third = await applied(
      plane,
      candidate([wanted("a", { version: "3" }), wanted("x", {}, { replaces: "b" }), wanted("d")], { sha: SHA.three }),
    );

    const byDefault = (await call(plane, "GET", `/flowyard/releases/${third.release.id}/diff`)).body;
    const far = (await call(plane, "GET", `/flowyard/releases/${third.release.id}/diff?from=${first.release.id}`)).body;
    const alone = (await call(plane, "GET", `/flowyard/releases/${first.release.id}/diff`)).body;

    assert.deepEqual([byDefault.from.number, byDefault.to.number], [2, 3]);
    assert.deepEqual(listActions(byDefault.changes), ["update etl/a", "rename etl/x", "create etl/d", "delete etl/c"]);
    assert.deepEqual(byDefault.changes[0].fields, [{ field: "version", before: "2", after: "3" }]);
    assert.deepEqual(far.changes[0].fields, [{ field: "version", before: null, after: "3" }]);
    assert.deepEqual([alone.from, alone.changes.length], [null, 3]);
  });

  test("releases are listed by any part of their scope, and found by id", async () => {
    await using plane = await buildPlane();
    await applied(plane, candidate([wanted("a")]));
    const { release } = await applied(plane, {
      ...candidate([wanted("b")]),
      scope: { ...SCOPE, environment: "staging" },
    });
    const list = async (body: unknown) => (await call(plane, "POST", "/flowyard/releases/filter", body)).body;

    assert.equal((await list({})).length, 2);
    assert.equal((await list({ scope: { repository: "acme/etl" } })).length, 2);
    assert.deepEqual(await list({ scope: { environment: "staging" } }), [release]);
    assert.deepEqual((await call(plane, "GET", `/flowyard/releases/${release.id}`)).body, release);
    assert.equal((await call(plane, "GET", `/flowyard/releases/${UNKNOWN_ID}`)).status, 404);
    assert.equal((await call(plane, "POST", "/flowyard/releases/filter", { limit: 201 })).status, 422);
  });

  test("no answer about releases has a secret", async () => {
    await using plane = await buildPlane();
    const secret = "hunter2-hunter2";
    const release = (suffix: string) =>
      candidate([
        wanted("nightly", {
          job_variables: { image: "etl:1", env: { MODE: secret + suffix }, registry_password: secret + suffix },
          parameters: { stars: 1, api_token: secret + suffix },
          pull_steps: [
            { "git.clone": { repository: `https://x:${secret}${suffix}@git.acme.com/r.git`, access_token: secret } },
          ],
          description: `connects to postgres://user:${secret}@db/etl with password=${secret}`,
          schedules: [{ schedule: { cron: "1 1 * * *" }, parameters: { token: secret + suffix } }],
        }),
      ]);

    const answers = [
      await plan(plane, release("a")),
      await applied(plane, release("a")),
      await applied(plane, release("b")),
    ];
    const [last] = (await call(plane, "POST", "/flowyard/releases/filter", {})).body;
    await call(plane, "PATCH", `/deployments/${answers[1].deployments["etl/nightly"]}`, {
      job_variables: { image: "x" },
    });
    answers.push(last, await plan(plane, release("c")), (await drift(plane)).body, (await rollBack(plane)).body);
    answers.push((await call(plane, "GET", `/flowyard/releases/${last.id}/diff`)).body);

    for (const answer of answers) {
      assert.ok(!JSON.stringify(answer).includes(secret), JSON.stringify(answer));
    }
    assert.equal((await read(plane, "etl/nightly")).job_variables.registry_password, `${secret}a`);
    const fields = answers[0].changes[0].fields.map(({ field }: { field: string }) => field);
    assert.ok(fields.includes("job_variables.env.MODE"), fields.join());
  });
});
