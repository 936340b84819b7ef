import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { z } from "zod";
import { loadMachine } from "../../scripts/setup/machine.ts";
import { type ActionCall, type ActionResult, findEvent, readPayload, runAction } from "../support/action-process.ts";
import { createWorkPool, describeImageSteps, makeWorkspace, writeFiles } from "../support/action-project.ts";
import { TestProcess } from "../support/child-process.ts";
import { type FakeGithub, startFakeGithub } from "../support/fake-github/server.ts";
import { isAllowed } from "../support/fake-github/tokens.ts";
import { flowyard, type PlaneProcess, plainEnvironment, repositoryRoot, startPlane } from "../support/plane-process.ts";

const run = promisify(execFile);
const { docker, baseImage, registry } = await loadMachine();
const missing = [docker, baseImage, registry].find((part) => !part.available);
const skip = missing?.available === false ? missing.reason : false;
const IMAGE = "flowyard-test/action";
const POOL = "containers";
const DIGEST = /^sha256:[0-9a-f]{64}$/;

const Deployment = z.object({
  id: z.string(),
  job_variables: z.object({ image: z.string() }),
  schedules: z.array(z.object({ active: z.boolean() })),
});
const FlowRuns = z.array(
  z.object({ id: z.string(), state_type: z.string(), parameters: z.record(z.string(), z.unknown()) }),
);

function buildProject(registryAddress: string, base: string, mark: string): Record<string, string> {
  return {
    "prefect.yaml": `name: action-test
${describeImageSteps(`${registryAddress}/${IMAGE}`)}pull:
  - prefect.deployments.steps.set_working_directory:
      directory: /opt/prefect/app
deployments:
  - name: nightly
    entrypoint: flow.py:etl
    schedules:
      - {cron: "0 4 * * *"}
    work_pool: &pool
      name: ${POOL}
      job_variables:
        image: "{{ build-image.image }}"
        image_pull_policy: IfNotPresent
        auto_remove: true
  - name: by-hand
    entrypoint: flow.py:etl
    work_pool: *pool
`,
    Dockerfile: `FROM ${base}\nCOPY flow.py /opt/prefect/app/flow.py\n`,
    "flow.py": `from prefect import flow

MARK = "${mark}"


@flow(log_prints=True)
def etl(days: int = 3, text: str = ""):
    print(f"days: {days}")
    print(text)
    if days < 0:
        raise ValueError("no days")
`,
  };
}

