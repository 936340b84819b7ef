import assert from "node:assert/strict";
import { test } from "node:test";
import { createTextLog } from "../../src/server/log-text.ts";

test("a line of the log is short where a person reads it, and keeps an error's stack", () => {
  const lines: string[] = [];
  const log = createTextLog((line) => lines.push(line));
  const time = Date.parse("2026-11-24T09:59:03.433Z");
  const machine = { pid: 7, hostname: "vm", reqId: "req-1" };

  log.write(JSON.stringify({ level: 30, time, ...machine, from: null, to: "Late run", msg: "flow run state" }));
  log.write(
    JSON.stringify({ level: 50, time, ...machine, err: { type: "Error", stack: "Error: no\n    at x" }, msg: "bug" }),
  );

  assert.deepEqual(lines, [
    '09:59:03.433 INFO  flow run state from=null to="Late run"\n',
    "09:59:03.433 ERROR bug\nError: no\n    at x\n",
  ]);
});
