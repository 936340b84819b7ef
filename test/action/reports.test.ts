import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { countChanges, describePlan, listPlanLines } from "../../src/action/describe-plan.ts";
import type { Ending } from "../../src/action/finish.ts";
import { locateProblems } from "../../src/action/locate-problems.ts";
import { createStory, type Story } from "../../src/action/story.ts";
import { buildSummary } from "../../src/action/summary.ts";
import type { Change, Plan } from "../../src/flowyard-api/releases.ts";

const SCOPE = { repository: "Octocoders/Hello-World", project_path: ".", environment: "production" };
const DIGEST = `sha256:${"ab".repeat(32)}`;
const ENDING: Ending = { decision: "plan", reason_code: "PLANNED", message: "1 to update", next_step: "" };
const CONTEXT = {
  environment: "production",
  runUrl: "https://github.com/a/b/actions/runs/1",
  sha: DIGEST.slice(7, 47),
};

function buildPlan(changes: Change[], refusal: Plan["refusal"] = null): Plan {
  return { plan_hash: "0123456789abcdef", scope: SCOPE, base_release_id: null, changes, refusal };
}

function tell(plan: Plan): Story {
  const project = {
    projectPath: ".",
    file: "prefect.yaml",
    images: [],
    release: undefined,
    deployments: {},
    names: [],
  };
  return { ...createStory(), projects: [{ ...project, plan }] };
}

const EVERY_CHANGE: Change[] = [
  { action: "create", deployment: "etl/new", fields: [{ field: "tags", before: null, after: ["a"] }] },
  {
    action: "update",
    deployment: "etl/nightly",
    fields: [
      {
        field: "schedules",
        before: [{ cron: "0 4 * * *" }],
        after: [{ cron: "0 5 * * *" }],
        next_fires: { before: ["2026-11-25T04:00:00.000000Z"], after: ["2026-11-25T05:00:00.000000Z"] },
      },
      {
        field: "job_variables.image",
        before: "r/etl:1",
        after: `r/etl@${DIGEST}`,
        images: { before: null, after: { name: "r/etl", tag: "latest", digest: DIGEST, content_hash: null } },
      },
    ],
  },
  { action: "rename", deployment: "etl/b", from: "etl/a", fields: [] },
  { action: "adopt", deployment: "etl/by-hand", owner: null, fields: [] },
  { action: "pause", deployment: "etl/gone" },
  { action: "delete", deployment: "etl/long-gone" },
  { action: "conflict", deployment: "etl/theirs", owner: { ...SCOPE, repository: "other/repo" } },
  { action: "unchanged", deployment: "etl/same" },
];

describe("what a plan says", () => {
  const blocks = describePlan(buildPlan(EVERY_CHANGE)).join("\n\n");

  test("names every change, what needs a look first", () => {
    const order = [
      "etl/theirs",
      "etl/long-gone",
      "etl/gone",
      "etl/by-hand",
      "etl/b",
      "etl/new",
      "etl/nightly",
      "etl/same",
    ];

    const places = order.map((name) => blocks.indexOf(`\`${name}\``));

    assert.deepEqual(
      places,
      places.toSorted((a, b) => a - b),
    );
    assert.ok(!places.includes(-1));
  });

  test("shows schedules with their next fires, images by digest, owners and old names", () => {
    for (const part of ["`2026-11-25 05:00 UTC`", "`abababababab`", "`r/etl:latest`", "`other/repo`", "was `etl/a`"]) {
      assert.ok(blocks.includes(part), part);
    }
  });

  test("counts, and lists for the log", () => {
    const expected =
      "1 in conflict, 1 to delete, 1 to pause, 1 to adopt, 1 to rename, 1 to create, 1 to update, 1 unchanged";

    assert.equal(countChanges(EVERY_CHANGE), expected);
    assert.equal(countChanges([]), "no deployments");
    assert.equal(listPlanLines(buildPlan(EVERY_CHANGE)).length, 7);
  });
});

describe("the summary", () => {
  test("holds no markup of those who wrote names, values and messages", () => {
    const evil = "x`|\n## owned <img src=x> @octocat [a](javascript:b) ::error::y";
    const plan = buildPlan([
      { action: "update", deployment: `etl/${evil}`, fields: [{ field: evil, before: evil, after: { [evil]: evil } }] },
      { action: "conflict", deployment: `a/${evil}`, owner: { ...SCOPE, repository: evil } },
    ]);
    const ending: Ending = { ...ENDING, message: evil, next_step: evil };

    const text = buildSummary(tell(plan), ending, { ...CONTEXT, environment: evil, maxCharacters: 100_000 });

    const bare = text.replaceAll(/(`+)(?!`)[\s\S]*?(?<!`)\1(?!`)/g, "").replaceAll(/\\[\\`*_{}[\]<>#|~]/g, "");
    assert.doesNotMatch(bare, /^## |<img|@octocat|\]\(javascript/m);
  });

  test("keeps to its limit and says that there is more, and where", () => {
    const changes = Array.from(
      { length: 5000 },
      (_, index): Change => ({ action: "pause", deployment: `flow/d${index}` }),
    );

    const text = buildSummary(tell(buildPlan(changes)), ENDING, { ...CONTEXT, maxCharacters: 65_000 });

    assert.ok(text.length <= 65_000);
    assert.match(text, /… \d+ more parts: \[the run has them\]\(https:\/\/github\.com/);
  });

  test("says why a deploy would be refused, and what could not be known", () => {
    const story = tell(buildPlan([], { code: "RELEASE_OUTDATED", message: "a newer one is live" }));
    story.unknowns.push("Whether the images build.");

    const text = buildSummary(story, ENDING, { ...CONTEXT, maxCharacters: 65_000 });

    assert.match(text, /Would be refused:\*\* a newer one is live/);
    assert.match(text, /Not known:\*\*\n- Whether the images build\./);
  });
});

describe("problems with a place", () => {
  test("become annotations on their lines, from the repository's root", () => {
    const message =
      'Nothing was deployed:\n\nprefect.yaml:5:12: there is no work pool "x".\n  5 | name: x\nflows/a.py:3:1: warning: odd';

    assert.deepEqual(locateProblems(message, "pipelines/a"), [
      {
        message: 'there is no work pool "x".',
        severity: "error",
        location: { file: "pipelines/a/prefect.yaml", line: 5, column: 12 },
      },
      { message: "odd", severity: "warning", location: { file: "pipelines/a/flows/a.py", line: 3, column: 1 } },
    ]);
  });

  test("are none in a message without places", () => {
    assert.deepEqual(locateProblems("The registry at http://127.0.0.1:5000/v2 said no", "."), []);
  });
});