describe("a push, from the commit to the container", { skip }, () => {
  let plane: PlaneProcess;
  let github: FakeGithub;
  let workspace: string;
  let token: string;
  let worker: TestProcess | undefined;
  let first: ActionResult;

  before(async () => {
    assert.ok(docker.available && baseImage.available && registry.available);
    [plane, github] = await Promise.all([startPlane(), startFakeGithub()]);
    await createWorkPool(plane.apiUrl, POOL, "docker");
    workspace = await makeWorkspace(buildProject(registry.private.address, baseImage.tag, randomUUID()));
    token = github.issueToken({
      contents: "read",
      pull_requests: "write",
      issues: "write",
      checks: "write",
      statuses: "write",
      deployments: "write",
    });
    worker = new TestProcess(flowyard, ["worker", "start", "--pool", POOL], {
      cwd: plane.folder,
      env: plainEnvironment(plane.folder, { PREFECT_API_URL: plane.apiUrl, DOCKER_HOST: docker.host }),
    });
    first = await act({ event: findEvent("push.branch.json") });
  });

  after(async () => {
    await worker?.stop(30_000);
    await plane[Symbol.asyncDispose]();
    await github[Symbol.asyncDispose]();
    await rm(workspace, { recursive: true, force: true });
    if (docker.available && registry.available) {
      const env = plainEnvironment(plane.folder, { DOCKER_HOST: docker.host });
      // Other runs on this machine push under the same name, so that the base travels only once.
      const [digest = ""] = Object.values(
        z.record(z.string(), z.string()).parse(JSON.parse(first.outputs["images"] ?? "{}")),
      );
      const args = ["image", "inspect", "--format", "{{.Id}}", `${registry.private.address}/${IMAGE}@${digest}`];
      const id = await run("docker", args, { env }).then(
        ({ stdout }) => stdout.trim(),
        () => "",
      );
      await run("docker", ["image", "rm", "--force", id], { env }).catch(() => undefined);
    }
  });

  function act(more: Partial<ActionCall> & Pick<ActionCall, "event">): Promise<ActionResult> {
    assert.ok(docker.available && registry.available);
    const { address, username, password } = registry.private;
    const login = { registry: address, "registry-username": username, "registry-password": password };
    return runAction({
      workspace,
      apiUrl: github.url,
      token,
      ...more,
      env: { DOCKER_HOST: docker.host, ...more.env },
      inputs: { "server-url": plane.apiUrl, ...login, ...more.inputs },
    });
  }

  async function ask<T extends z.ZodType>(schema: T, path: string, body?: unknown): Promise<z.infer<T>> {
    const answer = await fetch(`${plane.apiUrl}${path}`, {
      method: body === undefined ? "GET" : "POST",
      headers: { "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    assert.equal(answer.status, 200, `${path} answered ${answer.status}`);
    return schema.parse(await answer.json());
  }

  const findRuns = () => ask(FlowRuns, "/flow_runs/filter", { deployments: { name: { any_: ["by-hand"] } } });

  test("builds once, pushes, and registers both deployments by digest", async () => {
    assert.equal(first.outputs["reason-code"], "DEPLOYED", first.output);
    assert.equal(first.code, 0);
    const images = z.record(z.string(), z.string()).parse(JSON.parse(first.outputs["images"] ?? ""));
    const deployments = z.record(z.string(), z.string()).parse(JSON.parse(first.outputs["deployments"] ?? ""));
    const nightly = await ask(Deployment, "/deployments/name/etl/nightly");

    assert.deepEqual(Object.keys(deployments).sort(), ["etl/by-hand", "etl/nightly"]);
    assert.equal(deployments["etl/nightly"], nightly.id);
    const [digest] = Object.values(images);
    assert.match(digest ?? "", DIGEST);
    assert.ok(nightly.job_variables.image.endsWith(`@${digest}`), nightly.job_variables.image);
    assert.equal(first.outputs["changed"], "true");
    assert.deepEqual(github.problems, []);
  });

  test("says what changed in the summary, and the password nowhere", () => {
    assert.match(first.summary, /etl\/nightly/);
    assert.ok(registry.available);
    const shown = first.log.replaceAll(/^::add-mask::.*$/gm, "");
    assert.ok(!shown.includes(registry.private.password), "the password is in the log");
    assert.ok(!first.summary.includes(registry.private.password));
  });

  test("again changes nothing, builds nothing, and takes less than three seconds", async () => {
    const second = await act({ event: findEvent("push.branch.json") });

    assert.equal(second.outputs["reason-code"], "NOTHING_TO_DO", second.output);
    assert.equal(second.outputs["result"], "unchanged");
    assert.equal(second.outputs["changed"], "false");
    assert.equal(second.outputs["images"], first.outputs["images"]);
    assert.ok(second.durationMs < 3000, `took ${Math.round(second.durationMs)} ms`);
  });

  test("a dispatched run completes in its container, and a re-run of the job starts no second one", async () => {
    const payload = {
      ...(await readPayload("repository_dispatch.json")),
      action: "flowyard-run",
      client_payload: {
        deployment: "etl/by-hand",
        parameters: { days: 5, text: "::error::from the flow\n::set-output name=result::stolen" },
        reply: { to: "issue", number: 4 },
      },
    };
    const event = findEvent("repository_dispatch.json");

    const [started, again] = [
      await act({ event, payload, inputs: { timeout: "90s" } }),
      await act({ event, payload, inputs: { timeout: "90s" }, env: { GITHUB_RUN_ATTEMPT: "2" } }),
    ];

    assert.equal(started.outputs["reason-code"], "RUN_COMPLETED", `${started.output}\n${worker?.output}`);
    assert.equal(started.outputs["flow-run-state"], "COMPLETED");
    assert.match(started.log, /days: 5/);
    assert.equal(again.outputs["flow-run-id"], started.outputs["flow-run-id"], again.output);
    assert.deepEqual(
      (await findRuns()).map((flowRun) => [flowRun.id, flowRun.parameters["days"]]),
      [[started.outputs["flow-run-id"], 5]],
    );
    assert.deepEqual(
      started.commands.filter((it) => /from the flow|stolen/.test(it.text)),
      [],
    );
    assert.ok(github.world.comments.some((comment) => comment.issueNumber === 4 && /COMPLETED/i.test(comment.body)));
    assert.deepEqual(github.problems, []);
  });

  test("a run that fails fails the step, and says why", async () => {
    const inputs = { run: "etl/by-hand", parameters: '{"days": -1}', timeout: "90s" };

    const result = await act({ event: findEvent("workflow_dispatch.json"), inputs });

    assert.equal(result.outputs["reason-code"], "RUN_FAILED", result.output);
    assert.equal(result.code, 1);
    assert.match(result.log, /ValueError: no days/);
  });

  test("a pull request is planned in one comment that is edited in place", async () => {
    const before = await ask(Deployment, "/deployments/name/etl/nightly");
    const { "prefect.yaml": yaml = "" } = buildProject(registryAddress(), baseTag(), "unchanged");
    await writeFiles(workspace, { "prefect.yaml": yaml.replace("0 4 * * *", "30 5 * * *") });
    const own = () => github.world.comments.filter((it) => it.body.startsWith("<!-- flowyard:"));

    const opened = await act({ event: findEvent("pull_request.opened.json") });
    const [comment] = own();
    const pushed = await act({ event: findEvent("pull_request.synchronize.json") });

    assert.equal(opened.outputs["reason-code"], "PLANNED", opened.output);
    assert.match(opened.outputs["plan-hash"] ?? "", /\w{16,}/);
    assert.equal(pushed.outputs["plan-hash"], opened.outputs["plan-hash"]);
    assert.equal(own().length, 1);
    assert.equal(own()[0]?.id, comment?.id);
    assert.equal(own()[0]?.issueNumber, 2);
    assert.match(own()[0]?.body ?? "", /30 5 \* \* \*|etl\/nightly/);
    assert.deepEqual(await ask(Deployment, "/deployments/name/etl/nightly"), before);
    assert.deepEqual(github.problems, []);
  });

  test("GitHub knows the deploy: a deployment with its end, and a check", () => {
    const [deployment] = github.world.deployments;
    const states = github.world.deploymentStatuses.filter((it) => it.deploymentId === deployment?.["id"]);

    assert.equal(deployment?.["environment"], "production");
    assert.deepEqual(states.map(({ status }) => status["state"]).sort(), ["in_progress", "success"]);
    assert.ok(github.world.checkRuns.some((run) => run["conclusion"] === "success"));
  });

  test("all that was asked of GitHub is allowed by the permissions that docs/action.md names", async () => {
    const text = await readFile(join(repositoryRoot, "docs/action.md"), "utf8");
    const table = text.slice(text.indexOf("## Permissions"));
    const named = [...table.matchAll(/`([a-z-]+): (read|write)`/g)].map(([, name = "", level = ""]) => [
      name.replaceAll("-", "_"),
      level,
    ]);
    const permissions = z.record(z.string(), z.enum(["read", "write"])).parse(Object.fromEntries(named));

    const refused = github.calls.filter(
      ({ operation }) => operation === null || !isAllowed(operation, { login: "", permissions }),
    );

    assert.ok(github.calls.length > 10);
    assert.deepEqual(
      refused.map(({ method, path }) => `${method} ${path}`),
      [],
    );
  });

  function registryAddress(): string {
    assert.ok(registry.available);
    return registry.private.address;
  }

  function baseTag(): string {
    assert.ok(baseImage.available);
    return baseImage.tag;
  }
});
