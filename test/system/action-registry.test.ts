import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { promisify } from "node:util";
import { loadMachine } from "../../scripts/setup/machine.ts";
import { type ActionCall, findEvent, runAction, startAction } from "../support/action-process.ts";
import { createWorkPool, describeImageSteps, makeWorkspace, writeFiles } from "../support/action-project.ts";
import { type FakeGithub, startFakeGithub } from "../support/fake-github/server.ts";
import { type PlaneProcess, plainEnvironment, startPlane } from "../support/plane-process.ts";
import { type RegistryFault, type RegistryProxy, startRegistryProxy } from "../support/registry-proxy.ts";

const run = promisify(execFile);
const { docker, baseImage, registry, buildx } = await loadMachine();
const missing = [docker, baseImage, registry].find((part) => !part.available);
const skip = missing?.available === false ? missing.reason : false;
const IMAGE = "flowyard-test/refused";

function describeProject(address: string, dockerfile: string): Record<string, string> {
  return {
    "prefect.yaml": `name: refused
${describeImageSteps(`${address}/${IMAGE}`)}deployments:
  - name: nightly
    entrypoint: flow.py:etl
    work_pool: {name: local, job_variables: {image: "{{ build-image.image }}"}}
`,
    Dockerfile: dockerfile,
    "flow.py": `from prefect import flow\n\nMARK = "${randomUUID()}"\n\n\n@flow\ndef etl():\n    pass\n`,
  };
}

