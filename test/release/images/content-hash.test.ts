import assert from "node:assert/strict";
import { chmod, mkdir, mkdtemp, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { listBuildContext } from "../../../src/docker/build-context.ts";
import { hashImageContent, type ImageContent } from "../../../src/release/images/content-hash.ts";

const CONTENT: ImageContent = {
  entries: [{ path: "flow.py", kind: "file", executable: false, content: "aa" }],
  dockerfileText: "FROM scratch\n",
  target: undefined,
  buildArgs: { A: "1", B: "2" },
  platforms: ["linux/amd64"],
  baseImages: { "python:3.11": "sha256:1" },
  labels: {},
};

describe("the hash of an image's content", () => {
  const changes: [string, Partial<ImageContent>][] = [
    ["a file's bytes", { entries: [{ path: "flow.py", kind: "file", executable: false, content: "ab" }] }],
    ["a file's name", { entries: [{ path: "flow2.py", kind: "file", executable: false, content: "aa" }] }],
    [
      "a file that becomes executable",
      { entries: [{ path: "flow.py", kind: "file", executable: true, content: "aa" }] },
    ],
    ["a link in place of a file", { entries: [{ path: "flow.py", kind: "link", executable: false, content: "aa" }] }],
    ["the Dockerfile", { dockerfileText: "FROM scratch\nENV A=1\n" }],
    ["the target", { target: "run" }],
    ["a build argument", { buildArgs: { A: "1", B: "3" } }],
    ["another split of the same text", { buildArgs: { A: "1B2" } }],
    ["the platform", { platforms: ["linux/arm64"] }],
    ["one platform more", { platforms: ["linux/amd64", "linux/arm64"] }],
    ["the base image's digest", { baseImages: { "python:3.11": "sha256:2" } }],
    ["a label", { labels: { team: "data" } }],
  ];
  for (const [what, change] of changes) {
    it(`changes with ${what}`, () => {
      assert.notEqual(hashImageContent({ ...CONTENT, ...change }), hashImageContent(CONTENT));
    });
  }

  it("does not depend on the order of arguments and platforms", () => {
    const one = hashImageContent({ ...CONTENT, platforms: ["a", "b"] });
    const other = hashImageContent({ ...CONTENT, buildArgs: { B: "2", A: "1" }, platforms: ["b", "a"] });

    assert.equal(one, other);
  });
});

describe("what a build context is made of", () => {
  let folder = "";
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "flowyard-hash-"));
  });
  after(() => rm(folder, { recursive: true, force: true }));
  beforeEach(async () => {
    await rm(folder, { recursive: true, force: true });
    await mkdir(path.join(folder, "sub"), { recursive: true });
    await writeFile(path.join(folder, "Dockerfile"), "FROM scratch\n");
    await writeFile(path.join(folder, "flow.py"), "x = 1\n");
    await writeFile(path.join(folder, "sub/data.csv"), "1\n");
    await symlink("flow.py", path.join(folder, "link.py"));
  });

  async function hash(): Promise<string> {
    const { entries, dockerfileText } = await listBuildContext(folder, "Dockerfile");
    return hashImageContent({ ...CONTENT, entries, dockerfileText });
  }

  it("stays the same when times, owners' bits and ignored files change", async () => {
    await writeFile(path.join(folder, ".dockerignore"), "secret\n*.log\n");
    const first = await hash();

    await utimes(path.join(folder, "flow.py"), 1, 1);
    await chmod(path.join(folder, "flow.py"), 0o664);
    await mkdir(path.join(folder, "secret"));
    await writeFile(path.join(folder, "secret/key"), "k");
    await writeFile(path.join(folder, "run.log"), "…");

    assert.equal(await hash(), first);
  });

  const changes: [string, () => Promise<unknown>][] = [
    ["a file", () => writeFile(path.join(folder, "flow.py"), "x = 2\n")],
    ["a file in a folder", () => writeFile(path.join(folder, "sub/data.csv"), "2\n")],
    ["an executable bit", () => chmod(path.join(folder, "flow.py"), 0o755)],
    ["an empty folder", () => mkdir(path.join(folder, "empty"))],
    ["a line of .dockerignore", () => writeFile(path.join(folder, ".dockerignore"), "sub\n")],
    ["an ignore file of the Dockerfile's own", () => writeFile(path.join(folder, "Dockerfile.dockerignore"), "sub\n")],
  ];
  for (const [what, change] of changes) {
    it(`changes with ${what}`, async () => {
      const first = await hash();

      await change();

      assert.notEqual(await hash(), first);
    });
  }

  it("lists every path once, sorted, with what it holds", async () => {
    const { entries } = await listBuildContext(folder, "Dockerfile");

    assert.deepEqual(
      entries.map(({ path: name, kind }) => `${name} ${kind}`),
      ["Dockerfile file", "flow.py file", "link.py link", "sub folder", "sub/data.csv file"],
    );
    assert.equal(entries.find(({ kind }) => kind === "link")?.content, "flow.py");
  });
});
