import assert from "node:assert/strict";
import { readdir, rm } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import {
  type ActionCall,
  type ActionResult,
  eventCases,
  findEvent,
  readCommands,
  readPayload,
  runAction,
} from "../support/action-process.ts";
import { createWorkPool, describeProcessProject, makeWorkspace } from "../support/action-project.ts";
import { isObject, Json } from "../support/fake-github/json.ts";
import { type FakeGithub, startFakeGithub } from "../support/fake-github/server.ts";
import { type PlaneProcess, startPlane } from "../support/plane-process.ts";

const INJECTED =
  "\r\n::error::INJECTED\n::set-output name=result::INJECTED\n##[set-env name=PATH]INJECTED\n::stop-commands::INJECTED";
/** What git allows in the name of a branch, as bad as it gets for a shell. */
// biome-ignore lint/suspicious/noTemplateCurlyInString: a shell's
const BRANCH = "a;touch${IFS}pwned;$(touch${IFS}pwned)`touch${IFS}pwned`&&'\"|pwned";
/** Strings that GitHub makes; everything else in a payload is what some user typed. */
const OURS =
  /^(action|ref|ref_type|sha|before|after|id|head_sha|full_name|default_branch|login|timestamp|conclusion|created_at|updated_at|.*url)$/;

/** The payload with something nasty behind every string that a user controls. */
function poison(value: Json, name = ""): Json {
  if (typeof value === "string") {
    return OURS.test(name) ? value : `${value}${INJECTED}`;
  }
  if (Array.isArray(value)) {
    return value.map((item) => poison(item, name));
  }
  return isObject(value) ? Object.fromEntries(Object.entries(value).map(([key, it]) => [key, poison(it, key)])) : value;
}

