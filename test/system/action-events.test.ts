import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type ActionCall, type ActionResult, eventCases, findEvent, runAction } from "../support/action-process.ts";
import { createWorkPool, describeProcessProject, makeWorkspace } from "../support/action-project.ts";
import { type FakeGithub, startFakeGithub } from "../support/fake-github/server.ts";
import { type PlaneProcess, startPlane } from "../support/plane-process.ts";

/** What each payload has to lead to: decision and reason code. */
const EXPECTED: Record<string, [decision: string, reason: RegExp]> = {
  "push push.branch.json": ["deploy", /^(DEPLOYED|NOTHING_TO_DO)$/],
  "push push.branch-created.json": ["ignore", /^BRANCH_NOT_DEFAULT$/],
  "push push.tag.json": ["ignore", /^TAG_PUSHED$/],
  "push push.branch-deleted.json": ["ignore", /^BRANCH_DELETED$/],
  "push push.forced.json": ["ignore", /^BRANCH_NOT_DEFAULT$/],
  "pull_request pull_request.opened.json": ["plan", /^PLANNED$/],
  "pull_request pull_request.synchronize.json": ["plan", /^PLANNED$/],
  "pull_request pull_request.reopened.json": ["plan", /^PLANNED$/],
  "pull_request pull_request.ready_for_review.json": ["plan", /^PLANNED$/],
  "pull_request pull_request.labeled.json": ["ignore", /^PULL_REQUEST_UNCHANGED$/],
  "pull_request pull_request.closed-merged.json": ["ignore", /^PULL_REQUEST_CLOSED$/],
  "pull_request pull_request.closed-unmerged.json": ["ignore", /^PULL_REQUEST_CLOSED$/],
  "pull_request pull_request.opened-fork.json": ["plan", /^PLANNED_WITHOUT_SERVER$/],
  "pull_request_target pull_request.opened-fork.json": ["none", /^EVENT_REFUSED$/],
  "pull_request pull_request.closed-fork-deleted.json": ["ignore", /^PULL_REQUEST_CLOSED$/],
  "pull_request pull_request.opened-dependabot.json": ["plan", /^PLANNED_WITHOUT_SERVER$/],
  "issue_comment issue_comment.created-pull_request.json": ["ignore", /^COMMENT_IGNORED$/],
  "issue_comment issue_comment.created-pull_request-outsider.json": ["ignore", /^COMMENT_IGNORED$/],
  "issue_comment issue_comment.created-pull_request-bot.json": ["ignore", /^COMMENT_IGNORED$/],
  "issue_comment issue_comment.created-issue.json": ["ignore", /^COMMENT_IGNORED$/],
  "issue_comment issue_comment.created-pull_request-closed.json": ["ignore", /^COMMENT_IGNORED$/],
  "issue_comment issue_comment.edited-pull_request.json": ["ignore", /^COMMENT_IGNORED$/],
  "issue_comment issue_comment.deleted-pull_request.json": ["ignore", /^COMMENT_IGNORED$/],
  "repository_dispatch repository_dispatch.json": ["deploy", /^(DEPLOYED|NOTHING_TO_DO)$/],
  "workflow_dispatch workflow_dispatch.json": ["deploy", /^(DEPLOYED|NOTHING_TO_DO)$/],
  "workflow_dispatch workflow_dispatch.tag.json": ["deploy", /^(DEPLOYED|NOTHING_TO_DO)$/],
  "schedule schedule.json": ["drift", /^NO_DRIFT$/],
  "schedule schedule.with-repository.json": ["drift", /^NO_DRIFT$/],
  "workflow_run workflow_run.completed.json": ["ignore", /^EVENT_IGNORED$/],
  "workflow_run workflow_run.completed-pull_request.json": ["ignore", /^EVENT_IGNORED$/],
  "workflow_run workflow_run.completed-fork.json": ["ignore", /^EVENT_IGNORED$/],
  "merge_group merge_group.checks_requested.json": ["plan", /^PLANNED$/],
  "deployment_status deployment_status.created.json": ["ignore", /^EVENT_IGNORED$/],
  "delete delete.branch.json": ["ignore", /^EVENT_IGNORED$/],
  "delete delete.tag.json": ["ignore", /^EVENT_IGNORED$/],
  "release release.published.json": ["ignore", /^EVENT_IGNORED$/],
};
const FAILING = /^EVENT_REFUSED$/;
/** Their runs get no secrets: no address of the plane that would help, no credentials. */
const STRANGERS = new Set(["pull_request.opened-fork.json", "pull_request.opened-dependabot.json"]);

describe("every event that GitHub sends", () => {
  let plane: PlaneProcess;
  let github: FakeGithub;
  let workspace: string;
  let token: string;

  before(async () => {
    [plane, github] = await Promise.all([startPlane(), startFakeGithub()]);
    workspace = await makeWorkspace(describeProcessProject());
    token = github.issueToken({ contents: "read", pull_requests: "write", checks: "write", deployments: "write" });
    await createWorkPool(plane.apiUrl, "local", "process");
  });
  after(async () => {
    await plane[Symbol.asyncDispose]();
    await github[Symbol.asyncDispose]();
    await rm(workspace, { recursive: true, force: true });
  });

  function call(more: Partial<ActionCall> & Pick<ActionCall, "event">): Promise<ActionResult> {
    const inputs = { "server-url": plane.apiUrl, ...more.inputs };
    return runAction({ workspace, apiUrl: github.url, token, ...more, inputs });
  }

  test("has a decision here", () => {
    assert.deepEqual(eventCases.map(({ event, file }) => `${event} ${file}`).sort(), Object.keys(EXPECTED).sort());
  });

  for (const event of eventCases) {
    const key = `${event.event} ${event.file}`;
    const [decision, reason] = EXPECTED[key] ?? ["", /^$/];
    test(`${key} (${event.note}): ${decision}`, async () => {
      const inputs = STRANGERS.has(event.file) ? { inputs: { "server-url": "" } } : {};

      const result = await call({ event, ...inputs });

      assert.match(result.outputs["reason-code"] ?? "", reason, result.output);
      assert.equal(result.outputs["decision"], decision, result.output);
      assert.equal(result.code, FAILING.test(result.outputs["reason-code"] ?? "") ? 1 : 0, result.output);
      assert.deepEqual(github.problems.splice(0), []);
      const written = github.calls.splice(0).filter(({ method }) => method !== "GET");
      assert.ok(!STRANGERS.has(event.file) || written.length === 0, "a stranger's token may only read");
    });
  }

  test("a payload that is no JSON, of another event, or missing is refused in words", async () => {
    const event = findEvent("push.branch.json");
    const results = [
      await call({ event, eventText: "{" }),
      await call({ event, payload: { zen: "Keep it logically awesome." } }),
      await call({ event, payload: { ref: 1, after: ["a"], deleted: "no" } }),
      await call({ event, eventText: "" }),
      await call({ event, env: { GITHUB_EVENT_PATH: join(workspace, "missing.json") } }),
    ];

    for (const result of results) {
      assert.equal(result.outputs["reason-code"], "EVENT_INVALID", result.output);
      assert.equal(result.code, 1);
      assert.equal(result.commands.filter((it) => it.name === "error").length, 1);
    }
  });

  test("an event of 26 MB is refused without reading it into shape", async () => {
    const event = findEvent("push.branch.json");

    const result = await call({ event, payload: { ref: "x".repeat(26 * 1024 * 1024), after: "" } });

    assert.equal(result.outputs["reason-code"], "EVENT_INVALID", result.output);
    assert.ok(result.output.length < 10_000);
  });
});
