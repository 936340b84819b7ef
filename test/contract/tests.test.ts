import assert from "node:assert/strict";
import { test } from "node:test";
import { listTiers } from "../../scripts/test/tiers.ts";
import { findLines, listProjectFiles } from "./sources.ts";

const files = await listProjectFiles();

test("every test file of the project is in a tier that the runner runs", async () => {
  const run = (await listTiers()).flatMap((tier) => tier.files);

  const looksLikeTest = files.filter((path) => /[.-]test\.[cm]?[jt]sx?$/.test(path) || /\.spec\.[jt]sx?$/.test(path));

  assert.ok(run.length > 0);
  assert.deepEqual(
    looksLikeTest.filter((path) => !run.includes(path)),
    [],
  );
});

test("no test is marked to run alone or replaces a module of ours", async () => {
  const forbidden = /\b(vi|jest)\.mock\(|\bmock\.module\(|\b(test|it|describe|suite)\.only\(|\bonly: true/;

  const sources = files.filter((path) => path.endsWith(".ts") && path !== "test/contract/tests.test.ts");

  assert.deepEqual(await findLines(sources, forbidden), []);
});
