import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { z } from "zod";
import {
  type ActionCall,
  type ActionResult,
  findEvent,
  readPayload,
  runAction,
  startAction,
} from "../support/action-process.ts";
import {
  commitAll,
  createWorkPool,
  describeProcessProject,
  listDeployments,
  makeWorkspace,
  writeFiles,
} from "../support/action-project.ts";
import { type FakeGithub, startFakeGithub } from "../support/fake-github/server.ts";
import { type PlaneProcess, startPlane } from "../support/plane-process.ts";
import { type PlaneProxy, startPlaneProxy } from "../support/plane-proxy.ts";
import { waitUntil } from "../support/wait-until.ts";

const NAMES = Array.from({ length: 12 }, (_, index) => `d${index}`);
const APPLY = /^POST .*\/flowyard\/releases\/?(apply)?$/;
const pushed = findEvent("push.branch.json");

const Deployment = z.object({ name: z.string(), parameters: z.record(z.string(), z.unknown()), paused: z.boolean() });

/** The commit whose deployments all have the parameter `days`. */
function describeCommit(days: number, names = NAMES): Record<string, string> {
  const project = describeProcessProject(names);
  const yaml = project["prefect.yaml"] ?? "";
  return {
    ...project,
    "prefect.yaml": yaml.replaceAll("    schedules:", `    parameters: {days: ${days}}\n    schedules:`),
  };
}

