import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TriggerConfig } from "../../src/action/decide-by-mode.ts";
import type { Decision } from "../../src/action/decision.ts";
import { parseEvent } from "../../src/action/event.ts";
import { parseInputs } from "../../src/action/inputs.ts";
import { decideTrigger } from "../../src/action/trigger.ts";
import { hasCode } from "../../src/shared/errors.ts";

const folder = join(import.meta.dirname, "../fixtures/github-events");
const CONFIG: TriggerConfig = {
  GITHUB_REPOSITORY: "Octocoders/Hello-World",
  GITHUB_ACTOR: "Codertocat",
  GITHUB_RUN_ID: "30433642",
  GITHUB_JOB: "deploy",
  GITHUB_ACTION: "__flowyard",
};

interface Case {
  event: string;
  file: string;
  inputs?: Record<string, string>;
  config?: Partial<TriggerConfig>;
  change?: (payload: Record<string, unknown>) => unknown;
}

async function decide({
  event,
  file,
  inputs = {},
  config = {},
  change = (payload) => payload,
}: Case): Promise<Decision> {
  const payload: Record<string, unknown> = JSON.parse(await readFile(join(folder, file), "utf8"));
  return decideTrigger(parseEvent(event, change(payload)), { ...CONFIG, ...config }, parseInputs(inputs));
}

function describeDecision(decision: Decision): string {
  return decision.decision === "ignore" ? `ignore ${decision.reason_code}` : decision.decision;
}

