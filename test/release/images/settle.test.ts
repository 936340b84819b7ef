import assert from "node:assert/strict";
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { runLimited } from "../../../src/release/images/run-limited.ts";
import { buildDockerImage } from "../../../src/release/steps/build-docker-image.ts";
import { pushDockerImage } from "../../../src/release/steps/push-docker-image.ts";
import type { StepContext } from "../../../src/release/steps/step.ts";
import { type FakeDocker, startFakeDocker } from "../../support/fake-docker.ts";
import { openImageSession } from "../open-image-session.ts";

const IMAGE_ID = `sha256:${"a".repeat(64)}`;
const DIGEST = `sha256:${"d".repeat(64)}`;

/** An engine without BuildKit's session, which the fake does not speak; it knows the tags that it was given. */
function startEngine(): Promise<FakeDocker> {
  const tags = new Set<string>();
  return startFakeDocker(({ path: route, query }) => {
    const name = decodeURIComponent(route).replace(/^\/images\/(.*)\/\w+$/, "$1");
    if (route.endsWith("/version")) {
      const Components = [{ Name: "Podman Engine" }];
      return { status: 200, json: { Version: "5.0.0", ApiVersion: "1.41", Os: "linux", Arch: "amd64", Components } };
    }
    if (route.endsWith("/build")) {
      return { status: 200, lines: [{ stream: "Step 1/1 : FROM scratch\n" }, { aux: { ID: IMAGE_ID } }] };
    }
    if (route.endsWith("/push")) {
      return { status: 200, lines: [{ aux: { Digest: DIGEST } }] };
    }
    if (route.endsWith("/tag")) {
      tags.add(`${query.get("repo")}:${query.get("tag")}`);
      return { status: 201 };
    }
    return name === IMAGE_ID || tags.has(name) ? { status: 200, json: { Id: IMAGE_ID, Size: 42 } } : undefined;
  });
}

