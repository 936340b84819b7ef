import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { loadMachine } from "../../../scripts/setup/machine.ts";
import { type Engine, findEngine } from "../../../src/docker/engine.ts";
import { readEngineSettings } from "../../../src/docker/engine-address.ts";
import { findImage } from "../../../src/docker/images.ts";
import { findRegistryDigest, tagInRegistry } from "../../../src/docker/registry.ts";
import { buildContentTag } from "../../../src/release/images/content-hash.ts";
import type { ImageSession, ImageSessionOptions } from "../../../src/release/images/image-session.ts";
import { buildDockerImage } from "../../../src/release/steps/build-docker-image.ts";
import { pushDockerImage } from "../../../src/release/steps/push-docker-image.ts";
import type { StepContext } from "../../../src/release/steps/step.ts";
import { waitUntil } from "../../support/wait-until.ts";
import { openImageSession } from "../open-image-session.ts";

const { docker, baseImage, registry } = await loadMachine();
const missing = [docker, baseImage, registry].find((part) => !part.available);
const skip = missing?.available === false ? missing.reason : false;
const base = baseImage.available ? baseImage.tag : "";
const open = registry.available ? registry.address : "";
const guarded = registry.available ? registry.private : { address: "", username: "", password: "" };
const never = new AbortController().signal;

interface Deploy {
  images: ImageSession;
  said: string[];
  context: StepContext;
}