describe("what an event asks for, with a mode or without", () => {
  const rows: [event: string, file: string, inputs: Record<string, string>, expected: string][] = [
    ["push", "push.branch.json", {}, "deploy"],
    ["push", "push.branch.json", { mode: "plan" }, "plan"],
    ["push", "push.branch.json", { mode: "drift" }, "drift"],
    ["push", "push.branch.json", { run: "etl/nightly" }, "run"],
    ["push", "push.branch-created.json", {}, "ignore BRANCH_NOT_DEFAULT"],
    ["push", "push.branch-created.json", { mode: "deploy" }, "deploy"],
    ["push", "push.tag.json", {}, "ignore TAG_PUSHED"],
    ["push", "push.tag.json", { mode: "deploy" }, "deploy"],
    ["push", "push.branch-deleted.json", {}, "ignore BRANCH_DELETED"],
    ["push", "push.branch-deleted.json", { mode: "deploy" }, "ignore BRANCH_DELETED"],
    ["push", "push.branch-deleted.json", { run: "etl/nightly" }, "ignore BRANCH_DELETED"],
    ["pull_request", "pull_request.opened.json", {}, "plan"],
    ["pull_request", "pull_request.opened.json", { mode: "deploy", environment: "pr-2" }, "deploy"],
    ["pull_request", "pull_request.opened.json", { run: "etl/nightly" }, "run"],
    ["pull_request", "pull_request.opened.json", { preview: "true" }, "deploy"],
    ["pull_request", "pull_request.opened.json", { preview: "true", mode: "plan" }, "plan"],
    ["pull_request", "pull_request.opened.json", { preview: "true", run: "etl/nightly" }, "run"],
    ["pull_request", "pull_request.labeled.json", { preview: "true" }, "ignore PULL_REQUEST_UNCHANGED"],
    ["pull_request", "pull_request.closed-merged.json", { preview: "true" }, "remove"],
    ["pull_request", "pull_request.closed-unmerged.json", { preview: "true", mode: "deploy" }, "remove"],
    ["pull_request", "pull_request.closed-merged.json", { preview: "true", mode: "plan" }, "plan"],
    ["pull_request", "pull_request.closed-unmerged.json", { mode: "remove-preview" }, "remove"],
    ["pull_request", "pull_request.closed-fork-deleted.json", { preview: "true" }, "ignore PULL_REQUEST_CLOSED"],
    ["pull_request", "pull_request.opened-fork.json", { preview: "true" }, "plan"],
    ["push", "push.branch.json", { preview: "true" }, "deploy"],
    ["workflow_dispatch", "workflow_dispatch.json", { mode: "rollback", release: "3" }, "rollback"],
    ["workflow_dispatch", "workflow_dispatch.json", { mode: "remove-preview", environment: "pr-7" }, "remove"],
    ["repository_dispatch", "repository_dispatch.json", { mode: "rollback" }, "rollback"],
    ["push", "push.branch-deleted.json", { mode: "rollback" }, "ignore BRANCH_DELETED"],
    ["issue_comment", "issue_comment.created-pull_request.json", { mode: "rollback" }, "ignore COMMENT_IGNORED"],
    ["pull_request", "pull_request.labeled.json", {}, "ignore PULL_REQUEST_UNCHANGED"],
    ["pull_request", "pull_request.labeled.json", { mode: "plan" }, "plan"],
    ["pull_request", "pull_request.closed-merged.json", {}, "ignore PULL_REQUEST_CLOSED"],
    ["pull_request", "pull_request.closed-merged.json", { run: "etl/clean-up" }, "run"],
    ["pull_request", "pull_request.closed-fork-deleted.json", {}, "ignore PULL_REQUEST_CLOSED"],
    ["pull_request", "pull_request.opened-fork.json", {}, "plan"],
    ["pull_request", "pull_request.opened-fork.json", { mode: "plan" }, "plan"],
    ["issue_comment", "issue_comment.created-pull_request.json", { mode: "deploy" }, "ignore COMMENT_IGNORED"],
    ["issue_comment", "issue_comment.created-pull_request.json", { run: "etl/nightly" }, "ignore COMMENT_IGNORED"],
    ["repository_dispatch", "repository_dispatch.json", {}, "deploy"],
    ["workflow_dispatch", "workflow_dispatch.json", {}, "deploy"],
    ["workflow_dispatch", "workflow_dispatch.tag.json", {}, "deploy"],
    ["workflow_dispatch", "workflow_dispatch.json", { mode: "plan" }, "plan"],
    ["schedule", "schedule.json", {}, "drift"],
    ["schedule", "schedule.json", { mode: "deploy" }, "deploy"],
    ["schedule", "schedule.with-repository.json", { run: "etl/nightly" }, "run"],
    ["workflow_run", "workflow_run.completed.json", {}, "ignore EVENT_IGNORED"],
    ["workflow_run", "workflow_run.completed.json", { mode: "deploy" }, "deploy"],
    ["merge_group", "merge_group.checks_requested.json", {}, "plan"],
    ["merge_group", "merge_group.checks_requested.json", { mode: "deploy" }, "plan"],
    ["release", "release.published.json", {}, "ignore EVENT_IGNORED"],
    ["release", "release.published.json", { mode: "deploy" }, "deploy"],
    ["deployment_status", "deployment_status.created.json", {}, "ignore EVENT_IGNORED"],
    ["delete", "delete.branch.json", {}, "ignore EVENT_IGNORED"],
  ];
  for (const [event, file, inputs, expected] of rows) {
    test(`${file} with ${JSON.stringify(inputs)}: ${expected}`, async () => {
      assert.equal(describeDecision(await decide({ event, file, inputs })), expected);
    });
  }

  test("a branch of the merge queue is not deployed, whatever the mode", async () => {
    const change = (payload: Record<string, unknown>) => ({
      ...payload,
      ref: "refs/heads/gh-readonly-queue/main/pr-2-6113728f27ae82c7b1a177c8d03f9e96e0adf246",
    });
    const asked = [{}, { mode: "deploy" }, { run: "etl/nightly" }].map((inputs) =>
      decide({ event: "push", file: "push.branch.json", inputs, change }),
    );

    const decisions = (await Promise.all(asked)).map(describeDecision);

    assert.deepEqual(decisions, ["ignore QUEUE_BRANCH", "ignore QUEUE_BRANCH", "ignore QUEUE_BRANCH"]);
  });

  test("a workflow that ended badly starts nothing", async () => {
    const change = (payload: Record<string, unknown>) => ({
      ...payload,
      workflow_run: { ...Object(payload["workflow_run"]), conclusion: "failure" },
    });

    const decision = await decide({
      event: "workflow_run",
      file: "workflow_run.completed.json",
      inputs: { mode: "deploy" },
      change,
    });

    assert.equal(describeDecision(decision), "ignore WORKFLOW_NOT_SUCCESSFUL");
  });

  test("a deploy after another workflow is of the commit that was tested", async () => {
    const decision = await decide({
      event: "workflow_run",
      file: "workflow_run.completed.json",
      inputs: { mode: "deploy" },
    });

    assert.match(decision.decision === "deploy" ? (decision.expectedSha ?? "") : "", /^[0-9a-f]{40}$/);
  });
});

describe("strangers", () => {
  const rows: [event: string, file: string, inputs: Record<string, string>][] = [
    ["pull_request_target", "pull_request.opened-fork.json", {}],
    ["pull_request_target", "pull_request.opened.json", { mode: "plan" }],
    ["pull_request", "pull_request.opened-fork.json", { mode: "deploy" }],
    ["pull_request", "pull_request.opened-fork.json", { run: "etl/nightly" }],
    ["pull_request", "pull_request.closed-fork-deleted.json", { run: "etl/nightly" }],
    ["workflow_run", "workflow_run.completed-fork.json", { mode: "deploy" }],
  ];
  for (const [event, file, inputs] of rows) {
    test(`are refused: ${event} ${file} with ${JSON.stringify(inputs)}`, async () => {
      await assert.rejects(decide({ event, file, inputs }), (error) => hasCode(error, "EVENT_REFUSED"));
    });
  }

  test("a fork whose branch has the name of the default branch is a fork all the same", async () => {
    const decision = await decide({ event: "pull_request", file: "pull_request.opened-fork.json" });

    assert.equal(decision.decision === "plan" && decision.pullRequest?.isFork, true);
  });

  test("Dependabot gets what a fork gets", async () => {
    const decision = await decide({
      event: "pull_request",
      file: "pull_request.opened-dependabot.json",
      config: { GITHUB_ACTOR: "dependabot[bot]" },
    });

    assert.equal(decision.decision === "plan" && decision.pullRequest?.isFork, true);
  });
});

