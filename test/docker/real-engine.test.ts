import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { loadMachine } from "../../scripts/setup/machine.ts";
import { type BuildRequest, buildImage } from "../../src/docker/build.ts";
import {
  createContainer,
  findContainer,
  removeContainer,
  startContainer,
  stopContainer,
  waitContainer,
} from "../../src/docker/containers.ts";
import { type Engine, findEngine } from "../../src/docker/engine.ts";
import { readEngineSettings } from "../../src/docker/engine-address.ts";
import { findImage, pullImage, tagImage } from "../../src/docker/images.ts";
import { readOutput } from "../../src/docker/logs.ts";
import { pushImage } from "../../src/docker/push.ts";

const { docker, baseImage, registry } = await loadMachine();
const missing = [docker, baseImage, registry].find((part) => !part.available);
const skip = missing?.available === false ? missing.reason : false;
const base = baseImage.available ? baseImage.tag : "";
const never = new AbortController().signal;

describe("with a real Docker engine", { skip }, () => {
  const label = `flowyard-test-${randomUUID().slice(0, 8)}`;
  let engine: Engine;
  let folder = "";
  const images = new Set<string>();

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "flowyard-real-"));
    const host = docker.available ? docker.host : "";
    engine = await findEngine(readEngineSettings({ HOME: folder, DOCKER_HOST: host }));
  });

  after(async () => {
    for (const { Id } of await engine.docker.listContainers({ all: true, filters: { label: [label] } })) {
      await removeContainer(engine, Id);
    }
    for (const image of images) {
      await engine.docker
        .getImage(image)
        .remove({ force: true })
        .catch(() => undefined);
    }
    await rm(folder, { recursive: true, force: true });
  });

  async function build(
    files: Record<string, string>,
    request: Partial<BuildRequest> = {},
  ): Promise<{ image: string; lines: string[]; imageId: string }> {
    const contextDir = join(folder, randomUUID());
    for (const [name, text] of Object.entries(files)) {
      await mkdir(join(contextDir, name, ".."), { recursive: true });
      await writeFile(join(contextDir, name), text);
    }
    const image = `${label}:${randomUUID().slice(0, 8)}`;
    images.add(image);
    const lines: string[] = [];
    const onLine = (line: string) => lines.push(line);
    const tags: [string] = [image];
    const { imageId } = await buildImage(engine, { contextDir, dockerfile: "Dockerfile", tags, onLine, ...request });
    return { image, lines, imageId };
  }

  async function run(command: string, hostConfig: object = {}): Promise<{ id: string; lines: string[] }> {
    const created = await createContainer(engine, undefined, {
      Image: base,
      Entrypoint: ["sh", "-c"],
      Cmd: [command],
      Labels: { [label]: "" },
      HostConfig: hostConfig,
    });
    assert.equal(created.outcome, "created");
    await startContainer(engine, created.id);
    const lines: string[] = [];
    for await (const { stream, text } of readOutput(engine, created.id, {}, never)) {
      lines.push(`${stream}: ${text}`);
    }
    await waitContainer(engine, created.id, never);
    return { id: created.id, lines };
  }

  test("an image is built with its arguments, labels and ignored files, and its log is readable", async () => {
    const { image, lines, imageId } = await build(
      {
        Dockerfile: `FROM ${base}\nARG WHO=nobody\nCOPY . /context\nRUN echo "hello $WHO" && ls /context\n`,
        ".dockerignore": "secret\n",
        "secret/key": "x",
        "app.py": "x",
      },
      { buildArgs: { WHO: "otter" }, labels: { "com.example.team": "data" }, noCache: true },
    );

    const text = lines.join("\n");
    assert.match(text, /^#\d+ hello otter$/m);
    assert.match(text, /^#\d+ app\.py$/m);
    assert.doesNotMatch(text, /secret/);
    const found = await findImage(engine, image);
    assert.equal(found?.Id, imageId);
    assert.equal(found?.Config.Labels["com.example.team"], "data");
  });

  test("a build that fails names the step, its exit code and its last lines", async () => {
    const Dockerfile = `FROM ${base}\nRUN echo "no such package" && exit 7\n`;

    await assert.rejects(build({ Dockerfile }), {
      code: "IMAGE_BUILD_FAILED",
      message: /at step \[2\/2\] RUN echo .*: exit code: 7\n {4}no such package/s,
    });
  });

  test("a Dockerfile with a mistake, a target and a base image that do not exist are told as such", async () => {
    await assert.rejects(build({ Dockerfile: "FRON x\n" }), { code: "IMAGE_BUILD_FAILED", message: /FRON/ });
    await assert.rejects(build({ Dockerfile: `FROM ${base}\n` }, { target: "release" }), {
      code: "IMAGE_BUILD_FAILED",
      message: /target stage release could not be found/,
    });
    await assert.rejects(build({ Dockerfile: "FROM no-such-registry.invalid/x:1\n" }), {
      code: "IMAGE_BUILD_FAILED",
      message: /no-such-registry\.invalid/,
      hint: /base image/,
    });
  });

  test("a build that is aborted ends at once", async () => {
    const abort = new AbortController();
    const Dockerfile = `FROM ${base}\nRUN echo started && sleep 60\n`;
    const onLine = (line: string) => line.includes("started") && !line.includes("RUN") && abort.abort();

    await assert.rejects(build({ Dockerfile }, { signal: abort.signal, noCache: true, onLine }), {
      name: "AbortError",
    });
  });

  test("a pushed image is pulled again by the digest that the push gave", async () => {
    const { image } = await build({ Dockerfile: "FROM scratch\nCOPY app.py /\n", "app.py": randomUUID() });
    const address = registry.available ? registry.address : "";
    const remote = `${address}/${label}:1`;
    images.add(remote);
    await tagImage(engine, image, remote);

    const { digest } = await pushImage(engine, { image: remote });
    await engine.docker.getImage(remote).remove({ force: true });
    await pullImage(engine, { image: `${address}/${label}@${digest}` });

    assert.match(digest, /^sha256:[0-9a-f]{64}$/);
    const found = await findImage(engine, `${address}/${label}@${digest}`);
    images.add(found?.Id ?? "");
    assert.ok(found);
  });

  test("a registry with a login refuses strangers and serves who has the credentials", async () => {
    assert.ok(registry.available);
    const { address, username, password } = registry.private;
    const { image } = await build({ Dockerfile: "FROM scratch\nCOPY app.py /\n", "app.py": randomUUID() });
    const remote = `${address}/${label}:1`;
    images.add(remote);
    await tagImage(engine, image, remote);
    const credentials = { username, password, serveraddress: address };

    await assert.rejects(pushImage(engine, { image: remote }), { code: "REGISTRY_LOGIN_REFUSED" });
    await pushImage(engine, { image: remote, credentials });
    await assert.rejects(pullImage(engine, { image: remote }), { code: "IMAGE_PULL_REFUSED" });
    await assert.rejects(pullImage(engine, { image: remote, credentials: { ...credentials, password: "wrong" } }), {
      code: "IMAGE_PULL_REFUSED",
    });
    await assert.rejects(pullImage(engine, { image: `${address}/${label}:none`, credentials }), {
      code: "IMAGE_NOT_FOUND",
    });
    await pullImage(engine, { image: remote, credentials });
  });

  test("a container's output, exit code and state are seen", async () => {
    const { id, lines } = await run("echo out; echo err >&2; exit 3");

    assert.deepEqual(lines.sort(), ["stderr: err", "stdout: out"]);
    const state = await findContainer(engine, id);
    assert.equal(state?.exitCode, 3);
    assert.equal(state?.isRunning, false);
    assert.equal(state?.wasOutOfMemory, false);
  });

  test("a container that uses too much memory is seen as such", async () => {
    const limit = 64 * 1024 * 1024;

    // Engines miss a kernel's kill now and then: one that sees none of three never would.
    let isSeen = false;
    for (let attempt = 0; attempt < 3 && !isSeen; attempt += 1) {
      const { id } = await run("tail /dev/zero", { Memory: limit, MemorySwap: limit });
      isSeen = (await findContainer(engine, id))?.wasOutOfMemory === true;
    }

    assert.ok(isSeen);
  });

  test("a running container is stopped, and removing it twice is no error", async () => {
    const created = await createContainer(engine, undefined, {
      Image: base,
      Entrypoint: ["sleep", "60"],
      Cmd: [],
      Labels: { [label]: "" },
      HostConfig: { Init: true },
    });
    assert.equal(created.outcome, "created");
    await startContainer(engine, created.id);

    await stopContainer(engine, created.id, 5);

    assert.equal((await findContainer(engine, created.id))?.exitCode, 143);
    await removeContainer(engine, created.id);
    await removeContainer(engine, created.id);
    assert.equal(await findContainer(engine, created.id), undefined);
  });

  test("a name that is taken is told, an image that is not here is named", async () => {
    const options = { Image: base, Labels: { [label]: "" } };

    assert.equal((await createContainer(engine, label, options)).outcome, "created");
    assert.equal((await createContainer(engine, label, options)).outcome, "name-taken");
    await assert.rejects(createContainer(engine, undefined, { Image: `${label}:none` }), { code: "IMAGE_NOT_FOUND" });
  });
});
