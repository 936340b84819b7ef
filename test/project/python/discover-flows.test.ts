import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { discoverFlows } from "../../../src/project/python/discover-flows.ts";
import { inspectFlow } from "../../../src/project/python/inspect-flow.ts";

const ROOT = join(import.meta.dirname, "../../fixtures/flow-signatures");

test("flows are found under every name of the decorator, with entrypoints that lead to them", async () => {
  const flows = (await discoverFlows(ROOT, { limit: 1000 })).filter(({ path }) =>
    ["decorator_forms.py", "methods.py", "package_flows/relative.py"].includes(path),
  );

  assert.equal(flows.length, 39);
  for (const { entrypoint, flow_name } of flows) {
    const { name } = await inspectFlow({ root: ROOT, entrypoint });
    const isPlainName = !/named_by|splatted/.test(entrypoint);
    assert.ok(!isPlainName || name === flow_name, entrypoint);
  }
});

test("virtual environments, hidden folders and packages of others are not searched, and the limit holds", async () => {
  const root = mkdtempSync(join(tmpdir(), "flowyard-discover-"));
  const source = "import prefect\n\n@prefect.flow(name='x')\ndef a():\n    pass\n\n@prefect.flow\ndef b():\n    pass\n";
  for (const path of [
    "z.py",
    "sub/y.py",
    ".venv/a.py",
    "myenv/pyvenv.cfg",
    "myenv/a.py",
    "node_modules/a.py",
    "lib/site-packages/a.py",
  ]) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), source);
  }

  const all = await discoverFlows(root, { limit: 100 });
  const three = await discoverFlows(root, { limit: 3 });
  rmSync(root, { recursive: true });

  assert.deepEqual(
    all.map(({ entrypoint, flow_name }) => [entrypoint, flow_name]),
    [
      ["z.py:a", "x"],
      ["z.py:b", "b"],
      ["sub/y.py:a", "x"],
      ["sub/y.py:b", "b"],
    ],
  );
  assert.equal(three.length, 3);
});
