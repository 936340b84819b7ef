import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { discoverFlows } from "../../../src/project/python/discover-flows.ts";
import { inspectFlow } from "../../../src/project/python/inspect-flow.ts";
import { UserError } from "../../../src/shared/errors.ts";

const FIXTURES = join(import.meta.dirname, "../../fixtures/flow-signatures");
const FILES = readdirSync(FIXTURES).filter((name) => name.endsWith(".py"));
/** Generous: one reading takes about 10 ms. A reader that hangs takes for ever. */
const MAX_READING_MS = 5_000;

let root = "";

before(() => {
  root = mkdtempSync(join(tmpdir(), "flowyard-robust-"));
});

after(() => {
  rmSync(root, { recursive: true });
});

async function readAnything(source: string, object: string): Promise<void> {
  writeFileSync(join(root, "flow.py"), source);
  const start = performance.now();
  try {
    await inspectFlow({ root, entrypoint: `flow.py:${object}` });
  } catch (error) {
    assert.ok(error instanceof UserError, error instanceof Error ? `${error.stack}\n${source}` : String(error));
  }
  assert.ok(performance.now() - start < MAX_READING_MS, source);
}

function functionsIn(source: string): string[] {
  return [...source.matchAll(/^(?:async )?def (\w+)/gm)].map((match) => match[1] ?? "");
}

test("every beginning of a file is read or refused", async () => {
  for (const file of ["decorator_forms.py", "docstrings.py", "pydantic_models.py", "defaults_of_all_kinds.py"]) {
    const source = readFileSync(join(FIXTURES, file), "utf8");
    const names = functionsIn(source);
    for (let end = 0; end < source.length; end += 29) {
      await readAnything(source.slice(0, end), names[end % names.length] ?? "x");
    }
  }
});

test("files with random damage are read or refused", async () => {
  const pieces = fc.constantFrom(
    "(",
    ")",
    "[",
    ":",
    "@flow",
    "'",
    '"""',
    "\n",
    "    ",
    "*",
    "**",
    ",",
    "=",
    "def ",
    "class X(X): pass\n",
    "X",
    "lambda",
    "\u0000",
    "0x",
    "{",
  );
  const damage = fc.record({
    file: fc.constantFrom(...FILES),
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    cut: fc.nat(40),
    piece: pieces,
    pick: fc.nat(),
  });
  await fc.assert(
    fc.asyncProperty(damage, async ({ file, at, cut, piece, pick }) => {
      const source = readFileSync(join(FIXTURES, file), "utf8");
      const offset = Math.floor(at * source.length);
      const names = functionsIn(source);
      await readAnything(
        source.slice(0, offset) + piece + source.slice(offset + cut),
        names[pick % Math.max(1, names.length)] ?? "x",
      );
    }),
    { numRuns: 400, examples: [[{ file: "docstrings.py", at: 0, cut: 40, piece: "0x", pick: 0 }]] },
  );
});

test("text that is no Python at all is refused", async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: "binary", maxLength: 200 }), async (source) => readAnything(source, "main")),
    { numRuns: 150 },
  );
});

test("deep nesting and long chains do not exhaust the stack", async () => {
  const flow = "from prefect import flow\n@flow\ndef main(a=X):\n    pass\n";
  const values = [
    `${"(".repeat(5_000)}1${")".repeat(5_000)}`,
    `${"[".repeat(3_000)}${"]".repeat(3_000)}`,
    Array.from({ length: 5_000 }, () => "1").join(" + "),
    `x${".a".repeat(5_000)}`,
    `"a" * 10 ** 10`,
    "10 ** 10 ** 10",
    "[[i for i in range(9000)] for j in range(9000)]",
    `{${Array.from({ length: 3_000 }, (_, index) => `"${index}": ${index}`).join(", ")}}`,
  ];
  for (const value of values) await readAnything(`X = ${value}\n${flow}`, "main");
  await readAnything(
    `${flow}${Array.from({ length: 300 }, (_, depth) => `${" ".repeat(depth)}if x:\n`).join("")}${" ".repeat(300)}pass\n`,
    "main",
  );
  await readAnything(
    `class A: pass\n${"A = list[A]\n".repeat(500)}from prefect import flow\n@flow\ndef main(a: A):\n    pass\n`,
    "main",
  );
});

test("discovery passes over files that cannot be read", async () => {
  writeFileSync(join(root, "broken.py"), Buffer.from([0x70, 0x72, 0x65, 0x66, 0x65, 0x63, 0x74, 0xff, 0xfe]));
  writeFileSync(join(root, "flow.py"), "from prefect import flow\n@flow\ndef main(:\n");

  const flows = await discoverFlows(root, { limit: 10 });

  assert.deepEqual(
    flows.map(({ entrypoint }) => entrypoint),
    ["flow.py:main"],
  );
});