describe("strings that GitHub's users control", () => {
  let plane: PlaneProcess;
  let github: FakeGithub;
  let workspace: string;
  let token: string;

  before(async () => {
    [plane, github] = await Promise.all([startPlane(), startFakeGithub()]);
    workspace = await makeWorkspace(describeProcessProject());
    token = github.issueToken({ contents: "read", pull_requests: "write", issues: "write", checks: "write" });
    await createWorkPool(plane.apiUrl, "local", "process");
  });
  after(async () => {
    await plane[Symbol.asyncDispose]();
    await github[Symbol.asyncDispose]();
    await rm(workspace, { recursive: true, force: true });
  });

  function act(more: Partial<ActionCall> & Pick<ActionCall, "event">): Promise<ActionResult> {
    return runAction({
      workspace,
      apiUrl: github.url,
      token,
      ...more,
      inputs: { "server-url": plane.apiUrl, ...more.inputs },
    });
  }

  function assertHarmless(result: ActionResult): void {
    const dangerous = ["set-output", "set-env", "add-path", "add-matcher", "save-state", "internal-set-repo-path"];
    const stolen = result.commands.filter(({ name, text }) => dangerous.includes(name) || text === "INJECTED");
    assert.deepEqual(stolen, [], result.output);
    assert.doesNotMatch(result.outputs["result"] ?? "", /INJECTED/);
    assert.notEqual(result.outputs["reason-code"], "INTERNAL_ERROR", result.output);
    assert.doesNotMatch(result.output, /^\s+at .*\(.*:\d+:\d+\)$/m);
  }

  test("the checks of this file see an injected command", () => {
    assert.deepEqual(
      readCommands(`title${INJECTED}\n::warning::after`).commands.map(({ name, text }) => `${name} ${text}`),
      ["error INJECTED", "set-output INJECTED", "set-env INJECTED"],
    );
  });

  for (const event of eventCases) {
    test(`${event.event} ${event.file}: cannot issue commands or start programs`, async () => {
      const payload = poison(Json.parse(await readPayload(event.file)));
      const names = { GITHUB_HEAD_REF: BRANCH, GITHUB_REF_NAME: BRANCH, GITHUB_ACTOR: `eve${INJECTED}` };

      const result = await act({ event, payload, env: names });

      assertHarmless(result);
      assert.deepEqual((await readdir(workspace)).sort(), ["flow.py", "prefect.yaml"]);
    });
  }

  for (const file of ["pull_request.opened.json", "pull_request.closed-unmerged.json"]) {
    test(`a preview for ${file}: cannot issue commands or start programs`, async () => {
      const event = findEvent(file);
      const payload = poison(Json.parse(await readPayload(file)));

      const result = await act({ event, payload, inputs: { preview: "true" }, env: { GITHUB_HEAD_REF: BRANCH } });

      assertHarmless(result);
      assert.equal(result.code, 0, result.output);
      assert.deepEqual((await readdir(workspace)).sort(), ["flow.py", "prefect.yaml"]);
    });
  }

  test("a pushed branch with such a name is ignored, and named in one line", async () => {
    const payload = { ...(await readPayload("push.branch-created.json")), ref: `refs/heads/${BRANCH}${INJECTED}` };

    const result = await act({
      event: findEvent("push.branch-created.json"),
      payload,
      env: { GITHUB_REF: `refs/heads/${BRANCH}` },
    });

    assertHarmless(result);
    assert.equal(result.outputs["reason-code"], "BRANCH_NOT_DEFAULT", result.output);
  });

  test("a deploy of a branch with such a name, from inputs with such values, starts no program", async () => {
    const inputs = { mode: "deploy", environment: `e${BRANCH}`, deployments: `nightly\n${BRANCH}` };
    const env = { GITHUB_REF: `refs/heads/${BRANCH}`, GITHUB_REF_NAME: BRANCH };

    const result = await act({ event: findEvent("push.branch-created.json"), inputs, env });

    assertHarmless(result);
    assert.deepEqual((await readdir(workspace)).sort(), ["flow.py", "prefect.yaml"]);
  });

  describe("the client_payload of a dispatch", () => {
    const wrong: [what: string, type: string, payload: unknown][] = [
      ["a list", "flowyard-deploy", ["etl/nightly"]],
      ["a text", "flowyard-deploy", "etl/nightly"],
      ["a number", "flowyard-run", 7],
      ["a text where a list belongs", "flowyard-deploy", { deployments: "etl/nightly" }],
      ["numbers in the list", "flowyard-deploy", { deployments: [1, null, {}] }],
      ["a branch where a SHA belongs", "flowyard-deploy", { sha: "main" }],
      ["an unknown field", "flowyard-deploy", { deploymnts: ["etl/nightly"] }],
      ["a deployment with a newline", "flowyard-run", { deployment: `etl/nightly${INJECTED}` }],
      ["a list of parameters", "flowyard-run", { deployment: "etl/nightly", parameters: [1] }],
      ["an object where a name belongs", "flowyard-run", { deployment: { toString: "etl/nightly" } }],
      [
        "a reply to a negative issue",
        "flowyard-run",
        { deployment: "etl/nightly", reply: { to: "issue", number: -1 } },
      ],
      ["a reply to an URL", "flowyard-run", { deployment: "etl/nightly", reply: { to: "https://evil.example" } }],
      ["a timeout in words", "flowyard-run", { deployment: "etl/nightly", timeout: "soon" }],
      ["no deployment", "flowyard-run", {}],
      ["64 kB and more", "flowyard-run", { deployment: "etl/nightly", parameters: { text: "x".repeat(70_000) } }],
    ];
    for (const [what, action, client_payload] of wrong) {
      test(`${what} is refused, and nothing starts`, async () => {
        const payload = { ...(await readPayload("repository_dispatch.json")), action, client_payload };

        const result = await act({ event: findEvent("repository_dispatch.json"), payload });

        assertHarmless(result);
        assert.equal(result.outputs["reason-code"], "PAYLOAD_INVALID", result.output);
        assert.equal(result.code, 1);
        assert.ok(result.output.length < 5_000, "the payload is printed");
      });
    }

    test("an event type that nobody knows is ignored", async () => {
      const payload = { ...(await readPayload("repository_dispatch.json")), action: `other${INJECTED}` };

      const result = await act({ event: findEvent("repository_dispatch.json"), payload });

      assertHarmless(result);
      assert.equal(result.outputs["reason-code"], "DISPATCH_UNKNOWN");
    });
  });
});
