import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { loadMachine } from "../../scripts/setup/machine.ts";
import { type Engine, findEngine } from "../../src/docker/engine.ts";
import { readEngineSettings } from "../../src/docker/engine-address.ts";
import { findRegistryDigest } from "../../src/docker/registry.ts";
import { deploy } from "../../src/release/deploy.ts";
import { planRelease, type ReleaseRequest, release } from "../../src/release/release.ts";
import { startTestPlane, type TestPlane } from "../cli/test-plane.ts";

const { docker, baseImage, registry } = await loadMachine();
const missing = [docker, baseImage, registry].find((part) => !part.available);
const skip = missing?.available === false ? missing.reason : false;
const dockerHost = docker.available ? docker.host : "";
const base = baseImage.available ? baseImage.tag : "";
const address = registry.available ? registry.address : "";

const FLOW = `from prefect import flow


@flow
def hello(name: str = "world"):
    """Say hello."""
`;

describe("releases of images", { skip }, () => {
  const mark = `flowyard-release-${randomUUID().slice(0, 8)}`;
  const image = `${address}/${mark}`;
  let plane: TestPlane;
  let engine: Engine;
  let root = "";
  let said: string[] = [];

  before(async () => {
    plane = await startTestPlane();
    await plane.client.workPools.create({ name: "pool", type: "docker" });
    root = path.join(plane.folder, "project");
    await mkdir(root);
    engine = await findEngine(readEngineSettings({ HOME: plane.folder, DOCKER_HOST: dockerHost }));
  });
  after(async () => {
    await forgetLocally();
    await plane[Symbol.asyncDispose]();
  });

  async function forgetLocally(): Promise<void> {
    for (const { RepoTags, RepoDigests } of await engine.docker.listImages()) {
      for (const name of [...(RepoTags ?? []), ...(RepoDigests ?? [])].filter((each) => each.includes(mark))) {
        await engine.docker
          .getImage(name)
          .remove({ force: true })
          .catch(() => undefined); // its last tag may have taken it along
      }
    }
  }

  /** A project of so many deployments that share an image; its Dockerfile and flow are what is written already. */
  async function request(count: number, change: { flow?: string; push?: boolean; tag?: string } = {}) {
    const { flow = FLOW, push = true, tag = "v1" } = change;
    const build = `build:
- prefect_docker.deployments.steps.build_docker_image:
    {id: built, image_name: ${push ? image : mark}, tag: "${tag}", dockerfile: Dockerfile, pull: false}
`;
    const pushes = `push:
- prefect_docker.deployments.steps.push_docker_image:
    {image_name: "{{ built.image_name }}", tag: "{{ built.tag }}"}
`;
    const entries = Array.from(
      { length: count },
      (_, index) => `- name: d${index}
  entrypoint: flow.py:hello
  work_pool: {name: pool, job_variables: {image: "{{ built.image }}"}}
`,
    );
    await writeFile(path.join(root, "prefect.yaml"), `${build}${push ? pushes : ""}deployments:\n${entries.join("")}`);
    await writeFile(path.join(root, "flow.py"), flow);
    await writeFile(path.join(root, ".dockerignore"), "prefect.yaml\n");
    said = [];
    const say = (text: string) => {
      said.push(text);
    };
    const found: ReleaseRequest = {
      root,
      projectFile: "prefect.yaml",
      selection: { names: [], all: true },
      flags: {},
      env: { PATH: "/usr/local/bin:/usr/bin:/bin", HOME: plane.folder, DOCKER_HOST: dockerHost },
      client: plane.client,
      output: { progress: say, warn: say, write: say },
      signal: new AbortController().signal,
      scope: { repository: "acme/etl", project_path: ".", environment: push ? "production" : "laptop" },
      source: { event: "cli" },
      adopt: true,
    };
    return found;
  }

  const writeDockerfile = () =>
    writeFile(path.join(root, "Dockerfile"), `FROM ${base}\nLABEL mark=${randomUUID()}\nCOPY . /opt/app\n`);
  const count = (beginning: string) => said.filter((text) => text.startsWith(beginning)).length;
  const imageOf = async (name: string) =>
    (await plane.client.deployments.findByName("hello", name))?.job_variables["image"];

  it("run by digest, built by the deploy of the plan that named their content", async () => {
    await writeDockerfile();
    const plan = await planRelease(await request(2));
    const [planned] = plan.images;
    assert.equal(
      await findRegistryDigest({ configDir: root, signal: AbortSignal.timeout(5000) }, { image: `${image}:v1` }),
      undefined,
    );

    const done = await release(await request(2), plan.plan.plan_hash);

    const digest = done.images[0]?.digests[image];
    assert.equal(planned?.outcome, "planned");
    assert.match(JSON.stringify(plan.plan.changes), new RegExp(planned?.content_hash ?? "none"));
    assert.equal(done.images[0]?.outcome, "built");
    assert.equal(await imageOf("d0"), `${image}@${digest}`);
    assert.equal(await imageOf("d1"), `${image}@${digest}`);
    assert.deepEqual(done.release?.images, [{ name: image, tag: "v1", digest, content_hash: planned?.content_hash }]);
  });

  it("are named, not built, by the second identical deploy, which changes nothing", async () => {
    const began = performance.now();
    const again = await release(await request(2), undefined);
    const elapsed = performance.now() - began;
    const plan = await planRelease(await request(2));

    assert.equal(again.changed, false);
    assert.equal(again.images[0]?.outcome, "reused");
    assert.equal(count("Building image"), 0);
    assert.deepEqual(
      plan.plan.changes.map(({ action }) => action),
      ["unchanged", "unchanged"],
    );
    assert.ok(elapsed < 3000, `it took ${elapsed} ms`);
  });

  it("are refused with a plan that was shown before a file changed, and nothing is built", async () => {
    const plan = await planRelease(await request(2));

    await assert.rejects(release(await request(2, { flow: `${FLOW}\n# changed\n` }), plan.plan.plan_hash), {
      code: "PLAN_CHANGED",
    });
    assert.equal(count("Building image"), 0);
  });

  it("come back with a rollback, without a build", async () => {
    const before = await imageOf("d0");
    await release(await request(2, { flow: `${FLOW}\n# changed\n` }), undefined);
    const changed = await imageOf("d0");
    const { scope } = await request(2);

    const began = performance.now();
    const result = await plane.client.releases.rollBack({ scope, source: { event: "cli" } });
    const elapsed = performance.now() - began;

    assert.equal(result.outcome, "applied");
    assert.notEqual(changed, before);
    assert.equal(await imageOf("d0"), before);
    assert.ok(elapsed < 1000, `it took ${elapsed} ms`);
  });

  it("shared by a hundred deployments are built and pushed once, in ten seconds besides the build", async () => {
    await writeDockerfile();
    const began = performance.now();
    const done = await release(await request(100), undefined);
    const elapsed = (performance.now() - began) / 1000;
    const built = done.images[0]?.build_seconds ?? 0;
    const builds = [count("Building image"), count("Pushing image")];

    const startedAgain = performance.now();
    const again = await release(await request(100), undefined);
    const unchanged = (performance.now() - startedAgain) / 1000;

    assert.deepEqual(builds, [1, 1]);
    assert.equal(done.changes.length, 100);
    assert.ok(elapsed - built < 10, `it took ${elapsed} s, ${built} of them for the build`);
    assert.equal(again.changed, false);
    assert.ok(unchanged < 2, `it took ${unchanged} s`);
    process.stdout.write(
      `100 changed: ${elapsed.toFixed(2)} s (build ${built.toFixed(2)}); unchanged: ${unchanged.toFixed(2)} s\n`,
    );
  });

  it("without a push are named by their tag, and say that they have no digest", async () => {
    const done = await release(await request(1, { push: false }), undefined);
    const again = await release(await request(1, { push: false }), undefined);

    assert.equal(await imageOf("d0"), `${mark}:v1`);
    assert.deepEqual(done.images[0]?.digests, { [mark]: null });
    assert.equal(again.changed, false);
    assert.equal(again.images[0]?.outcome, "reused");
  });

  it("are on the engine for a step that runs them before they are pushed, built or fetched by their content", async () => {
    await writeDockerfile();
    const name = `${image}-tested`;
    const project = `build:
- prefect_docker.deployments.steps.build_docker_image:
    {id: built, image_name: "${name}", tag: v1, dockerfile: Dockerfile, pull: false}
- prefect.deployments.steps.run_shell_script:
    {id: tested, script: "docker image inspect --format found-it {{ built.image }}", stream_output: false}
push:
- prefect_docker.deployments.steps.push_docker_image: {image_name: "${name}", tag: v1}
deployments:
- {name: tested, entrypoint: "flow.py:hello", description: "{{ tested.stdout }}", work_pool: {name: pool}}
`;
    for (const expected of [
      { built: 1, pulled: 0 },
      { built: 0, pulled: 0 },
      { built: 0, pulled: 1 },
    ]) {
      if (expected.pulled > 0) {
        await forgetLocally();
      }
      const wanted = await request(1);
      await writeFile(path.join(root, "prefect.yaml"), project);
      await deploy(wanted);

      assert.deepEqual({ built: count("Building image"), pulled: count("Pulling image") }, expected, said.join("\n"));
      assert.equal((await plane.client.deployments.findByName("hello", "tested"))?.description, "found-it");
    }
  });

  it("of a failing build leave every deployment as it was", async () => {
    const before = await imageOf("d0");
    await writeFile(path.join(root, "Dockerfile"), `FROM ${base}\nRUN exit 3\n`);

    await assert.rejects(release(await request(2), undefined), { code: "IMAGE_BUILD_FAILED" });
    assert.equal(await imageOf("d0"), before);
  });
});