describe("a registry that does not take the image", { skip }, () => {
  let plane: PlaneProcess;
  let github: FakeGithub;
  let proxy: RegistryProxy;
  let workspace: string;

  before(async () => {
    assert.ok(registry.available);
    [plane, github, proxy] = await Promise.all([startPlane(), startFakeGithub(), startRegistryProxy(registry.address)]);
    await createWorkPool(plane.apiUrl, "local", "docker");
    workspace = await makeWorkspace({});
  });
  beforeEach(async () => {
    proxy.fault = () => undefined;
    await writeFiles(workspace, describeProject(proxy.address, "FROM scratch\nCOPY flow.py /flow.py\n"));
  });
  after(async () => {
    if (docker.available && registry.available) {
      const env = plainEnvironment(plane.folder, { DOCKER_HOST: docker.host });
      for (const address of [proxy.address, registry.private.address]) {
        const args = ["image", "ls", "--quiet", "--no-trunc", `${address}/${IMAGE}`];
        const ids = new Set((await run("docker", args, { env })).stdout.split("\n").filter((id) => id !== ""));
        await run("docker", ["image", "rm", "--force", ...ids], { env }).catch(() => undefined);
      }
    }
    await proxy[Symbol.asyncDispose]();
    await plane[Symbol.asyncDispose]();
    await github[Symbol.asyncDispose]();
    await rm(workspace, { recursive: true, force: true });
  });

  function buildCall(more: Partial<ActionCall> = {}): ActionCall {
    assert.ok(docker.available);
    return {
      event: findEvent("push.branch.json"),
      workspace,
      apiUrl: github.url,
      token: github.issueToken({ contents: "read" }),
      ...more,
      env: { DOCKER_HOST: docker.host, ...more.env },
      inputs: { "server-url": plane.apiUrl, ...more.inputs },
    };
  }

  async function countDeployments(): Promise<unknown> {
    const headers = { "content-type": "application/json" };
    return (await fetch(`${plane.apiUrl}/deployments/count`, { method: "POST", headers, body: "{}" })).json();
  }

  const isPush = (method: string) => method !== "GET" && method !== "HEAD";
  const faults: [what: string, reason: RegExp, fault: (method: string, path: string) => RegistryFault | undefined][] = [
    [
      "knows nobody (401)",
      /^(IMAGE_PUSH_REFUSED|REGISTRY_LOGIN_REFUSED|IMAGE_PULL_REFUSED)$/,
      () => ({ status: 401, code: "UNAUTHORIZED", headers: { "www-authenticate": 'Basic realm="test"' } }),
    ],
    [
      "refuses the push (403)",
      /^IMAGE_PUSH_REFUSED$/,
      (method) => (isPush(method) ? { status: 403, code: "DENIED" } : undefined),
    ],
    [
      "has had enough (429)",
      /^REGISTRY_RATE_LIMITED$/,
      () => ({ status: 429, code: "TOOMANYREQUESTS", headers: { "retry-after": "1" } }),
    ],
    // Only at manifests: an engine tries each layer again for most of a minute.
    [
      "is broken (500)",
      /^(REGISTRY_UNREACHABLE|IMAGE_PUSH_FAILED)$/,
      (_, path) => (path.includes("/manifests/") ? { status: 500 } : undefined),
    ],
  ];
  for (const [what, reason, fault] of faults) {
    test(`${what}: its own error, and nothing is registered`, async () => {
      proxy.fault = fault;

      const result = await runAction(buildCall());

      assert.match(result.outputs["reason-code"] ?? "", reason, result.output);
      assert.equal(result.code, 1);
      assert.ok((result.outputs["message"] ?? "").includes(proxy.address), result.outputs["message"]);
      assert.equal(await countDeployments(), 0);
    });
  }

  test("is slow, but takes it: the deploy waits", async () => {
    proxy.fault = (method) => (isPush(method) ? { delayMs: 700 } : { delayMs: 200 });

    const result = await runAction(buildCall());

    assert.equal(result.outputs["reason-code"], "DEPLOYED", result.output);
    assert.match(result.outputs["images"] ?? "", /sha256:[0-9a-f]{64}/);
  });

  test("refuses a wrong password: the error names the registry and shows no password", async () => {
    assert.ok(registry.available);
    await writeFiles(workspace, describeProject(registry.private.address, "FROM scratch\nCOPY flow.py /flow.py\n"));
    const inputs = {
      registry: registry.private.address,
      "registry-username": "flowyard",
      "registry-password": "wrong-horse-battery",
    };

    const result = await runAction(buildCall({ inputs }));

    assert.match(result.outputs["reason-code"] ?? "", /REFUSED$/, result.output);
    assert.equal(result.code, 1);
    assert.ok((result.outputs["message"] ?? "").includes(registry.private.address), result.outputs["message"]);
    assert.ok(!result.log.includes("wrong-horse-battery"));
    assert.ok(!result.summary.includes("wrong-horse-battery"));
  });

  describe("with buildx", { skip: buildx.available ? false : buildx.reason }, () => {
    let env: Record<string, string> = {};

    before(async () => {
      assert.ok(buildx.available && docker.available);
      const folder = await makeWorkspace({ "config.json": "{}", "cli-plugins/.keep": "" });
      await symlink(buildx.plugin, join(folder, "cli-plugins/docker-buildx"));
      env = { DOCKER_HOST: docker.host, DOCKER_CONFIG: folder };
    });
    after(() => rm(env["DOCKER_CONFIG"] ?? "", { recursive: true, force: true }));

    test("the caches of the inputs are read and written, and the deployment has the digest", async () => {
      const cache = `type=registry,ref=${proxy.address}/${IMAGE}:latest`;
      const inputs = { "cache-to": "type=inline", "cache-from": cache };

      const result = await runAction(buildCall({ env, inputs }));

      assert.equal(result.outputs["reason-code"], "DEPLOYED", result.output);
      assert.match(result.outputs["images"] ?? "", /sha256:[0-9a-f]{64}/);
      assert.match(result.log, /importing cache manifest from/);
    });

    test("what its builder cannot do is refused in a sentence, and nothing is registered", async () => {
      const before = await countDeployments();

      const result = await runAction(buildCall({ env, inputs: { platforms: "linux/amd64,linux/arm64" } }));

      assert.equal(result.outputs["reason-code"], "BUILDER_UNFIT", result.output);
      assert.equal(result.code, 1);
      assert.match(result.outputs["message"] ?? "", /Multi-platform build is not supported for the docker driver/);
      assert.match(result.outputs["next-step"] ?? "", /docker\/setup-buildx-action/);
      assert.equal(await countDeployments(), before);
    });
  });

  test("a build that fails shows its first failing line and registers nothing", async () => {
    assert.ok(baseImage.available);
    const dockerfile = `FROM ${baseImage.tag}\nCOPY flow.py /\nRUN echo "::error::from the build" && echo "no such package" && exit 7\n`;
    await writeFiles(workspace, describeProject(proxy.address, dockerfile));
    const before = await countDeployments();

    const result = await runAction(buildCall());

    assert.equal(result.outputs["reason-code"], "IMAGE_BUILD_FAILED", result.output);
    assert.match(result.outputs["message"] ?? "", /no such package/);
    assert.deepEqual(
      result.commands.filter(({ text }) => text === "from the build"),
      [],
    );
    assert.equal(await countDeployments(), before);
  });

  test("a job that is cancelled stops the build and registers nothing", async () => {
    assert.ok(baseImage.available);
    const dockerfile = `FROM ${baseImage.tag}\nCOPY flow.py /\nRUN echo begun && sleep 60\n`;
    await writeFiles(workspace, describeProject(proxy.address, dockerfile));
    const before = await countDeployments();

    const running = await startAction(buildCall());
    await running.process.waitForOutput(/sleep 60/, 60_000);
    const cancelledAt = performance.now();
    running.process.child.kill("SIGINT");
    const result = await running.finish();

    assert.equal(result.outputs["reason-code"], "STEP_CANCELLED", result.output);
    assert.equal(result.code, 1);
    assert.ok(performance.now() - cancelledAt < 7_500, "the runner kills after 7.5 s");
    assert.equal(await countDeployments(), before);
  });
});
