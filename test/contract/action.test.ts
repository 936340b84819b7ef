import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { parse } from "yaml";
import { z } from "zod";
import { buildAction } from "../../scripts/build-action.ts";
import { buildPayloadSchema } from "../../src/action/dispatch-payload.ts";
import { INPUT_TABLE } from "../../src/action/inputs.ts";
import { OUTPUTS } from "../../src/action/outputs.ts";
import { REASON_CODES } from "../../src/action/reason-codes.ts";
import { ERROR_CODES } from "../../src/shared/error-codes.ts";
import { root } from "./sources.ts";

const MAX_BUNDLE_BYTES = 4_000_000;

const ActionFile = z.object({
  name: z.string(),
  description: z.string(),
  branding: z.object({ icon: z.string(), color: z.string() }),
  inputs: z.record(
    z.string(),
    z.strictObject({ description: z.string(), required: z.literal(false), default: z.string().default("") }),
  ),
  outputs: z.record(z.string(), z.strictObject({ description: z.string() })),
  runs: z.strictObject({ using: z.literal("node24"), main: z.literal("dist/index.cjs") }),
});

function read(path: string): Promise<string> {
  return readFile(join(root, path), "utf8");
}

/** The cells of each row of the table under this head. */
function listRows(markdown: string, head: string): string[][] {
  const lines = markdown.split("\n");
  const rows = lines.slice(lines.indexOf(head) + 2);
  const end = rows.findIndex((line) => !line.startsWith("|"));
  return rows.slice(0, end).map((row) =>
    row
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim().replaceAll("\\|", "|")),
  );
}

describe("action.yml, the schema and docs/action.md", async () => {
  const file = ActionFile.parse(parse(await read("action.yml")));
  const markdown = await read("docs/action.md");

  test("have the same inputs, with the same defaults and words", () => {
    const inFile = Object.entries(file.inputs).map(([name, { description, default: written }]) => ({
      name,
      description,
      default: written,
    }));
    const inDocs = listRows(markdown, "| input | default | what it says |").map(([name, written, description]) => ({
      name: name?.replaceAll("`", ""),
      description,
      default: written?.replaceAll("`", ""),
    }));

    assert.deepEqual(inFile, INPUT_TABLE);
    assert.deepEqual(inDocs, INPUT_TABLE);
  });

  test("have the same outputs", () => {
    const inFile = Object.fromEntries(
      Object.entries(file.outputs).map(([name, { description }]) => [name, description]),
    );
    const rows = listRows(markdown, "| output | what it says |");

    assert.deepEqual(inFile, OUTPUTS);
    assert.deepEqual(
      Object.fromEntries(rows.map(([name = "", description]) => [name.replaceAll("`", ""), description])),
      OUTPUTS,
    );
  });
});

describe("reason codes", () => {
  test("have a section in docs/reason-codes.md each, with their result, and no other section is there", async () => {
    const sections = (await read("docs/reason-codes.md")).split(/^## /m).slice(1);

    const documented = sections.map((section) => {
      const [code = ""] = section.split("\n");
      return [code, /^`(\w+)`\./m.exec(section)?.[1]];
    });

    assert.deepEqual(documented, Object.entries(REASON_CODES));
  });

  test("are never error codes too", () => {
    const both = Object.keys(REASON_CODES).filter((code) => Object.hasOwn(ERROR_CODES, code));

    assert.deepEqual(both, []);
  });
});

test("the published schema of dispatches is the one that is checked", async () => {
  assert.deepEqual(JSON.parse(await read("docs/dispatch-payload.schema.json")), buildPayloadSchema());
});

test("dist is what the sources build, and small", async () => {
  const built = await buildAction();

  const stale: string[] = [];
  for (const { path, bytes } of built) {
    const committed = await readFile(join(root, path)).catch(() => Buffer.alloc(0));
    if (!committed.equals(bytes)) {
      stale.push(path);
    }
  }

  assert.deepEqual(stale, [], "run `npm run build` and commit dist");
  const bundle = built.find(({ path }) => path === "dist/index.cjs");
  assert.ok(bundle !== undefined && bundle.bytes.byteLength < MAX_BUNDLE_BYTES);
});
