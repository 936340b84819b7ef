import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { applied, apply, buildPlane, candidate, plan, SHA } from "./release-support.ts";

const name = fc.constantFrom("a", "b", "c", "d");
const json = fc.jsonValue({ maxDepth: 2 });
const key = fc.constantFrom("image", "env", "memory", "api_token", "x.y", "");
const text = fc.string({ maxLength: 5 });

const spec = fc.oneof(
  fc.record({
    cron: fc.constantFrom("0 6 * * *", "*/5  * * * *", "@daily"),
    timezone: fc.constantFrom("Europe/Oslo", null),
  }),
  fc.record({ interval: fc.integer({ min: 1, max: 9000 }) }),
  fc.record({ interval: fc.constant(60), anchor_date: fc.constantFrom("2026-01-01", "2026-02-01T00:00:00+02:00") }),
  fc.record({ rrule: fc.constantFrom("FREQ=DAILY", "DTSTART:20200101T000000\nFREQ=DAILY", "FREQ=WEEKLY;BYDAY=MO") }),
);
const schedule = fc.record(
  {
    schedule: spec,
    active: fc.boolean(),
    max_scheduled_runs: fc.constantFrom(null, 3),
    parameters: fc.dictionary(text, json, { maxKeys: 2 }),
  },
  { requiredKeys: ["schedule"] },
);
const slugged = fc.uniqueArray(fc.record({ schedule: spec, slug: fc.constantFrom("s1", "s2", "s3") }), {
  selector: ({ slug }) => slug,
});

const deployment = fc.record(
  {
    version: fc.option(text),
    description: fc.option(text),
    paused: fc.boolean(),
    tags: fc.array(text, { maxLength: 3 }),
    parameters: fc.option(fc.dictionary(key, json, { maxKeys: 3 })),
    enforce_parameter_schema: fc.constant(false),
    parameter_openapi_schema: fc.option(fc.constantFrom({}, { type: "object", properties: {} })),
    work_pool_name: fc.constantFrom("pool", null),
    work_queue_name: fc.constantFrom("fast", "default", "", null),
    job_variables: fc.option(fc.dictionary(fc.constantFrom("env", "memory", "api_token", "x.y"), json, { maxKeys: 3 })),
    entrypoint: fc.option(text),
    pull_steps: fc.option(fc.array(fc.dictionary(key, json, { maxKeys: 2 }), { maxLength: 2 })),
    concurrency_limit: fc.constantFrom(null, 1, 2),
    concurrency_options: fc.constantFrom(
      null,
      { collision_strategy: "ENQUEUE" },
      { collision_strategy: "CANCEL_NEW", grace_period_seconds: 60 },
    ),
    labels: fc.option(fc.dictionary(fc.constantFrom("team", "n"), fc.oneof(text, fc.integer(), fc.boolean()))),
    schedules: fc.oneof(fc.array(schedule, { maxLength: 3 }), slugged),
  },
  { requiredKeys: [] },
);
const trigger = fc.record(
  {
    name: fc.constantFrom("t1", "t2"),
    trigger: fc.dictionary(key, json, { maxKeys: 2 }),
    actions: fc.constantFrom([], [{ type: "run-deployment", source: "selected" }], [{ type: "do-nothing" }]),
    enabled: fc.boolean(),
  },
  { requiredKeys: ["name", "trigger", "actions"] },
);
const wanted = fc.record(
  {
    flow_name: fc.constantFrom("etl", "load"),
    name,
    deployment,
    triggers: fc.array(trigger, { maxLength: 2 }),
    replaces: name,
  },
  { requiredKeys: ["flow_name", "name", "deployment"] },
);
const deployments = fc
  .uniqueArray(wanted, { selector: (each) => `${each.flow_name}/${each.name}`, maxLength: 4 })
  .map((list) =>
    list.map(({ name: called, deployment: body, ...rest }) => ({ ...rest, deployment: { ...body, name: called } })),
  );
const prune = fc.constantFrom("keep", "pause", "delete");

/** Three states in a row, each released over what the one before left. */
const history = fc.array(fc.record({ deployments, prune }), { minLength: 1, maxLength: 3 });

test("whatever is released: planned again it changes nothing, and its plan said what it did", async () => {
  await using plane = await buildPlane();
  let scope = 0;

  await fc.assert(
    fc.asyncProperty(history, async (releases) => {
      scope += 1;
      const shas = Object.values(SHA);
      for (const [index, { deployments: list, prune: how }] of releases.entries()) {
        const release = {
          ...candidate(list, { sha: shas[index] ?? SHA.one, prune: how, adopt: true }),
          scope: { repository: `acme/${scope}`, project_path: ".", environment: "production" },
        };
        const before = await plan(plane, release);
        const answer = await apply(plane, release, before.plan_hash);
        assert.equal(answer.status < 300, true, JSON.stringify(answer.body));

        const after = await plan(plane, release);
        const open = after.changes.filter(({ action }: { action: string }) => action !== "unchanged");
        assert.deepEqual(open, []);
        const again = await applied(plane, release);
        assert.deepEqual([again.changed, again.deployments], [false, answer.body.deployments]);
      }
    }),
    // Shrinking would take minutes; the first case that fails is small enough.
    { numRuns: 40, endOnFailure: true },
  );
});
