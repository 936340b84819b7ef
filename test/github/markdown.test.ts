import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { code, codeBlock, fitBlocks, link, prose, table } from "../../src/github/markdown.ts";

describe("markdown", () => {
  const spans: [text: string, markdown: string][] = [
    ["etl/nightly", "`etl/nightly`"],
    ["a`b", "``a`b``"],
    ["`a", "`` `a ``"],
    ["a``b`c", "```a``b`c```"],
    ["a|b", "`a\\|b`"],
    ["@octocat <b>", "`@octocat <b>`"],
    ["a\r\nb\u2028c", "`a⏎b⏎c`"],
    ["", "`` ``"],
  ];
  for (const [text, markdown] of spans) {
    test(`a code span holds ${JSON.stringify(text)}`, () => {
      assert.equal(code(text), markdown);
    });
  }

  test("a block's fence is longer than any in it", () => {
    assert.equal(codeBlock("```\n# x"), "````\n```\n# x\n````");
  });

  test("prose keeps no link, mention, HTML or emphasis of others", () => {
    const text = prose("see [x](javascript:a) @team <img src=x> **b** https://evil.example `c`\nnext");

    assert.doesNotMatch(text, /(?<!\\)[[\]<>*`]|@team|https:\/\/|\n/);
  });

  test("only web addresses become links", () => {
    assert.equal(link("run", "https://github.com/a/b"), "[run](https://github.com/a/b)");
    assert.equal(link("run", "javascript:alert(1)"), "run");
    assert.equal(link("run", "https://x/) [a](b"), "run");
  });

  test("a table has as many columns in each row", () => {
    assert.equal(table(["a", "b"], [["1", "2"]]), "| a | b |\n| --- | --- |\n| 1 | 2 |");
  });

  test("blocks that do not fit are counted, and the limit holds", () => {
    const blocks = Array.from({ length: 100 }, (_, index) => `block ${index} ${"x".repeat(50)}`);

    const text = fitBlocks(blocks, 1000, (count) => `${count} more`);

    assert.ok(text.length <= 1000);
    assert.match(text, /^block 0/);
    assert.match(text, /\n8\d more$/);
    assert.equal(
      fitBlocks(["a", "b"], 1000, () => "more"),
      "a\n\nb",
    );
  });
});
