import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { listBaseImages } from "../../src/docker/base-images.ts";
import { packBuildContext } from "../../src/docker/build-context.ts";

/** Packs a folder of these files (a name that ends in a slash is an empty folder) and lists the tar's entries. */
async function packedNames(files: Record<string, string>, dockerfile = "Dockerfile"): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), "flowyard-context-"));
  try {
    for (const [name, text] of Object.entries({ Dockerfile: "FROM scratch\n", ...files })) {
      const path = join(folder, name);
      await mkdir(name.endsWith("/") ? path : dirname(path), { recursive: true });
      if (!name.endsWith("/")) {
        await writeFile(path, text);
      }
    }
    const context = await packBuildContext(folder, dockerfile);
    const chunks: Buffer[] = [];
    for await (const chunk of context.stream) {
      chunks.push(chunk);
    }
    return listTarNames(Buffer.concat(chunks))
      .filter((name) => name !== ".")
      .sort();
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The names in a plain tar: header blocks of 512 bytes, size in octal at 124. */
function listTarNames(tar: Buffer): string[] {
  const names: string[] = [];
  for (let at = 0; at + 512 <= tar.length && tar[at] !== 0; ) {
    const text = (from: number, length: number) =>
      tar.toString("utf8", at + from, at + from + length).split("\0")[0] ?? "";
    names.push(text(0, 100).replace(/\/$/, ""));
    at += 512 + Math.ceil(Number.parseInt(text(124, 12), 8) / 512) * 512;
  }
  return names;
}

describe(".dockerignore", () => {
  type Case = [title: string, rules: string, files: string[], sent: string[]];
  const cases: Case[] = [
    ["leaves out a folder and all in it", "secret", ["secret/key", "secret/deep/key", "app.py"], ["app.py"]],
    ["is anchored at the context's root", "/app.py", ["app.py", "sub/app.py"], ["sub", "sub/app.py"]],
    ["names without a slash match only at the root too", "app.py", ["app.py", "sub/app.py"], ["sub", "sub/app.py"]],
    ["matches at any depth with **", "**/*.log", ["a.log", "sub/b.log", "sub/c.txt"], ["sub", "sub/c.txt"]],
    ["takes back what an exception names", "*.md\n!README.md", ["README.md", "NOTES.md"], ["README.md"]],
    [
      "takes back a file of an ignored folder",
      "data\n!data/keep.csv",
      ["data/keep.csv", "data/drop.csv"],
      ["data", "data/keep.csv"],
    ],
    ["lets the last rule win", "!a.txt\na.txt", ["a.txt"], []],
    ["skips comments and blank lines", "# app.py\n\n", ["app.py"], ["app.py"]],
    ["may leave out everything but", "*\n!app.py", ["app.py", "other.py"], ["app.py"]],
    ["keeps empty folders", "x", ["empty/"], ["empty"]],
  ];
  for (const [title, rules, files, sent] of cases) {
    test(title, async () => {
      const names = await packedNames({
        ".dockerignore": rules,
        ...Object.fromEntries(files.map((name) => [name, "x"])),
      });
      assert.deepEqual(
        names.filter((name) => name !== "Dockerfile" && name !== ".dockerignore"),
        sent,
      );
    });
  }

  test("cannot keep the Dockerfile from being sent", async () => {
    assert.deepEqual(await packedNames({ ".dockerignore": "*" }), ["Dockerfile"]);
  });

  test("beside the Dockerfile, named after it, wins over the common one", async () => {
    const names = await packedNames(
      {
        ".dockerignore": "a.txt",
        "docker/etl.Dockerfile": "FROM scratch",
        "docker/etl.Dockerfile.dockerignore": "b.txt",
        "a.txt": "",
        "b.txt": "",
      },
      "docker/etl.Dockerfile",
    );

    assert.ok(names.includes("a.txt"));
    assert.ok(!names.includes("b.txt"));
  });
});

test("a Dockerfile from outside the context goes along under a name of its own", async () => {
  const outside = await mkdtemp(join(tmpdir(), "flowyard-outside-"));
  await writeFile(join(outside, "Other.Dockerfile"), "FROM scratch");

  const names = await packedNames({ "app.py": "" }, join(outside, "Other.Dockerfile"));
  await rm(outside, { recursive: true });

  assert.deepEqual(names, [".dockerfile.outside-context", "Dockerfile", "app.py"]);
});

test("a Dockerfile or folder that is missing is named", async () => {
  await assert.rejects(packedNames({}, "Gone.Dockerfile"), { code: "IMAGE_BUILD_FAILED", message: /Gone\.Dockerfile/ });
});

describe("base images of a Dockerfile", () => {
  const cases: [string, string[] | undefined][] = [
    ["FROM python:3.11", ["python:3.11"]],
    [
      "from --platform=linux/amd64 python:3.11 as base\nFROM base\nFROM ghcr.io/x/y@sha256:1 AS last",
      ["python:3.11", "ghcr.io/x/y@sha256:1"],
    ],
    ["FROM scratch", []],
    ["ARG V=1\nFROM python:$V", ["python:1"]],
    ["ARG V\nFROM python:$V", undefined],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: Docker's own syntax
    ["ARG V\nARG NAME=python:${V:-3.11}-slim\nFROM $NAME", ["python:3.11-slim"]],
    ["FROM a AS b\nCOPY --chown=1 --from=b x .\nCOPY --from=0 x .\nCOPY --from=tools:1 x .", ["a", "tools:1"]],
    ["FROM a\nRUN --mount=type=bind,from=wheels:2,target=/w pip install /w", ["a", "wheels:2"]],
    ["FROM a\nRUN python <<EOF\nfrom os import path\nEOF\n", ["a"]],
    ["# FROM python:2\nRUN echo FROM x", []],
  ];
  for (const [text, images] of cases) {
    test(JSON.stringify(text), () => assert.deepEqual(listBaseImages(text), images));
  }
});
