import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, it } from "node:test";
import { buildContentTag } from "../../src/release/images/content-hash.ts";
import { buildDockerImage } from "../../src/release/steps/build-docker-image.ts";
import { pushDockerImage } from "../../src/release/steps/push-docker-image.ts";
import type { Step, StepContext, StepResult } from "../../src/release/steps/step.ts";
import { UserError } from "../../src/shared/errors.ts";
import { type FakeDocker, startFakeDocker } from "../support/fake-docker.ts";
import { openImageSession } from "./open-image-session.ts";

const IMAGE_ID = `sha256:${"a".repeat(64)}`;
const DIGEST = `sha256:${"d".repeat(64)}`;
/** Builds without BuildKit's session, which the fake does not speak. */
const PODMAN = { Version: "5.0.0", ApiVersion: "1.41", Os: "linux", Components: [{ Name: "Podman Engine" }] };

interface Stage extends AsyncDisposable {
  docker: FakeDocker;
  folder: string;
  written: string[];
  context: StepContext;
  /** Runs the step, and what it asked for. */
  carryOut(step: Step, inputs: Record<string, unknown>): Promise<StepResult>;
  /** The queries of builds, tags and pushes, in order. */
  list(suffix: string): Record<string, string>[];
}

async function openStage(env: Record<string, string> = {}): Promise<Stage> {
  const home = await mkdtemp(path.join(tmpdir(), "flowyard-image-"));
  const folder = path.join(home, "my project");
  await mkdir(folder);
  await writeFile(path.join(folder, "flow.py"), "x = 1\n");
  const docker = await startFakeDocker(({ path: route }) => {
    if (route.endsWith("/version")) {
      return { status: 200, json: PODMAN };
    }
    if (route.endsWith("/build")) {
      return { status: 200, lines: [{ stream: "Step 1/1 : FROM scratch\n" }, { aux: { ID: IMAGE_ID } }] };
    }
    if (route.endsWith("/push")) {
      return { status: 200, lines: [{ status: "Pushed" }, { aux: { Digest: DIGEST } }] };
    }
    return route.endsWith("/tag") ? { status: 201 } : undefined;
  });
  const written: string[] = [];
  const images = openImageSession(() => docker.connect(), written);
  const context: StepContext = {
    directory: folder,
    env,
    signal: new AbortController().signal,
    write: (text) => written.push(text),
    notice: (text) => written.push(text),
    images,
    pushesImages: false,
  };
  return {
    docker,
    carryOut: async (step, inputs) => {
      const result = await step.run(inputs, context);
      await images.carryOut(false);
      return result;
    },
    folder,
    written,
    context,
    list: (suffix) =>
      docker.requests
        .filter((request) => request.path.endsWith(suffix))
        .map((request) => ({ path: decodeURIComponent(request.path), ...Object.fromEntries(request.query) })),
    async [Symbol.asyncDispose]() {
      await docker[Symbol.asyncDispose]();
      await rm(home, { recursive: true, force: true });
    },
  };
}