describe("images with a real engine and registry", { skip }, () => {
  const mark = `flowyard-image-${randomUUID().slice(0, 8)}`;
  let engine: Engine;
  let home = "";
  let folder = "";

  before(async () => {
    home = await mkdtemp(path.join(tmpdir(), "flowyard-registry-"));
    engine = await findEngine(readEngineSettings({ HOME: home, DOCKER_HOST: docker.available ? docker.host : "" }));
  });
  after(async () => {
    await forgetLocally();
    await rm(home, { recursive: true, force: true });
  });

  /** Removes what these tests built from the engine, as a fresh runner would not have it. */
  async function forgetLocally(): Promise<void> {
    for (const { RepoTags } of await engine.docker.listImages()) {
      for (const tag of (RepoTags ?? []).filter((each) => each.includes(mark))) {
        await engine.docker.getImage(tag).remove({ force: true });
      }
    }
  }

  /** A project folder with a line that no other has. */
  async function openFolder(files: Record<string, string> = {}): Promise<void> {
    folder = path.join(home, randomUUID().slice(0, 8));
    await mkdir(folder);
    const dockerfile = `FROM ${base}\nLABEL mark=${randomUUID()}\nCOPY . /opt/app\n`;
    for (const [name, text] of Object.entries({ Dockerfile: dockerfile, "flow.py": "x = 1\n", ...files })) {
      await writeFile(path.join(folder, name), text);
    }
  }

  function beginDeploy(change: Partial<ImageSessionOptions> = {}): Deploy {
    const said: string[] = [];
    const images = openImageSession(() => Promise.resolve(engine), said, {
      registry: { configDir: path.join(home, ".docker"), signal: never },
      ...change,
    });
    const write = (text: string) => said.push(text);
    const context = { directory: folder, env: {}, signal: never, write, notice: write, images, pushesImages: true };
    return { images, said, context };
  }

  /** One deployment's build and push steps. */
  async function plan(deploy: Deploy, name: string, tag: string | undefined, extra: object = {}): Promise<void> {
    const { outputs } = await buildDockerImage.run(
      { image_name: name, ...(tag === undefined ? {} : { tag }), pull: false, ...extra },
      deploy.context,
    );
    await pushDockerImage.run({ image_name: outputs["image_name"], tag: outputs["tag"] }, deploy.context);
  }

  const look = (image: string) => findRegistryDigest({ configDir: home, signal: never }, { image });
  const built = (deploy: Deploy) => deploy.said.filter((text) => text.startsWith("Building image"));
  const pushed = (deploy: Deploy) => deploy.said.filter((text) => text.startsWith("Pushing image"));

  it("are built and pushed once for a hundred deployments, and named by the digest that the registry tells", async () => {
    await openFolder();
    const deploy = beginDeploy();
    const name = `${open}/${mark}-shared`;
    const steps = Array.from({ length: 100 }, () => plan(deploy, name, "v1"));
    await Promise.all(steps);
    const began = performance.now();

    await deploy.images.carryOut(false);

    assert.equal(built(deploy).length, 1);
    assert.equal(pushed(deploy).length, 1);
    const [image] = deploy.images.images();
    assert.equal(deploy.images.images().length, 1);
    const digest = image?.names.get(name)?.digest;
    assert.equal(digest, await look(`${name}:v1`));
    assert.equal(digest, await look(`${name}:${buildContentTag(image?.contentHash ?? "")}`));
    assert.ok(performance.now() - began - (image?.buildSeconds ?? 0) * 1000 < 10_000);
  });

  it("are not built when the registry has the content, even on a machine that has nothing", async () => {
    await openFolder();
    const name = `${open}/${mark}-reused`;
    const first = beginDeploy();
    await plan(first, name, "v1");
    await first.images.carryOut(false);
    await forgetLocally();

    const second = beginDeploy({ findEngine: () => Promise.reject(new Error("there is no engine")) });
    await plan(second, name, "v2", { pull: false });
    // The base image can be looked up on an engine only: here it is the same machine's.
    const third = beginDeploy();
    await plan(third, name, "v2");
    await third.images.carryOut(false);

    assert.deepEqual(built(third), []);
    assert.deepEqual(pushed(third), []);
    assert.equal(await look(`${name}:v2`), await look(`${name}:v1`));
    assert.equal(second.images.images()[0]?.contentHash, null);
  });

  it("are built again when a file changes, and not when an ignored one does", async () => {
    await openFolder({ ".dockerignore": "*.log\n" });
    const name = `${open}/${mark}-changed`;
    const digests: (string | undefined)[] = [];
    for (const [file, text] of [
      ["flow.py", "x = 1\n"],
      ["run.log", "ignored\n"],
      ["flow.py", "x = 2\n"],
    ] as const) {
      await writeFile(path.join(folder, file), text);
      const deploy = beginDeploy();
      await plan(deploy, name, "latest");
      await deploy.images.carryOut(false);
      digests.push(await look(`${name}:latest`));
    }

    assert.equal(digests[1], digests[0]);
    assert.notEqual(digests[2], digests[0]);
  });

  it("stay on the engine without a push step, named by their tag, and are found there again", async () => {
    await openFolder();
    const name = `${mark}-local`;
    for (const expected of [1, 0]) {
      const deploy = beginDeploy();
      await buildDockerImage.run(
        { image_name: name, tag: "v1", pull: false },
        { ...deploy.context, pushesImages: false },
      );
      await deploy.images.carryOut(false);

      assert.equal(built(deploy).length, expected);
      assert.equal(deploy.images.images()[0]?.names.get(name)?.digest, null);
    }
    assert.ok(await findImage(engine, `${name}:v1`));
  });

  it("of older contents do not pile up on the engine", async () => {
    const name = `${mark}-pile`;
    await openFolder();
    for (let index = 0; index < 7; index += 1) {
      await writeFile(path.join(folder, "flow.py"), `x = ${index}\n`);
      const deploy = beginDeploy();
      await buildDockerImage.run(
        { image_name: name, tag: "v1", pull: false },
        { ...deploy.context, pushesImages: false },
      );
      await deploy.images.carryOut(false);
    }

    const images = await engine.docker.listImages({ filters: { reference: [name] } });
    const tags = images.flatMap(({ RepoTags }) => RepoTags ?? []);

    assert.equal(tags.filter((tag) => tag.includes(":fy-")).length, 5);
    assert.ok(tags.includes(`${name}:v1`));
  });

  it("carry the commit they come from, and stay the same image for another commit of the same content", async () => {
    await openFolder();
    const name = `${open}/${mark}-origin`;
    const source = "https://github.com/acme/etl";
    const digests: (string | undefined)[] = [];
    for (const revision of ["a".repeat(40), "b".repeat(40)]) {
      const origin = { source, revision, created: "2026-11-24T09:00:00.000Z" };
      const deploy = beginDeploy({ findOrigin: () => Promise.resolve(origin) });
      await plan(deploy, name, undefined);
      await deploy.images.carryOut(false);
      digests.push(deploy.images.images()[0]?.names.get(name)?.digest ?? undefined);
    }
    const labels = (await findImage(engine, `${name}@${digests[0]}`))?.Config.Labels ?? {};

    assert.equal(digests[1], digests[0]);
    assert.equal(labels["org.opencontainers.image.source"], source);
    assert.equal(labels["org.opencontainers.image.revision"], "a".repeat(40));
    assert.equal(labels["org.opencontainers.image.created"], "2026-11-24T09:00:00.000Z");
  });

  it("of two different Dockerfiles are built at the same time, each line with the image's name before it", async () => {
    await openFolder();
    await writeFile(path.join(folder, "Other"), `FROM ${base}\nLABEL mark=${randomUUID()}\nRUN echo other-line\n`);
    const deploy = beginDeploy();
    await plan(deploy, `${open}/${mark}-a`, "v1");
    await plan(deploy, `${open}/${mark}-b`, "v1", { dockerfile: "Other" });

    await deploy.images.carryOut(false);

    assert.equal(built(deploy).length, 2);
    assert.ok(deploy.said.some((text) => text.startsWith(`[${open}/${mark}-b:v1] `) && text.includes("other-line")));
  });

  it("of a failing build fail with the step that failed, and nothing is pushed", async () => {
    await openFolder({ Dockerfile: `FROM ${base}\nRUN echo first-words && exit 7\n` });
    const deploy = beginDeploy();
    await plan(deploy, `${open}/${mark}-broken`, "v1");

    await assert.rejects(deploy.images.carryOut(false), (error: Error & { code: string }) => {
      assert.equal(error.code, "IMAGE_BUILD_FAILED");
      assert.match(error.message, /RUN echo first-words.*exit code: 7/s);
      return true;
    });
    assert.equal(await look(`${open}/${mark}-broken:v1`), undefined);
  });

  it("stop building when the deploy is stopped, and nothing gets their name", async () => {
    await openFolder({ Dockerfile: `FROM ${base}\nRUN echo ${mark} && sleep 60\n` });
    const stop = new AbortController();
    const deploy = beginDeploy({ registry: { configDir: home, signal: stop.signal } });
    const name = `${mark}-stopped`;
    await buildDockerImage.run(
      { image_name: name, tag: "v1", pull: false },
      { ...deploy.context, pushesImages: false },
    );
    const building = deploy.images.carryOut(false);
    await Promise.race([
      building,
      waitUntil(async () => deploy.said.some((text) => /\] #\d+ .*sleep 60/.test(text)), {
        timeoutMs: 20_000,
        what: "the step that sleeps",
        evidence: () => deploy.said.join(""),
      }),
    ]);
    const began = performance.now();

    stop.abort();

    await assert.rejects(building);
    assert.ok(performance.now() - began < 5000);
    assert.equal(await findImage(engine, `${name}:v1`), undefined);
  });

  it("are pushed without a push step when the deploy says so", async () => {
    await openFolder();
    const name = `${open}/${mark}-pushed`;
    const deploy = beginDeploy({ pushAll: true });
    await buildDockerImage.run(
      { image_name: name, tag: "v1", pull: false },
      { ...deploy.context, pushesImages: false },
    );

    await deploy.images.carryOut(false);

    assert.equal(deploy.images.images()[0]?.names.get(name)?.digest, await look(`${name}:v1`));
    assert.notEqual(await look(`${name}:v1`), undefined);
  });

  it("are refused before they are built when the registry refuses the login", async () => {
    await openFolder();
    const name = `${guarded.address}/${mark}-login`;
    for (const credentials of [undefined, { username: "flowyard", password: "wrong" }]) {
      const deploy = beginDeploy();
      await buildDockerImage.run({ image_name: name, tag: "v1", pull: false }, deploy.context);
      await pushDockerImage.run({ image_name: name, tag: "v1", credentials }, deploy.context);

      await assert.rejects(deploy.images.carryOut(false), { code: "REGISTRY_LOGIN_REFUSED" });
      assert.deepEqual(built(deploy), []);
    }
  });

  it("go to a registry with a login, with the step's credentials or those that docker login stored", async () => {
    await openFolder();
    const { address, username, password } = guarded;
    const name = `${address}/${mark}-allowed`;
    const inline = beginDeploy();
    await buildDockerImage.run({ image_name: name, tag: "v1", pull: false }, inline.context);
    await pushDockerImage.run({ image_name: name, tag: "v1", credentials: { username, password } }, inline.context);
    await inline.images.carryOut(false);
    await mkdir(path.join(home, ".docker"), { recursive: true });
    const auth = Buffer.from(`${username}:${password}`).toString("base64");
    await writeFile(path.join(home, ".docker/config.json"), JSON.stringify({ auths: { [address]: { auth } } }));
    const stored = beginDeploy();
    await plan(stored, name, "v2");
    await stored.images.carryOut(false);
    await rm(path.join(home, ".docker"), { recursive: true });

    assert.match(inline.images.images()[0]?.names.get(name)?.digest ?? "", /^sha256:/);
    assert.deepEqual(built(stored), []);
    const access = { configDir: home, signal: never };
    const credentials = { ...guarded, serveraddress: address };
    assert.equal(
      await findRegistryDigest(access, { image: `${name}:v2`, credentials }),
      inline.images.images()[0]?.names.get(name)?.digest,
    );
    await assert.rejects(tagInRegistry(access, { image: `${name}:v1` }, "v3"), { code: "REGISTRY_LOGIN_REFUSED" });
  });

  it("that no registry has can not be tagged there", async () => {
    const access = { configDir: home, signal: never };

    await assert.rejects(tagInRegistry(access, { image: `${open}/${mark}-nobody:v1` }, "v2"), {
      code: "IMAGE_NOT_FOUND",
    });
  });
});
