import assert from "node:assert/strict";
import { test } from "node:test";
import { findLines, listProjectFiles } from "./sources.ts";

// Fixtures are recorded from real projects and carry their authors' paths; the lockfile carries hosts of its own.
const EXEMPT = /^(test\/fixtures\/|package-lock\.json$|test\/contract\/machine-paths\.test\.ts$)/;
/** Folders of one person's or one workplace's machine. */
const MACHINE_PATH = /(^|[\s"'`(=:])\/(work\/(main|shared|\.\w+)|root\/|Users\/\w+|home\/(?!flowyard|prefect)\w+)/;

test("no file names a path of the machine that it was written on", async () => {
  const files = (await listProjectFiles()).filter((path) => !EXEMPT.test(path));

  assert.deepEqual(await findLines(files, MACHINE_PATH), []);
});

test("a planted path is found", () => {
  assert.match('const folder = "/root/project";', MACHINE_PATH);
  assert.match("cd /work/shared", MACHINE_PATH);
  assert.doesNotMatch("https://example.org/home/page and src/work/main", MACHINE_PATH);
});