describe("a dispatch", () => {
  const dispatch = (action: string, client_payload: unknown, inputs: Record<string, string> = {}) =>
    decide({
      event: "repository_dispatch",
      file: "repository_dispatch.json",
      inputs,
      change: (payload) => ({ ...payload, action, client_payload }),
    });

  test("runs with the payload's parameters", async () => {
    const decision = await dispatch("flowyard-run", {
      deployment: "etl/nightly",
      parameters: { days: 3 },
      wait: false,
      timeout: 60,
      reply: { to: "issue", number: 4 },
    });

    assert.equal(decision.decision, "run");
    assert.ok(decision.decision === "run");
    assert.deepEqual(decision.run.parameters, { days: 3 });
    assert.equal(decision.run.wait, false);
    assert.equal(decision.run.timeoutSeconds, 60);
    assert.deepEqual(decision.reply, { to: "issue", number: 4 });
  });

  test("has the same key on a re-run, another for other parameters, and its own when it brings one", async () => {
    const keys: string[] = [];
    for (const payload of [
      { deployment: "etl/nightly" },
      { deployment: "etl/nightly" },
      { deployment: "etl/nightly", parameters: { days: 4 } },
      { deployment: "etl/nightly", idempotency_key: "order-7" },
    ]) {
      const decision = await dispatch("flowyard-run", payload);
      keys.push(decision.decision === "run" ? decision.run.idempotencyKey : "");
    }

    assert.equal(keys[0], keys[1]);
    assert.notEqual(keys[0], keys[2]);
    assert.equal(keys[3], "order-7");
  });

  test("of another type asks for nothing, unless the mode says what", async () => {
    assert.equal(describeDecision(await dispatch("rebuild", { a: 1 })), "ignore DISPATCH_UNKNOWN");
    assert.equal(describeDecision(await dispatch("rebuild", {}, { mode: "deploy" })), "deploy");
  });

  const wrong: [action: string, payload: unknown, says: RegExp][] = [
    ["flowyard-run", { deployment: 7 }, /client_payload\.deployment/],
    ["flowyard-run", { deployment: "nightly" }, /flow\/name/],
    ["flowyard-run", {}, /names no deployment/],
    ["flowyard-run", { deployment: "a/b", parameters: [] }, /client_payload\.parameters/],
    ["flowyard-run", { deployment: "a/b", reply: { to: "issue", number: "4" } }, /client_payload\.reply\.number/],
    ["flowyard-run", { deployment: "a/b", reply: { to: "moon" } }, /client_payload\.reply/],
    ["flowyard-run", { deployment: "a/b", timeout: 1e9 }, /client_payload\.timeout/],
    ["flowyard-run", { deployment: "a/b\n::error::x" }, /client_payload\.deployment/],
    ["flowyard-run", { deployment: "a/b", parameter: {} }, /parameter/],
    ["flowyard-deploy", "main", /client_payload/],
    ["flowyard-deploy", { sha: "main" }, /client_payload\.sha/],
    ["flowyard-deploy", { deployments: "all" }, /client_payload\.deployments/],
    ["flowyard-run", { deployment: "a/b", parameters: { text: "x".repeat(70_000) } }, /65535/],
  ];
  for (const [action, payload, says] of wrong) {
    test(`with a wrong payload is refused: ${JSON.stringify(payload).slice(0, 80)}`, async () => {
      await assert.rejects(
        dispatch(action, payload),
        (error) => hasCode(error, "PAYLOAD_INVALID") && says.test(String(error)),
      );
    });
  }

  test("cannot choose an environment or a deployment that the step rules out", async () => {
    await assert.rejects(
      dispatch("flowyard-deploy", { environment: "production" }, { environment: "staging" }),
      (error) => hasCode(error, "ENVIRONMENT_MISMATCH"),
    );
    await assert.rejects(dispatch("flowyard-run", { deployment: "a/other" }, { run: "a/b" }), (error) =>
      hasCode(error, "PAYLOAD_INVALID"),
    );
  });

  test("does not override the parameters that the workflow sets", async () => {
    const decision = await dispatch(
      "flowyard-run",
      { deployment: "a/b", parameters: { target: "evil", days: 2 } },
      { run: "a/b", parameters: '{"target": "safe"}' },
    );

    assert.deepEqual(decision.decision === "run" && decision.run.parameters, { target: "safe", days: 2 });
  });
});