describe("deploys when something goes wrong", () => {
  let plane: PlaneProcess;
  let proxy: PlaneProxy;
  let github: FakeGithub;
  let workspace: string;
  let token: string;

  before(async () => {
    github = await startFakeGithub();
    token = github.issueToken({ contents: "read", checks: "write", deployments: "write", pull_requests: "write" });
  });
  after(() => github[Symbol.asyncDispose]());

  beforeEach(async () => {
    plane = await startPlane();
    proxy = await startPlaneProxy(plane.apiUrl);
    workspace = await makeWorkspace(describeCommit(1));
    await createWorkPool(plane.apiUrl, "local", "process");
  });
  afterEach(async () => {
    await proxy[Symbol.asyncDispose]();
    await plane[Symbol.asyncDispose]();
    await rm(workspace, { recursive: true, force: true });
    assert.deepEqual(github.problems.splice(0), []);
    assert.deepEqual(
      github.calls
        .splice(0)
        .filter((call) => call.operation === null)
        .map((call) => `${call.method} ${call.path}`),
      [],
    );
  });

  function buildCall(more: Partial<ActionCall> = {}): ActionCall {
    const inputs = { "server-url": proxy.apiUrl, ...more.inputs };
    return { event: pushed, workspace, apiUrl: github.url, token, ...more, inputs };
  }

  const act = (more: Partial<ActionCall> = {}): Promise<ActionResult> => runAction(buildCall(more));

  async function listDays(): Promise<unknown[]> {
    return [...new Set((await listDeployments(plane.apiUrl, Deployment)).map(({ parameters }) => parameters["days"]))];
  }

  /** Commits what lies in the workspace and pushes it. */
  async function push(minute: number, folder = workspace): Promise<Partial<ActionCall>> {
    const sha = await commitAll(folder, minute);
    github.world.addCommit({ sha, parents: [], files: new Map() });
    const payload = { ...(await readPayload("push.branch.json")), after: sha };
    return { event: { ...pushed, env: { ...pushed.env, GITHUB_SHA: sha } }, payload, workspace: folder };
  }

  test("a plane that dies when the release is applied has applied nothing, and the re-run finishes", async () => {
    let refused = 0;
    proxy.decide = async (method, path) => {
      if (!APPLY.test(`${method} ${path}`)) {
        return "pass";
      }
      refused += 1;
      await plane.kill();
      return "cut before";
    };

    // The step would try for half a minute; whoever watches it cancels the job.
    const running = await startAction(buildCall());
    await waitUntil(async () => refused > 1, { timeoutMs: 30_000, what: "a second try to apply" });
    const cancelledAt = performance.now();
    running.process.child.kill("SIGINT");
    const cancelled = await running.finish();
    assert.ok(performance.now() - cancelledAt < 7_500, "the runner sends SIGTERM after 7.5 s");
    proxy.decide = () => "pass";
    await plane.start();
    const between = await listDeployments(plane.apiUrl, Deployment);
    const again = await act({ env: { GITHUB_RUN_ATTEMPT: "2" } });

    assert.equal(cancelled.outputs["reason-code"], "STEP_CANCELLED", cancelled.output);
    assert.equal(cancelled.code, 1);
    assert.deepEqual(between, []);
    assert.equal(again.outputs["reason-code"], "DEPLOYED", again.output);
    assert.equal((await listDeployments(plane.apiUrl, Deployment)).length, NAMES.length);
  });

  test("an answer that is lost after the release was applied is no second release", async () => {
    let lost = 0;
    proxy.decide = (method, path) => {
      lost += APPLY.test(`${method} ${path}`) ? 1 : 0;
      return APPLY.test(`${method} ${path}`) && lost === 1 ? "cut after" : "pass";
    };

    const first = await act();
    const again = await act({ env: { GITHUB_RUN_ATTEMPT: "2" } });

    assert.ok(lost > 0, proxy.requests.join("\n"));
    assert.equal((await listDeployments(plane.apiUrl, Deployment)).length, NAMES.length, first.output);
    assert.equal(again.outputs["reason-code"], "NOTHING_TO_DO", again.output);
  });

  test("of two deploys at once, one after the other is applied whole, or one is refused", async () => {
    const other = await makeWorkspace(describeCommit(2));
    const [earlier, later] = [await push(1), await push(2, other)];

    const results = await Promise.all([act(earlier), act(later)]);
    await rm(other, { recursive: true });

    const codes = results.map((result) => result.outputs["reason-code"]);
    assert.equal(codes[1], "DEPLOYED", results[1].output);
    assert.match(codes[0] ?? "", /^(DEPLOYED|RELEASE_OUTDATED|PLAN_CHANGED)$/, results[0].output);
    assert.deepEqual(await listDays(), [2]);
  });

  test("a plan that no longer matches is not applied", async () => {
    const planned = await act({ inputs: { mode: "plan" } });
    await writeFiles(workspace, describeCommit(3));

    const refused = await act({ inputs: { "plan-hash": planned.outputs["plan-hash"] ?? "" } });
    await writeFiles(workspace, describeCommit(1));
    const applied = await act({ inputs: { "plan-hash": planned.outputs["plan-hash"] ?? "" } });

    assert.equal(refused.outputs["reason-code"], "PLAN_CHANGED", refused.output);
    assert.equal(refused.outputs["result"], "refused");
    assert.equal(refused.code, 1);
    assert.equal(applied.outputs["reason-code"], "DEPLOYED", applied.output);
  });

  test("a re-run of an older commit does not roll back", async () => {
    const old = await makeWorkspace(describeCommit(1, NAMES.slice(1)));
    const rerun = { ...(await push(1, old)), env: { GITHUB_RUN_ATTEMPT: "2" } };
    await act(await push(2));

    const refused = await act(rerun);
    await rm(old, { recursive: true });

    assert.equal(refused.outputs["reason-code"], "RELEASE_OUTDATED", refused.output);
    assert.equal((await listDeployments(plane.apiUrl, Deployment)).length, NAMES.length);
    assert.ok((await listDeployments(plane.apiUrl, Deployment)).every((deployment) => !deployment.paused));
  });

  test("a deployment that the project no longer has is paused, not deleted", async () => {
    await act(await push(1));
    await writeFiles(workspace, describeCommit(1, NAMES.slice(1)));

    const result = await act(await push(2));

    assert.equal(result.outputs["reason-code"], "DEPLOYED", result.output);
    const paused = (await listDeployments(plane.apiUrl, Deployment)).filter((deployment) => deployment.paused);
    assert.deepEqual(
      paused.map(({ name }) => name),
      [NAMES[0]],
    );
  });

  test("a preview has deployments of its own", async () => {
    const event = findEvent("pull_request.opened.json");
    const inputs = { mode: "deploy", environment: "pr-2" };
    await writeFiles(workspace, describeCommit(1, ["nightly{{ $PREVIEW_SUFFIX }}"]));
    await act({ env: { PREVIEW_SUFFIX: "" } });

    const preview = await act({ event, inputs, env: { PREVIEW_SUFFIX: "-pr-2" } });

    assert.equal(preview.outputs["reason-code"], "DEPLOYED", preview.output);
    assert.deepEqual((await listDeployments(plane.apiUrl, Deployment)).map(({ name }) => name).sort(), [
      "nightly",
      "nightly-pr-2",
    ]);
  });

  test("an unreachable plane fails the step in words, with the next step", async () => {
    const result = await act({ inputs: { "server-url": "http://127.0.0.1:1/api" } });

    assert.equal(result.outputs["reason-code"], "PLANE_UNREACHABLE", result.output);
    assert.equal(result.code, 1);
    assert.notEqual(result.outputs["next-step"], "");
  });

  test("a token without permissions deploys and plans; what is missing is named", async () => {
    const poor = github.issueToken({});

    const deployed = await act({ token: poor });
    const planned = await act({ token: poor, event: findEvent("pull_request.opened.json") });

    assert.equal(deployed.outputs["reason-code"], "DEPLOYED", deployed.output);
    assert.equal(deployed.code, 0);
    assert.equal(planned.outputs["reason-code"], "PLANNED", planned.output);
    assert.equal(planned.code, 0);
    const warnings = planned.commands.filter(({ name }) => name === "warning").map(({ text }) => text);
    for (const key of ["pull-requests: write", "checks: write"]) {
      assert.ok(
        warnings.some((text) => text.includes(key)),
        planned.output,
      );
    }
  });

  for (const [what, failure] of [
    ["is down", { operation: null, status: 503 }],
    ["is busy", { operation: null, status: 429, headers: { "retry-after": "3600" } }],
    ["refuses the token", { operation: null, status: 401 }],
  ] as const) {
    test(`a GitHub that ${what} fails no deploy`, async () => {
      await using broken = await startFakeGithub();
      broken.fail({ ...failure });

      const result = await act({ apiUrl: broken.url, token: broken.issueToken({}) });

      assert.equal(result.outputs["reason-code"], "DEPLOYED", result.output);
      assert.equal(result.code, 0);
      assert.ok(result.durationMs < 20_000, `took ${Math.round(result.durationMs)} ms`);
    });
  }
});
