import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Cancelled, Declined } from "../../src/cli/ask.ts";
import { createOutput } from "../../src/cli/output.ts";
import { reportError } from "../../src/cli/report-error.ts";
import { TransientError, UserError } from "../../src/shared/errors.ts";

function report(error: unknown): { code: number; text: string } {
  let text = "";
  const write = (more: string) => {
    text += more;
  };
  const output = createOutput({ stdout: { write }, stderr: { write }, colors: false });
  return { code: reportError(output, error), text };
}

test("a user's error is its message, its code and the hint, without a stack", () => {
  assert.deepEqual(report(new UserError("NOT_FOUND", 'There is no pool "x".', { hint: 'Did you mean "y"?' })), {
    code: 1,
    text: 'Error: There is no pool "x". [NOT_FOUND]\nHint: Did you mean "y"?\n',
  });
});

test("an error with a place shows the place and its lines", () => {
  const folder = mkdtempSync(join(tmpdir(), "flowyard-report-"));
  const file = join(folder, "prefect.yaml");
  writeFileSync(file, "name: a\ndeployments: 3\n");

  const location = { file, line: 2, column: 14 };
  const { code, text } = report(new UserError("PROJECT_FILE_INVALID", "must be a list.", { location }));
  rmSync(folder, { recursive: true });

  assert.equal(code, 1);
  assert.equal(
    text,
    [
      `Error: ${file}:2:14: must be a list. [PROJECT_FILE_INVALID]`,
      "  1 | name: a",
      "> 2 | deployments: 3",
      "    |              ^",
      "  3 |",
      "",
    ].join("\n"),
  );
});

test("a message that names its place already is not given it twice", () => {
  const location = { file: "prefect.yaml", line: 2, column: 14 };
  const { text } = report(new UserError("PROJECT_FILE_INVALID", "prefect.yaml:2:14: must be a list.", { location }));

  assert.equal(text, "Error: prefect.yaml:2:14: must be a list. [PROJECT_FILE_INVALID]\n");
});

test("what the outside world did is a failure, too", () => {
  assert.equal(report(new TransientError("PLANE_FAILED", "It failed.")).code, 1);
});

test("a bug of ours shows its stack and causes, and asks for a report", () => {
  const { code, text } = report(new TypeError("x is undefined", { cause: new Error("because") }));

  assert.equal(code, 70);
  assert.match(text, /bug in Flowyard.*report/);
  assert.match(text, /TypeError: x is undefined\n {4}at /);
  assert.match(text, /caused by Error: because/);
});

test("giving up at a question is 130, saying no is 1", () => {
  assert.equal(report(new Cancelled("cancelled")).code, 130);
  assert.equal(report(new Declined("no")).code, 1);
});
