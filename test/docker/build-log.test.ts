import assert from "node:assert/strict";
import { test } from "node:test";
import { createBuildLog } from "../../src/docker/build-log.ts";

/** Protobuf by hand: field number and either bytes or a small number. */
function field(number: number, value: string | Buffer | number): Buffer {
  if (typeof value === "number") {
    return Buffer.from([number * 8, value]);
  }
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from([number * 8 + 2]), varint(bytes.length), bytes]);
}

function varint(value: number): Buffer {
  return value < 128 ? Buffer.from([value]) : Buffer.from([(value & 127) | 128, value >> 7]);
}

function step(digest: string, name: string, more: Buffer[] = [field(5, "")]): Buffer {
  return field(1, Buffer.concat([field(1, digest), field(3, name), ...more]));
}

function output(digest: string, text: string): Buffer {
  return field(3, Buffer.concat([field(1, digest), field(3, 1), field(4, text)]));
}

function trace(...parts: Buffer[]) {
  return { id: "moby.buildkit.trace", aux: Buffer.concat(parts).toString("base64") };
}

test("steps come out once, their output line by line behind their number", () => {
  const lines: string[] = [];
  const log = createBuildLog((line) => lines.push(line));

  log.read(trace(step("a", "[1/2] FROM x"), step("b", "[2/2] RUN make")));
  log.read(trace(step("a", "[1/2] FROM x", [field(5, ""), field(6, "")]), output("b", "compi")));
  log.read(trace(output("b", "ling ✓\nlinking\r\nlast")));
  log.finish();

  assert.deepEqual(lines, ["#1 [1/2] FROM x", "#2 [2/2] RUN make", "#2 compiling ✓", "#2 linking", "#2 last"]);
});

test("a cached step says so", () => {
  const lines: string[] = [];
  const log = createBuildLog((line) => lines.push(line));

  log.read(trace(step("a", "[1/1] RUN make", [field(4, 1), field(5, ""), field(6, "")])));

  assert.deepEqual(lines, ["#1 [1/1] RUN make", "#1 CACHED"]);
});

test("the step that failed is told with its last lines, not one that was cancelled with it", () => {
  const log = createBuildLog(() => undefined);

  log.read(
    trace(
      step("a", "[a] RUN sleep"),
      step("b", "[b] RUN pip"),
      output("b", `${"x\n".repeat(30)}No matching distribution\n`),
    ),
  );
  log.read(
    trace(
      step("a", "[a] RUN sleep", [field(7, "context canceled")]),
      step("b", "[b] RUN pip", [field(7, "exit code: 1")]),
    ),
  );

  const failed = log.failedStep();
  assert.equal(failed?.name, "[b] RUN pip");
  assert.equal(failed?.error, "exit code: 1");
  assert.equal(failed?.lastLines.length, 20);
  assert.equal(failed?.lastLines.at(-1), "No matching distribution");
});

test("the classic builder's stream is read as well", () => {
  const lines: string[] = [];
  const log = createBuildLog((line) => lines.push(line));

  log.read({ stream: "Step 1/2 : FROM x\n" });
  log.read({ stream: " ---> 0123\n" });
  log.finish();

  assert.deepEqual(lines, ["Step 1/2 : FROM x", " ---> 0123"]);
});
