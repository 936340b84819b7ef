import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { z } from "zod";
import { type ActionCall, type ActionResult, findEvent, readPayload, runAction } from "../support/action-process.ts";
import {
  createWorkPool,
  describeProcessProject,
  listDeployments,
  makeWorkspace,
  writeFiles,
} from "../support/action-project.ts";
import { type FakeGithub, startFakeGithub } from "../support/fake-github/server.ts";
import { World } from "../support/fake-github/world.ts";
import { type PlaneProcess, startPlane } from "../support/plane-process.ts";

const Deployment = z.object({
  id: z.string(),
  name: z.string(),
  schedules: z.array(z.object({ active: z.boolean() })),
});
const PERMISSIONS = { contents: "read", checks: "write", deployments: "write", pull_requests: "write" } as const;

describe("previews of pull requests", () => {
  let plane: PlaneProcess;
  let github: FakeGithub;
  let workspace: string;
  let token: string;

  before(async () => {
    plane = await startPlane();
    await createWorkPool(plane.apiUrl, "local", "process");
  });
  after(() => plane[Symbol.asyncDispose]());
  beforeEach(async () => {
    github = await startFakeGithub(new World());
    token = github.issueToken(PERMISSIONS);
    workspace = await makeWorkspace(describeProcessProject(["nightly", "weekly"]));
  });
  afterEach(async () => {
    await act("pull_request.closed-unmerged.json", { preview: "true" });
    await github[Symbol.asyncDispose]();
    await rm(workspace, { recursive: true, force: true });
    assert.deepEqual(github.problems.splice(0), []);
  });

  function act(
    file: string,
    inputs: Record<string, string> = {},
    more: Partial<ActionCall> = {},
  ): Promise<ActionResult> {
    const all = { "server-url": plane.apiUrl, ...inputs };
    return runAction({ event: findEvent(file), workspace, apiUrl: github.url, token, ...more, inputs: all });
  }

  const listNames = async () => (await listDeployments(plane.apiUrl, Deployment)).map(({ name }) => name).sort();

  /** As the webhook of its closing leaves it. */
  function close(number: number): void {
    github.world.pulls.set(number, { ...github.world.pulls.get(number), state: "closed" });
  }

  test("one step for every event: a push deploys, a pull request gets a preview, its end removes it", async () => {
    const inputs = { preview: "true", environment: "production" };

    const pushed = await act("push.branch.json", inputs);
    const production = await listDeployments(plane.apiUrl, Deployment);
    const opened = await act("pull_request.opened.json", inputs);
    const both = await listDeployments(plane.apiUrl, Deployment);
    const again = await act("pull_request.synchronize.json", inputs);
    const closed = await act("pull_request.closed-merged.json", inputs);

    assert.equal(pushed.outputs["reason-code"], "DEPLOYED", pushed.output);
    assert.equal(opened.outputs["reason-code"], "DEPLOYED", opened.output);
    assert.equal(opened.outputs["decision"], "deploy");
    assert.deepEqual(Object.keys(JSON.parse(opened.outputs["deployments"] ?? "{}")).sort(), [
      "etl/nightly-pr-2",
      "etl/weekly-pr-2",
    ]);
    for (const { name, schedules } of both) {
      assert.deepEqual(
        schedules.map(({ active }) => active),
        [!name.endsWith("-pr-2")],
        name,
      );
    }
    assert.equal(again.outputs["reason-code"], "NOTHING_TO_DO", again.output);
    assert.equal(closed.outputs["reason-code"], "PREVIEW_REMOVED", closed.output);
    assert.equal(closed.outputs["decision"], "remove");
    assert.deepEqual(await listDeployments(plane.apiUrl, Deployment), production);
  });

  test("the comment of the preview says at the end that it was removed, and GitHub gets no environment", async () => {
    await act("pull_request.opened.json", { preview: "true" });
    const own = () => github.world.comments.filter(({ body }) => body.startsWith("<!-- flowyard:"));
    const [before] = own().map(({ body }) => body);

    await act("pull_request.closed-unmerged.json", { preview: "true" });

    assert.match(before ?? "", /nightly-pr-2/);
    assert.equal(own().length, 1);
    assert.match(own()[0]?.body ?? "", /removed/);
    assert.deepEqual(github.world.deployments, []);
  });

  test("without preview a pull request is planned, and its end is nothing", async () => {
    const opened = await act("pull_request.opened.json");
    const closed = await act("pull_request.closed-merged.json");

    assert.equal(opened.outputs["reason-code"], "PLANNED", opened.output);
    assert.equal(closed.outputs["reason-code"], "PULL_REQUEST_CLOSED", closed.output);
  });

  test("a fork gets none, whatever the step says, and neither does Dependabot", async () => {
    const before = await listNames();

    const fork = await act("pull_request.opened-fork.json", { preview: "true" });
    const dependabot = await act("pull_request.opened-dependabot.json", { preview: "true" });
    const forced = await act("pull_request.opened-fork.json", { preview: "true", mode: "deploy" });
    const closed = await act("pull_request.closed-fork-deleted.json", { preview: "true" });
    const removed = await act("pull_request.closed-fork-deleted.json", { mode: "remove-preview" });

    assert.equal(fork.outputs["reason-code"], "PLANNED_WITHOUT_SERVER", fork.output);
    assert.equal(dependabot.outputs["reason-code"], "PLANNED_WITHOUT_SERVER", dependabot.output);
    assert.equal(forced.outputs["reason-code"], "EVENT_REFUSED", forced.output);
    assert.equal(closed.outputs["reason-code"], "PULL_REQUEST_CLOSED", closed.output);
    assert.equal(removed.outputs["reason-code"], "PULL_REQUEST_CLOSED", removed.output);
    assert.deepEqual(await listNames(), before);
  });

  test("a preview that was left behind is swept by the next run, and one of an open pull request is not", async () => {
    await act("pull_request.opened.json", { preview: "true" });

    const early = await act("push.branch.json", { preview: "true" });
    close(2);
    const late = await act("push.branch.json", { preview: "true" });

    assert.ok(!early.log.includes("Removed the preview"), early.log);
    assert.match(late.log, /Removed the preview pr-2, whose pull request is closed: 2 deleted/);
    assert.match(late.summary, /Removed the preview pr-2/);
    assert.deepEqual(
      (await listNames()).filter((name) => name.endsWith("-pr-2")),
      [],
    );
  });

  test("a deploy that ends after its pull request was closed leaves nothing behind", async () => {
    close(2);

    const late = await act("pull_request.synchronize.json", { preview: "true" });

    assert.equal(late.outputs["reason-code"], "DEPLOYED", late.output);
    assert.deepEqual(
      (await listNames()).filter((name) => name.endsWith("-pr-2")),
      [],
    );
  });

  test("a token that may not read pull requests sweeps nothing, and the deploy goes on", async () => {
    await act("pull_request.opened.json", { preview: "true" });
    close(2);

    const result = await act("push.branch.json", { preview: "true" }, { token: github.issueToken({}) });

    assert.equal(result.code, 0, result.output);
    assert.ok(result.commands.some(({ name, text }) => name === "warning" && text.includes("pull-requests: read")));
    assert.ok((await listNames()).includes("nightly-pr-2"));
  });

  test("one is removed by name, and nothing else is", async () => {
    await act("pull_request.opened.json", { preview: "true" });

    const production = await act("workflow_dispatch.json", { mode: "remove-preview", environment: "production" });
    const removed = await act("workflow_dispatch.json", { mode: "remove-preview", environment: "pr-2" });
    const again = await act("workflow_dispatch.json", { mode: "remove-preview", environment: "pr-2" });

    assert.equal(production.outputs["reason-code"], "INPUT_INVALID", production.output);
    assert.equal(removed.outputs["reason-code"], "PREVIEW_REMOVED", removed.output);
    assert.equal(again.outputs["reason-code"], "NOTHING_TO_DO", again.output);
  });

  test("of a pull request that is opened again there is a preview again", async () => {
    const event = { payload: await readPayload("pull_request.opened.json") };
    await act("pull_request.opened.json", { preview: "true" }, event);
    await act("pull_request.closed-unmerged.json", { preview: "true" });

    const result = await act("pull_request.reopened.json", { preview: "true" });

    assert.equal(result.outputs["reason-code"], "DEPLOYED", result.output);
    assert.ok((await listNames()).includes("weekly-pr-2"));
  });

  test("projects of a monorepo have one preview together", async () => {
    const project = describeProcessProject(["x"]);
    const [yaml = "", flow = ""] = [project["prefect.yaml"], project["flow.py"]];
    await writeFiles(workspace, {
      "a/prefect.yaml": yaml,
      "a/flow.py": flow.replace("def etl", "def one"),
      "b/prefect.yaml": yaml,
      "b/flow.py": flow.replace("def etl", "def two"),
    });
    for (const each of ["a", "b"]) {
      await writeFiles(workspace, { [`${each}/prefect.yaml`]: yaml.replace(":etl", each === "a" ? ":one" : ":two") });
    }
    const inputs = { preview: "true", "prefect-file": "*/prefect.yaml" };

    const opened = await act("pull_request.opened.json", inputs);
    const closed = await act("pull_request.closed-unmerged.json", { preview: "true" });

    assert.deepEqual(Object.keys(JSON.parse(opened.outputs["deployments"] ?? "{}")).sort(), [
      "one/x-pr-2",
      "two/x-pr-2",
    ]);
    assert.match(closed.outputs["message"] ?? "", /2 deleted/);
  });
});
