import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { z } from "zod";
import { loadMachine } from "../../../scripts/setup/machine.ts";
import { type Engine, findEngine } from "../../../src/docker/engine.ts";
import { readEngineSettings } from "../../../src/docker/engine-address.ts";
import { findImage } from "../../../src/docker/images.ts";
import { findRegistryDigest } from "../../../src/docker/registry.ts";
import type { ImageSession } from "../../../src/release/images/image-session.ts";
import { buildDockerImage } from "../../../src/release/steps/build-docker-image.ts";
import { pushDockerImage } from "../../../src/release/steps/push-docker-image.ts";
import { plainEnvironment } from "../../support/plane-process.ts";
import { openImageSession } from "../open-image-session.ts";

const { docker, registry, buildx } = await loadMachine();
const missing = [docker, registry, buildx].find((part) => !part.available);
const skip = missing?.available === false ? missing.reason : false;
const open = registry.available ? registry.address : "";
const guarded = registry.available ? registry.private : { address: "", username: "", password: "" };
const never = new AbortController().signal;
const Manifest = z.object({ config: z.object({ digest: z.string() }) });

describe("images with the real buildx, on the engine's own builder", { skip }, () => {
  const mark = `flowyard-buildx-${randomUUID().slice(0, 8)}`;
  const name = `${open}/${mark}`;
  let engine: Engine;
  let home = "";
  let env: Record<string, string> = {};

  before(async () => {
    assert.ok(docker.available && buildx.available);
    home = await mkdtemp(path.join(tmpdir(), "flowyard-buildx-"));
    env = plainEnvironment(home, { DOCKER_HOST: docker.host, DOCKER_CONFIG: path.join(home, "docker") });
    await mkdir(path.join(home, "docker/cli-plugins"), { recursive: true });
    await symlink(buildx.plugin, path.join(home, "docker/cli-plugins/docker-buildx"));
    const auth = Buffer.from(`${guarded.username}:${guarded.password}`).toString("base64");
    const config = { auths: { [guarded.address]: { auth } } };
    await writeFile(path.join(home, "docker/config.json"), JSON.stringify(config));
    engine = await findEngine(readEngineSettings(env));
  });
  after(async () => {
    for (const { RepoTags } of await engine.docker.listImages()) {
      for (const tag of (RepoTags ?? []).filter((each) => each.includes(mark))) {
        await engine.docker.getImage(tag).remove({ force: true });
      }
    }
    await rm(home, { recursive: true, force: true });
  });

  /** Builds and pushes a new content as one step pair asks for it. */
  async function deploy(image: string, inputs: object, dockerfile = "FROM scratch\nCOPY flow.py /flow.py\n") {
    const directory = path.join(home, randomUUID().slice(0, 8));
    await mkdir(directory);
    await writeFile(path.join(directory, "Dockerfile"), dockerfile);
    await writeFile(path.join(directory, "flow.py"), `x = "${randomUUID()}"\n`);
    const said: string[] = [];
    const registryAccess = { configDir: path.join(home, "docker"), signal: never };
    const images = openImageSession(() => Promise.resolve(engine), said, { registry: registryAccess, env });
    const write = (text: string) => said.push(text);
    const context = { directory, env, signal: never, write, notice: write, images, pushesImages: true };
    await buildDockerImage.run({ image_name: image, tag: "v1", pull: false, ...inputs }, context);
    await pushDockerImage.run({ image_name: image, tag: "v1" }, context);
    return { images, said };
  }

  const digestOf = (images: ImageSession) => [...(images.images()[0]?.names.values() ?? [])][0]?.digest;

  /** The image's configuration as the registry has it. */
  async function readConfig(image: string, digest: string): Promise<string> {
    const base = `http://${open}/v2/${image.slice(open.length + 1)}`;
    const headers = { accept: "application/vnd.docker.distribution.manifest.v2+json" };
    const manifest = Manifest.parse(await (await fetch(`${base}/manifests/${digest}`, { headers })).json());
    return (await fetch(`${base}/blobs/${manifest.config.digest}`)).text();
  }

  it("write an inline cache, take one from the registry, and are named by the registry's digest", async () => {
    const first = await deploy(name, { cache_to: "type=inline" });
    await first.images.carryOut(false);
    const second = await deploy(name, { cache_from: { type: "registry", ref: `${name}:v1` }, cache_to: "type=inline" });

    await second.images.carryOut(false);

    const digest = digestOf(second.images) ?? "";
    assert.equal(digest, await findRegistryDigest({ configDir: home, signal: never }, { image: `${name}:v1` }));
    assert.match(await readConfig(name, digest), /moby\.buildkit\.cache/);
    assert.ok(
      second.said.some((text) => text.includes(`importing cache manifest from ${name}:v1`)),
      second.said.join(""),
    );
    assert.ok(second.said.some((text) => text.startsWith(`[${name}:v1] #`)));
  });

  it("read a cache that the registry guards, with the credentials of Docker's configuration", async () => {
    const image = `${guarded.address}/${mark}`;
    await (await deploy(image, { cache_to: "type=inline" })).images.carryOut(false);
    const { images, said } = await deploy(image, { cache_from: `type=registry,ref=${image}:v1` });

    await images.carryOut(false);

    assert.match(digestOf(images) ?? "", /^sha256:[0-9a-f]{64}$/);
    assert.ok(!said.some((text) => /authorization failed|unauthorized/i.test(text)), said.join(""));
  });

  it("without a cache where it was looked for are built all the same", async () => {
    const { images } = await deploy(name, { cache_from: `type=registry,ref=${name}:never` });

    await images.carryOut(false);

    assert.match(digestOf(images) ?? "", /^sha256:/);
  });

  it("are built for another platform than the engine's", async () => {
    const { images } = await deploy(name, { platform: "linux/arm64", cache_to: "type=inline" });

    await images.carryOut(false);

    const id = images.images()[0]?.imageId ?? "";
    assert.equal((await findImage(engine, id))?.Architecture, "arm64");
  });

  const platforms = ["linux/amd64", "linux/arm64"];
  for (const [what, inputs, words] of [
    ["a cache in the registry", { cache_to: `type=registry,ref=${name}:cache` }, /Cache export is not supported/],
    ["a cache in a folder", { cache_to: "type=local,dest=cache" }, /Cache export is not supported/],
    ["provenance", { provenance: "mode=max" }, /Attestation is not supported/],
    ["several platforms", { platforms }, /Multi-platform build is not supported/],
  ] as const) {
    it(`with ${what} are refused in a sentence that names the builder and what to do`, async () => {
      const { images } = await deploy(`${name}-refused`, inputs);

      await assert.rejects(images.carryOut(false), (error) => {
        assert.ok(error instanceof Error && "code" in error && "hint" in error);
        assert.equal(error.code, "BUILDER_UNFIT");
        assert.match(error.message, words);
        assert.match(error.message, /docker driver\.$/);
        assert.match(String(error.hint), /docker\/setup-buildx-action/);
        return true;
      });
      const tag = `${name}-refused:v1`;
      assert.equal(await findRegistryDigest({ configDir: home, signal: never }, { image: tag }), undefined);
    });
  }

  it("that fail show the line that failed", async () => {
    const dockerfile = "FROM scratch\nCOPY missing.py /\n";
    const { images } = await deploy(name, { cache_to: "type=inline" }, dockerfile);

    await assert.rejects(images.carryOut(false), { code: "IMAGE_BUILD_FAILED", message: /missing\.py.*not found/s });
  });
});
