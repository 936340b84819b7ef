import assert from "node:assert/strict";
import { test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { createOutput } from "../../src/cli/output.ts";
import { showRelativeTime } from "../../src/cli/show.ts";

function open(stream: { isTTY?: boolean; columns?: number; colors?: boolean } = {}) {
  const texts = { stdout: "", stderr: "" };
  const output = createOutput({
    stdout: { ...stream, write: (text: string) => (texts.stdout += text) },
    stderr: { ...stream, write: (text: string) => (texts.stderr += text) },
    colors: stream.colors ?? true,
  });
  return { output, texts };
}

const rows = [
  { name: "first", note: "short" },
  { name: "second-one", note: "a note that is much longer than the terminal is wide" },
];
const columns = [
  { title: "Name", value: (row: { name: string }) => row.name },
  { title: "Note", value: (row: { note: string }) => row.note, style: () => "green" as const },
];

test("a table in a pipe is tab-separated lines without a head and without colours", () => {
  const { output, texts } = open();

  output.table(rows, columns);

  assert.equal(texts.stdout, `first\tshort\nsecond-one\t${rows[1]?.note}\n`);
});

test("a table on a terminal is aligned, coloured and no wider than the terminal", () => {
  const { output, texts } = open({ isTTY: true, columns: 30 });

  output.table(rows, columns);

  const lines = stripVTControlCharacters(texts.stdout).trimEnd().split("\n");
  assert.deepEqual(lines, ["Name        Note", "first       short", "second-one  a note that is mu…"]);
  assert.ok(texts.stdout.includes("\u001b[32m"));
});

test("a terminal that says it has no columns is taken for a usual one", () => {
  const { output, texts } = open({ isTTY: true, columns: 0 });

  output.table(rows, columns);

  assert.ok(texts.stdout.includes(rows[1]?.note ?? "?"));
});

test("NO_COLOR leaves a terminal's table without colours", () => {
  const { output, texts } = open({ isTTY: true, colors: false });

  output.table(rows, columns);
  output.error("no");

  assert.equal(texts.stdout, stripVTControlCharacters(texts.stdout));
  assert.equal(texts.stderr, "no\n");
});

test("what a server names cannot steer the terminal or break a row", () => {
  const { output, texts } = open();

  output.table([{ name: "a\u001b[2Jb\tc\nd", note: "" }], columns);

  assert.equal(texts.stdout, "ab c d\t\n");
});

test("text for people goes to stderr, data to stdout", () => {
  const { output, texts } = open();

  output.say("hello");
  output.warn("careful");
  output.json({ a: 1 });

  assert.deepEqual(texts, { stdout: '{\n  "a": 1\n}\n', stderr: "hello\nWarning: careful\n" });
});

const now = new Date("2026-07-15T12:00:00Z");
for (const [timestamp, expected] of [
  ["2026-07-15T12:00:00Z", "now"],
  ["2026-07-15T12:00:01Z", "in 1 second"],
  ["2026-07-15T13:30:00Z", "in 1 hour 30 minutes"],
  ["2026-07-15T11:58:30Z", "1 minute ago"],
  ["2026-07-12T12:00:00Z", "3 days ago"],
  [undefined, ""],
] as const) {
  test(`${timestamp ?? "no time"} reads "${expected}"`, () => {
    assert.equal(showRelativeTime(timestamp, now), expected);
  });
}
