import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { saveVerdict } from "../../src/github/checks.ts";
import { saveStickyComment } from "../../src/github/comments.ts";
import { startGitHubDeployment } from "../../src/github/deployments.ts";
import { createGitHub, type GitHub } from "../../src/github/github.ts";
import { type FakeGithub, startFakeGithub } from "../support/fake-github/server.ts";
import type { TokenPermissions } from "../support/fake-github/tokens.ts";

const SHA = "f95f852bd8fca8fcc58a9a2d6c842781e32a215e";
const RUN_ID = "30433642";
const RUN_URL = `https://github.com/Octocoders/Hello-World/actions/runs/${RUN_ID}`;
const VERDICT = {
  name: "Flowyard plan (production)",
  sha: SHA,
  conclusion: "success",
  title: "Nothing would change",
  summary: "text",
  url: RUN_URL,
  annotations: [],
} as const;

describe("reports on GitHub", () => {
  let fake: FakeGithub;
  let problems: string[];

  beforeEach(async () => {
    fake = await startFakeGithub();
    problems = [];
  });
  afterEach(async () => {
    await fake[Symbol.asyncDispose]();
  });

  function connect(permissions: TokenPermissions): Promise<GitHub> {
    return createGitHub({
      apiUrl: fake.url,
      token: fake.issueToken(permissions),
      repository: "Octocoders/Hello-World",
      userAgent: "flowyard/test",
      onProblem: (message) => problems.push(message),
    });
  }

  const ours = () => fake.world.comments.filter(({ issueNumber, body }) => issueNumber === 2 && /flowyard:/.test(body));
  const sticky = { number: 2, key: "production", runId: "100" };

  test("a comment is written once and edited in place from then on", async () => {
    const github = await connect({ pull_requests: "write" });

    await saveStickyComment(github, { ...sticky, body: "first" });
    const [first] = ours();
    await saveStickyComment(github, { ...sticky, runId: "101", body: "second" });

    assert.equal(ours().length, 1);
    assert.equal(ours()[0]?.id, first?.id);
    assert.match(ours()[0]?.body ?? "", /second$/);
    assert.deepEqual(problems, []);
    assert.deepEqual(fake.problems, []);
  });

  test("what an older run says does not replace what a newer one said", async () => {
    const github = await connect({ issues: "write" });

    await saveStickyComment(github, { ...sticky, runId: "200", body: "newer" });
    await saveStickyComment(github, { ...sticky, runId: "199", body: "older" });

    assert.deepEqual(
      ours().map(({ body }) => /\w+$/.exec(body)?.[0]),
      ["newer"],
    );
  });

  test("a stranger's comment with our marker is left alone", async () => {
    const github = await connect({ issues: "write" });
    await saveStickyComment(github, { ...sticky, body: "ours" });
    const [forged] = ours();
    assert.ok(forged !== undefined);
    forged.login = "octocat";

    await saveStickyComment(github, { ...sticky, body: "again" });

    assert.deepEqual(
      ours().map(({ login, body }) => [login, /\w+$/.exec(body)?.[0]]),
      [
        ["octocat", "ours"],
        ["github-actions[bot]", "again"],
      ],
    );
  });

  test("a key from a branch name cannot end the hidden line", async () => {
    await saveStickyComment(await connect({ issues: "write" }), { ...sticky, key: "--> <b>", body: "text" });

    assert.doesNotMatch(ours()[0]?.body ?? "", /<b>/);
  });

  test("a missing permission is told by its key, and nothing is thrown", async () => {
    const github = await connect({ contents: "read" });

    await saveStickyComment(github, { ...sticky, body: "text" });
    await saveVerdict(github, VERDICT);
    const deployment = await startGitHubDeployment(github, {
      sha: SHA,
      environment: "production",
      runId: RUN_ID,
      runUrl: RUN_URL,
    });

    assert.equal(deployment, undefined);
    assert.equal(problems.length, 4);
    assert.match(problems[0] ?? "", /`pull-requests: write`.*X-Accepted-GitHub-Permissions/);
    assert.match(problems[1] ?? "", /`checks: write`/);
    assert.match(problems[2] ?? "", /`statuses: write`/);
    assert.match(problems[3] ?? "", /`deployments: \w+`/);
  });

  test("where a check is refused, a commit status tells the same", async () => {
    await saveVerdict(await connect({ statuses: "write" }), VERDICT);

    assert.deepEqual(
      fake.world.statuses.map(({ context, state, description }) => [context, state, description]),
      [["Flowyard plan (production)", "success", "Nothing would change"]],
    );
  });

  test("a deployment is in progress, then done", async () => {
    const github = await connect({ deployments: "write" });

    const deployment = await startGitHubDeployment(github, {
      sha: SHA,
      environment: "production",
      runId: RUN_ID,
      runUrl: RUN_URL,
    });
    await deployment?.finish("success", "x".repeat(200));

    assert.deepEqual(fake.world.deploymentStatuses.map(({ status }) => status["state"]).sort(), [
      "in_progress",
      "success",
    ]);
    assert.deepEqual(fake.problems, []);
  });

  test("a job that declares its environment gets no second deployment", async () => {
    const github = await connect({ deployments: "write" });
    const base = { sha: SHA, ref: "main", task: "deploy", payload: {}, description: null, creator: null };
    fake.world.deployments.push({ id: 2, environment: "production", ...base });
    const status = {
      id: 4,
      creator: null,
      description: "",
      state: "in_progress",
      target_url: "",
      log_url: `${RUN_URL}/job/1`,
    };
    fake.world.deploymentStatuses.push({ deploymentId: 2, status });

    const deployment = await startGitHubDeployment(github, {
      sha: SHA,
      environment: "production",
      runId: RUN_ID,
      runUrl: RUN_URL,
    });

    assert.equal(deployment, undefined);
    assert.equal(fake.world.deployments.length, 1);
    assert.deepEqual(problems, []);
  });

  test("a GitHub that fails is told once and stops nothing", async () => {
    fake.fail({ operation: "issues/list-comments", status: 422, message: "no" });

    await saveStickyComment(await connect({ issues: "write" }), { ...sticky, body: "text" });

    assert.deepEqual(ours(), []);
    assert.equal(problems.length, 1);
    assert.match(problems[0] ?? "", /The comment was left out: HTTP 422/);
  });
});
