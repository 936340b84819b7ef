import assert from "node:assert/strict";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
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

const APPLY = /^POST .*\/flowyard\/releases$/;
const PLAN = /^POST .*\/flowyard\/releases\/plan$/;
const pushed = findEvent("push.branch.json");
const Deployment = z.object({
  name: z.string(),
  parameters: z.record(z.string(), z.unknown()),
  tags: z.array(z.string()),
});

/** A project in a folder of its own, with a flow of its own. */
function describeFolder(name: string, days = 1): Record<string, string> {
  const project = describeProcessProject(["nightly"]);
  const yaml = (project["prefect.yaml"] ?? "")
    .replace("flow.py:etl", `flow.py:${name}`)
    .replace("    schedules:", `    parameters: {days: ${days}}\n    schedules:`);
  return {
    [`${name}/prefect.yaml`]: yaml,
    [`${name}/flow.py`]: (project["flow.py"] ?? "").replace("def etl", `def ${name}`),
  };
}

describe("steps over commits, projects and releases", () => {
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
    await createWorkPool(plane.apiUrl, "local", "process");
    workspace = await makeWorkspace({});
  });
  afterEach(async () => {
    await proxy[Symbol.asyncDispose]();
    await plane[Symbol.asyncDispose]();
    await rm(workspace, { recursive: true, force: true });
    assert.deepEqual(github.problems.splice(0), []);
    github.calls.splice(0);
  });

  function buildCall(inputs: Record<string, string> = {}, more: Partial<ActionCall> = {}): ActionCall {
    const all = { "server-url": proxy.apiUrl, ...inputs };
    return { event: pushed, workspace, apiUrl: github.url, token, ...more, inputs: all };
  }
  const act = (inputs: Record<string, string> = {}, more: Partial<ActionCall> = {}): Promise<ActionResult> =>
    runAction(buildCall(inputs, more));

  let lastCommit: string | undefined;
  /** Commits what lies in the workspace, after the commit before it, and pushes it. */
  async function push(minute: number, files: Record<string, string>): Promise<Partial<ActionCall>> {
    await writeFiles(workspace, files);
    const sha = await commitAll(workspace, minute);
    const parent = minute === 1 ? undefined : lastCommit;
    const old =
      parent === undefined ? new Map<string, string>() : (github.world.commits.get(parent)?.files ?? new Map());
    const now = new Map([...old, ...Object.entries(files)]);
    github.world.addCommit({ sha, parents: parent === undefined ? [] : [parent], files: now });
    lastCommit = sha;
    const payload = { ...(await readPayload("push.branch.json")), after: sha };
    return { event: { ...pushed, env: { ...pushed.env, GITHUB_SHA: sha } }, payload };
  }

  const listDays = async () =>
    (await listDeployments(plane.apiUrl, Deployment)).map(({ parameters }) => parameters["days"]);

  describe("with only-changed", () => {
    const inputs = { "only-changed": "true", "prefect-file": "*/prefect.yaml" };
    const planned = () => proxy.requests.filter((request) => PLAN.test(request) || APPLY.test(request)).length;

    test("a project in whose folder nothing changed is left alone, and the others are deployed", async () => {
      const first = await act(inputs, await push(1, { ...describeFolder("alpha"), ...describeFolder("beta") }));
      const second = await push(2, describeFolder("beta", 2));
      proxy.requests.splice(0);

      const result = await act(inputs, second);

      assert.equal(first.outputs["reason-code"], "DEPLOYED", first.output);
      assert.equal(result.outputs["reason-code"], "DEPLOYED", result.output);
      assert.match(result.log, /alpha\/prefect\.yaml was left alone/);
      assert.match(result.summary, /alpha\/prefect\.yaml was left alone/);
      assert.deepEqual((await listDays()).sort(), [1, 2]);
      assert.equal(planned(), 1);
    });

    test("a commit that touches no project deploys nothing, and asks the plane for no plan", async () => {
      await act(inputs, await push(1, { ...describeFolder("alpha"), ...describeFolder("beta") }));
      const second = await push(2, { "README.md": "more\n" });
      proxy.requests.splice(0);

      const result = await act(inputs, second);

      assert.equal(result.outputs["reason-code"], "NOTHING_TO_DO", result.output);
      assert.equal(planned(), 0);
    });

    test("what a broken project that did not change says stops no other", async () => {
      await act(inputs, await push(1, { ...describeFolder("alpha"), ...describeFolder("beta") }));
      await push(2, { "alpha/prefect.yaml": "deployments: 7\n" });
      const third = await push(3, describeFolder("beta", 3));

      const result = await act(inputs, third);

      // alpha did change since it was released: it is found broken before beta is.
      assert.equal(result.outputs["reason-code"], "PROJECT_FILE_INVALID", result.output);
      assert.deepEqual(await listDays(), [1, 1]);
    });

    test("a project is deployed whole after a part of it was, though no file changed", async () => {
      const two = { ...describeFolder("alpha") };
      const entry = (two["alpha/prefect.yaml"] ?? "").split("deployments:\n")[1] ?? "";
      two["alpha/prefect.yaml"] += entry.replace('"nightly"', '"weekly"');
      const first = await push(1, two);
      await act({ ...inputs, deployments: "nightly" }, first);

      const result = await act(inputs, first);

      assert.equal(result.outputs["reason-code"], "DEPLOYED", result.output);
      assert.deepEqual((await listDeployments(plane.apiUrl, Deployment)).map(({ name }) => name).sort(), [
        "nightly",
        "weekly",
      ]);
    });

    test("when GitHub cannot compare, everything is deployed as without it", async () => {
      await act(inputs, await push(1, { ...describeFolder("alpha"), ...describeFolder("beta") }));
      const second = await push(2, describeFolder("beta", 2));

      const result = await act(inputs, { ...second, token: github.issueToken({}) });

      assert.equal(result.outputs["reason-code"], "DEPLOYED", result.output);
      assert.ok(result.commands.some(({ name, text }) => name === "warning" && text.includes("contents: read")));
    });
  });

  test("of several projects those that were released before one failed are told, and those not begun", async () => {
    await writeFiles(workspace, { ...describeFolder("alpha"), ...describeFolder("beta"), ...describeFolder("gamma") });
    let applied = 0;
    proxy.decide = async (method, path): Promise<"pass"> => {
      applied += APPLY.test(`${method} ${path}`) ? 1 : 0;
      if (APPLY.test(`${method} ${path}`) && applied === 2) {
        // Somebody makes a deployment of that name by hand, between the check and the release.
        const flow = z.object({ id: z.string() }).parse(await send("/flows/", { name: "beta" }));
        await send("/deployments/", { name: "nightly", flow_id: flow.id });
      }
      return "pass";
    };

    const result = await act({ "prefect-file": "*/prefect.yaml" });

    assert.equal(result.outputs["reason-code"], "RELEASE_CONFLICT", result.output);
    assert.match(result.log, /Released before that: alpha\/prefect\.yaml\. Not begun: gamma\/prefect\.yaml\./);
    assert.match(result.summary, /Released before that: alpha\/prefect\.yaml/);
    assert.equal((result.outputs["release-id"] ?? "").split(",").length, 1);
    assert.match(result.outputs["next-step"] ?? "", /adopt: true/);
  });

  async function send(path: string, body: unknown): Promise<unknown> {
    const answer = await fetch(`${plane.apiUrl}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    assert.ok(answer.ok, `${path} answered ${answer.status}`);
    return answer.json();
  }

  test("what was made without releases is a conflict that names the input to set, and with it is taken over", async () => {
    await writeFiles(workspace, describeProcessProject());
    const flow = z.object({ id: z.string() }).parse(await send("/flows/", { name: "etl" }));
    await send("/deployments/", { name: "nightly", flow_id: flow.id });

    const planned = await act({ mode: "plan" });
    const refused = await act();
    const adopted = await act({ adopt: "true" });

    assert.equal(planned.code, 0);
    assert.match(planned.outputs["next-step"] ?? "", /would be refused: .*etl\/nightly.*adopt: true/);
    assert.equal(refused.outputs["reason-code"], "RELEASE_CONFLICT", refused.output);
    assert.match(refused.outputs["next-step"] ?? "", /adopt: true/);
    assert.equal(adopted.outputs["reason-code"], "DEPLOYED", adopted.output);
    assert.match(adopted.outputs["message"] ?? "", /1 adopted/);
  });

  test("without git the date of the pushed commit keeps an older one from overtaking", async () => {
    await writeFiles(workspace, describeProcessProject());
    const payload = await readPayload("push.branch.json");
    const at = (id: string, timestamp: string): Partial<ActionCall> => ({
      payload: { ...payload, after: id, head_commit: { ...Object(payload["head_commit"]), id, timestamp } },
      event: { ...pushed, env: { ...pushed.env, GITHUB_SHA: id } },
    });
    const [old, recent] = ["a".repeat(40), "b".repeat(40)];
    for (const sha of [old, recent]) {
      github.world.addCommit({ sha, parents: [], files: new Map() });
    }
    await act({}, at(recent, "2026-11-23T11:00:00+02:00"));
    await writeFiles(workspace, describeProcessProject(["other"]));

    const refused = await act({}, at(old, "2026-11-23T08:59:59Z"));
    const forged = await act({}, at(old, "yesterday"));

    assert.equal(refused.outputs["reason-code"], "RELEASE_OUTDATED", refused.output);
    assert.match(refused.outputs["next-step"] ?? "", /mode: rollback/);
    assert.equal(forged.outputs["reason-code"], "DEPLOYED", forged.output);
  });

  describe("with mode rollback", () => {
    const days = (count: number) => ({ ...describeFolder("alpha", count), ...describeFolder("beta", count) });
    const files = { "prefect-file": "*/prefect.yaml" };

    test("every project goes back to its release before, or to the commit that is named", async () => {
      const first = await push(1, days(1));
      await act(files, first);
      await act(files, await push(2, days(2)));
      const third = await push(3, days(3));
      await act(files, third);
      github.calls.splice(0);

      const back = await act({ ...files, mode: "rollback" }, third);
      const between = await listDays();
      const sha = first.event?.env["GITHUB_SHA"] ?? "";
      const further = await act({ ...files, mode: "rollback", release: sha.slice(0, 10) }, third);
      const again = await act({ ...files, mode: "rollback", release: sha }, third);

      assert.equal(back.outputs["reason-code"], "ROLLED_BACK", back.output);
      assert.equal(back.outputs["decision"], "rollback");
      assert.match(back.outputs["message"] ?? "", /2 updated/);
      assert.match(back.summary, /alpha\/nightly/);
      assert.deepEqual(between, [2, 2]);
      assert.equal(further.outputs["reason-code"], "ROLLED_BACK", further.output);
      assert.deepEqual(await listDays(), [1, 1]);
      assert.equal(again.outputs["reason-code"], "NOTHING_TO_DO", again.output);
      assert.equal(github.world.deployments.at(-1)?.["sha"], sha);
    });

    test("a release that there is not is said so, and nothing is changed", async () => {
      await act(files, await push(1, days(1)));

      const result = await act({ ...files, mode: "rollback", release: "99" });
      const first = await act({ ...files, mode: "rollback" });

      assert.equal(result.code, 1);
      assert.match(result.outputs["message"] ?? "", /no release 99/);
      assert.match(first.outputs["message"] ?? "", /no release before the live one/);
      assert.deepEqual(await listDays(), [1, 1]);
    });
  });

  test("a plane that stops answering is told of while the step tries again", async () => {
    await writeFiles(workspace, describeProcessProject());
    let cut = 0;
    proxy.decide = (method, path) => {
      cut += PLAN.test(`${method} ${path}`) || APPLY.test(`${method} ${path}`) ? 1 : 0;
      return cut === 1 && APPLY.test(`${method} ${path}`) ? "cut before" : "pass";
    };

    const result = await act();

    assert.equal(result.outputs["reason-code"], "DEPLOYED", result.output);
    assert.match(result.log, /The plane does not answer: trying again in 1 s, and for 3\d s at most\. /);
  });

  test("a cancelled job edits its comment, though the plane holds its request", async () => {
    const event = findEvent("pull_request.opened.json");
    await writeFiles(workspace, describeProcessProject());
    await act({}, { event });
    const own = () => github.world.comments.filter(({ body }) => body.startsWith("<!-- flowyard:"));
    const before = own().map(({ body }) => body);
    let held = 0;
    let release: () => void = () => undefined;
    const released = new Promise<void>((done) => {
      release = done;
    });
    proxy.decide = async (method, path) => {
      if (!PLAN.test(`${method} ${path}`)) {
        return "pass";
      }
      held += 1;
      await released;
      return "cut before";
    };

    const running = await startAction(buildCall({}, { event }));
    await waitUntil(async () => held > 0, { timeoutMs: 30_000, what: "the request for a plan" });
    const cancelledAt = performance.now();
    running.process.child.kill("SIGINT");
    const result = await running.finish();
    const tookMs = performance.now() - cancelledAt;
    release();

    assert.equal(result.outputs["reason-code"], "STEP_CANCELLED", result.output);
    assert.ok(tookMs < 7500, `took ${Math.round(tookMs)} ms`);
    assert.equal(own().length, 1);
    assert.match(before[0] ?? "", /would change/);
    assert.match(own()[0]?.body ?? "", /cancelled/);
    assert.match(result.summary, /cancelled/);
  });

  test("a checkout that is not there is said so", async () => {
    await mkdir(join(workspace, "empty"), { recursive: true });

    const result = await act({}, { workspace: join(workspace, "empty") });

    assert.equal(result.outputs["reason-code"], "PROJECT_FILE_MISSING", result.output);
    assert.equal(result.code, 1);
  });
});