describe("an image whose registry cannot be seen from here", () => {
  let folder = "";
  let docker: FakeDocker;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "flowyard-settle-"));
    await writeFile(path.join(folder, "Dockerfile"), "FROM scratch\n");
    docker = await startEngine();
  });
  afterEach(async () => {
    await docker[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  function buildContext(said: string[], env: Record<string, string> = {}): StepContext {
    const write = (text: string) => said.push(text);
    const images = openImageSession(() => docker.connect(), said, { env });
    const signal = new AbortController().signal;
    return { directory: folder, env, signal, write, notice: write, images, pushesImages: true };
  }

  it("is pushed by the engine, each tag, and named by the digest that the registry told the engine", async () => {
    const said: string[] = [];
    const context = buildContext(said);
    const name = "127.0.0.1:1/acme/etl";
    await buildDockerImage.run({ image_name: name, tag: "v1", additional_tags: ["latest"], pull: false }, context);
    await pushDockerImage.run({ image_name: name, tag: "v1", additional_tags: ["latest"] }, context);

    await context.images.carryOut(false);

    const pushes = docker.requests.filter((request) => request.path.endsWith("/push"));
    const tags = pushes.map(({ query }) => query.get("tag"));
    assert.match(tags[0] ?? "", /^fy-/);
    assert.deepEqual(tags.slice(1), ["v1", "latest"]);
    assert.equal(context.images.images()[0]?.names.get(name)?.digest, DIGEST);
    assert.ok(said.some((text) => text.includes("cannot be seen from here")));
  });

  it("with several platforms is a matter for buildx, which says plainly that it is missing", async () => {
    await mkdir(path.join(folder, "bin"));
    await writeFile(
      path.join(folder, "bin/docker"),
      '#!/bin/sh\necho "docker: unknown command: docker buildx" >&2\nexit 1\n',
    );
    await chmod(path.join(folder, "bin/docker"), 0o755);
    const context = buildContext([], { PATH: path.join(folder, "bin") });
    const platforms = ["linux/amd64", "linux/arm64"];
    const name = "127.0.0.1:1/acme/etl";
    await buildDockerImage.run({ image_name: name, tag: "v1", platforms, pull: false }, context);
    await pushDockerImage.run({ image_name: name, tag: "v1" }, context);

    await assert.rejects(context.images.carryOut(false), { code: "BUILDX_MISSING" });
  });

  it("with a cache is built by buildx into the engine, with all that the step says", async () => {
    await mkdir(path.join(folder, "bin"));
    const script = `#!/bin/sh\necho "$@" >> "${folder}/asked"\necho "#1 [internal] load" >&2\n`;
    await writeFile(path.join(folder, "bin/docker"), script);
    await chmod(path.join(folder, "bin/docker"), 0o755);
    const said: string[] = [];
    const context = buildContext(said, { PATH: `${path.join(folder, "bin")}:/usr/bin:/bin` });
    await buildDockerImage.run(
      {
        image_name: "etl",
        tag: "v1",
        pull: false,
        target: "run",
        cache_from: [{ type: "gha", scope: "etl" }],
        cache_to: "type=gha,mode=max",
        provenance: false,
        build_args: { N: 1 },
      },
      { ...context, pushesImages: false },
    );

    await context.images.carryOut(false);

    const [version, build = ""] = (await readFile(path.join(folder, "asked"), "utf8")).split("\n");
    assert.equal(version, "buildx version");
    assert.match(
      build,
      /^buildx build --progress=plain --metadata-file=\S+ --load --tag etl:v1 --tag etl:fy-\w+ --build-arg N=1 --label /,
    );
    assert.match(build, /--target run --cache-from type=gha,scope=etl --cache-to type=gha,mode=max --provenance=false/);
    assert.ok(said.includes("[etl:v1] #1 [internal] load\n"), said.join(""));
  });

  it("that goes straight to its registry is pushed with the credentials of its push step, and named by buildx", async () => {
    await mkdir(path.join(folder, "bin"));
    const script = `#!/bin/sh
[ "$2" = version ] && exit 0
cp "$DOCKER_CONFIG/config.json" "${folder}/used.json"
for arg in "$@"; do case "$arg" in --metadata-file=*) file="\${arg#--metadata-file=}";; esac; done
echo '{"containerimage.digest": "${DIGEST}"}' > "$file"
`;
    await writeFile(path.join(folder, "bin/docker"), script);
    await chmod(path.join(folder, "bin/docker"), 0o755);
    const context = buildContext([], { PATH: `${path.join(folder, "bin")}:/usr/bin:/bin` });
    const name = "127.0.0.1:1/acme/etl";
    const credentials = { username: "ada", password: "correct-horse", registry_url: "127.0.0.1:1" };
    await buildDockerImage.run({ image_name: name, tag: "v1", pull: false, provenance: "mode=max" }, context);
    await pushDockerImage.run({ image_name: name, tag: "v1", credentials }, context);

    await context.images.carryOut(false);

    const used = JSON.parse(await readFile(path.join(folder, "used.json"), "utf8"));
    assert.deepEqual(used.auths, { "127.0.0.1:1": { auth: Buffer.from("ada:correct-horse").toString("base64") } });
    assert.equal(context.images.images()[0]?.names.get(name)?.digest, DIGEST);
  });

  it("that buildx cannot build fails with the line that says why", async () => {
    await mkdir(path.join(folder, "bin"));
    const script =
      '#!/bin/sh\n[ "$2" = version ] && exit 0\necho "#5 ERROR: process did not complete: exit code: 7" >&2\necho "more" >&2\nexit 1\n';
    await writeFile(path.join(folder, "bin/docker"), script);
    await chmod(path.join(folder, "bin/docker"), 0o755);
    const context = buildContext([], { PATH: `${path.join(folder, "bin")}:/usr/bin:/bin` });
    const inputs = { image_name: "etl", tag: "v1", pull: false, cache_to: "type=inline" };
    await buildDockerImage.run(inputs, { ...context, pushesImages: false });

    await assert.rejects(context.images.carryOut(false), {
      code: "IMAGE_BUILD_FAILED",
      message: /could not be built: #5 ERROR: process did not complete: exit code: 7\n/,
    });
  });
});

describe("work with a limit", () => {
  it("runs no more than so many at a time, and begins nothing after a failure", async () => {
    let running = 0;
    let most = 0;
    const begun: number[] = [];
    const work = async (item: number, signal: AbortSignal) => {
      begun.push(item);
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
      running -= 1;
      if (item === 2) {
        throw new Error("two");
      }
      assert.equal(typeof signal.aborted, "boolean");
    };

    await assert.rejects(runLimited([0, 1, 2, 3, 4, 5, 6], 2, new AbortController().signal, work), /two/);
    assert.equal(most, 2);
    assert.ok(begun.length < 7, String(begun));
  });
});
