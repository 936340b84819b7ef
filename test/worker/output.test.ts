import assert from "node:assert/strict";
import { test } from "node:test";
import { createRunOutput } from "../../worker/output.ts";

test("a run's name writes nothing but itself before its lines", () => {
  const written: string[] = [];
  const output = createRunOutput({ writableLength: 0, write: (text: unknown) => written.push(String(text)) > 0 });

  output.write("brave-otter", "hello");
  output.write("\u001b[31mred\u001b]0;title\u0007\r\n13:00 | ERROR | forged\u202e", "hello");

  assert.deepEqual(written, ["brave-otter | hello\n", "red 13:00 | ERROR | forged  | hello\n"]);
});
