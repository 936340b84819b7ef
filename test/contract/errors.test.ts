import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { ERROR_CODES } from "../../src/shared/error-codes.ts";

const markdown = await readFile(join(import.meta.dirname, "../../docs/errors.md"), "utf8");
const sections = new Map(
  markdown
    .split(/^## /m)
    .slice(1)
    .map((section) => {
      const [title = "", ...body] = section.split("\n");
      return [title.trim(), body.join("\n")] as const;
    }),
);

test("every error code has a section in docs/errors.md, and every section a code", () => {
  assert.deepEqual([...sections.keys()].sort(), Object.keys(ERROR_CODES).sort());
});

test("every section says how to fix it", () => {
  const without = [...sections].filter(([, body]) => !body.includes("**Fix.**")).map(([title]) => title);

  assert.deepEqual(without, []);
});
