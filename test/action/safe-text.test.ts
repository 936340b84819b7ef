import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { cleanLine, defuseCommands } from "../../src/action/safe-text.ts";

/** What GitHub's runner takes for a command: `::` at the start of a line, `##[` anywhere; CR ends lines too. */
function findCommands(text: string): string[] {
  return text.split(/\r\n|\r|\n/).filter((line) => line.trimStart().startsWith("::") || line.includes("##["));
}

describe("text of others in the log", () => {
  for (const text of [
    "::error::stolen",
    "  ::set-output name=a::b",
    "line\n::add-mask::x",
    "line\r::stop-commands::x",
    "line\r\n::error::x",
    "\t::error::x",
    "\u00a0::error::x",
    "##[error]x",
    "a ##[group]x ##[command]y",
    ":::error::x",
  ]) {
    test(`is no command: ${JSON.stringify(text)}`, () => {
      assert.deepEqual(findCommands(defuseCommands(text)), []);
    });
  }

  test("stays as it is when it is harmless", () => {
    assert.equal(defuseCommands("a::b\n## heading [x]\nhttp://x"), "a::b\n## heading [x]\nhttp://x");
  });

  test("control sequences are left out of a line of foreign output", () => {
    assert.equal(cleanLine("\u001b[31mred\u001b[0m\r\n"), "red");
  });
});