describe("build_docker_image", () => {
  it("builds a named Dockerfile with all that it is told, and answers the documented outputs", async () => {
    await using stage = await openStage();
    await writeFile(path.join(stage.folder, "Dockerfile"), "FROM scratch\n");

    const { outputs } = await stage.carryOut(buildDockerImage, {
      image_name: "registry.example/app",
      tag: "v1",
      additional_tags: ["latest"],
      buildargs: { N: 3 },
      labels: { team: "data" },
      platform: "linux/arm64",
      target: "run",
      squash: true,
    });

    assert.deepEqual(outputs, {
      image_name: "registry.example/app",
      tag: "v1",
      image: "registry.example/app:v1",
      image_id: "",
      additional_tags: ["latest"],
    });
    const contentTag = buildContentTag(stage.context.images.images()[0]?.contentHash ?? "");
    const [build] = stage.list("/build");
    assert.equal(build?.["t"], "registry.example/app:v1");
    assert.equal(build?.["dockerfile"], "Dockerfile");
    assert.equal(build?.["pull"], "true");
    assert.equal(build?.["buildargs"], '{"N":"3"}');
    assert.equal(build?.["labels"], '{"io.prefect.version":"3.9.1","team":"data"}');
    assert.equal(build?.["platform"], "linux/arm64");
    assert.equal(build?.["target"], "run");
    assert.deepEqual(
      stage.list("/tag").map(({ repo, tag }) => `${repo}:${tag}`),
      ["registry.example/app:v1", "registry.example/app:latest", `registry.example/app:${contentTag}`],
    );
    assert.ok(stage.written.includes("build_docker_image does not use squash."), stage.written.join("\n"));
  });

  it("makes a Dockerfile for auto, from the official image, and leaves none behind", async () => {
    await using stage = await openStage();
    await writeFile(path.join(stage.folder, "requirements.txt"), "httpx\n");

    await stage.carryOut(buildDockerImage, {
      image_name: "app",
      tag: "v1",
      dockerfile: "auto",
      persist_dockerfile: true,
    });

    assert.equal(
      await readFile(path.join(stage.folder, "Dockerfile.generated"), "utf8"),
      `FROM prefecthq/prefect:3.9.1-python3.11
COPY ["requirements.txt","/opt/prefect/my project/requirements.txt"]
RUN ["uv","pip","install","-r","/opt/prefect/my project/requirements.txt"]
COPY [".","/opt/prefect/my project/"]
WORKDIR /opt/prefect/my project/
`,
    );
    assert.notEqual(stage.list("/build")[0]?.["pull"], "true");
  });

  it("makes none when there is one already", async () => {
    await using stage = await openStage();
    await writeFile(path.join(stage.folder, "Dockerfile"), "FROM scratch\n");

    await assert.rejects(
      stage.carryOut(buildDockerImage, { image_name: "app", dockerfile: "auto" }),
      (error) => error instanceof UserError && /Dockerfile already exists/.test(error.message),
    );
  });

  it("names a Dockerfile that is missing", async () => {
    await using stage = await openStage();

    await assert.rejects(stage.carryOut(buildDockerImage, { image_name: "app" }), { code: "IMAGE_BUILD_FAILED" });
  });

  it("puts the namespace of the environment before a bare name, and names the content where there is no tag", async () => {
    await using stage = await openStage({ PREFECT_DEFAULT_DOCKER_BUILD_NAMESPACE: "team" });
    await writeFile(path.join(stage.folder, "Dockerfile"), "FROM scratch\n");

    const { outputs } = await stage.carryOut(buildDockerImage, { image_name: "app" });

    assert.equal(outputs["image_name"], "team/app");
    assert.match(String(outputs["tag"]), /^fy-[0-9a-f]{32}$/);
  });
});

describe("push_docker_image", () => {
  it("pushes every tag with the credentials that it is given", async () => {
    await using stage = await openStage();

    const { outputs } = await stage.carryOut(pushDockerImage, {
      image_name: "registry.example/app",
      tag: "v1",
      additional_tags: ["latest"],
      credentials: { username: "u", password: "p" },
    });

    assert.deepEqual(outputs, {
      image_name: "registry.example/app",
      tag: "v1",
      image: "registry.example/app:v1",
      additional_tags: ["latest"],
    });
    assert.deepEqual(
      stage.list("/push").map(({ tag }) => tag),
      ["v1", "latest"],
    );
    const header = stage.docker.requests.find(({ path: route }) => route.endsWith("/push"))?.headers["x-registry-auth"];
    const auth: unknown = JSON.parse(Buffer.from(String(header), "base64").toString());
    assert.deepEqual(auth, { username: "u", password: "p", serveraddress: "registry.example" });
    assert.ok(stage.written.includes(`[registry.example/app:v1] pushed as ${DIGEST}\n`), stage.written.join("\n"));
  });
});
