import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { EXPLANATION_CODES } from "../../src/flowyard-api/explain.ts";
import { ERROR_CODES } from "../../src/shared/error-codes.ts";
import { root } from "./sources.ts";

describe("the reason codes of explanations", async () => {
  const markdown = await readFile(join(root, "docs/explain.md"), "utf8");
  const sections = new Map(
    markdown
      .split(/^### /m)
      .slice(1)
      .map((section) => {
        const [title = "", ...body] = section.split("\n");
        return [title.trim(), body.join("\n")] as const;
      }),
  );

  test("have one section each in docs/explain.md, and every section a code", () => {
    assert.deepEqual([...sections.keys()].sort(), Object.keys(EXPLANATION_CODES).sort());
  });

  test("say what to do", () => {
    const without = [...sections].filter(([, body]) => !body.includes("**Next.**")).map(([title]) => title);

    assert.deepEqual(without, []);
  });

  test("are no error codes: a word means one thing", () => {
    assert.deepEqual(
      Object.keys(EXPLANATION_CODES).filter((code) => Object.hasOwn(ERROR_CODES, code)),
      [],
    );
  });

  test("are each read from a real plane by a test", async () => {
    const folder = join(root, "test/server");
    const files = (await readdir(folder)).filter((name) => /^explain-.*\.test\.ts$/.test(name));
    const tests = (await Promise.all(files.map((name) => readFile(join(folder, name), "utf8")))).join("\n");

    assert.deepEqual(
      Object.keys(EXPLANATION_CODES).filter((code) => !tests.includes(`"${code}"`)),
      [],
    );
  });
});
