import assert from "node:assert/strict";
import { test } from "node:test";
import { createDemux, followLogs, listLastLines } from "../../src/docker/logs.ts";
import { startFakeDocker } from "../support/fake-docker.ts";

function frame(stream: 1 | 2, text: string): Buffer {
  const bytes = Buffer.from(text);
  const header = Buffer.from([stream, 0, 0, 0, 0, 0, 0, 0]);
  header.writeUInt32BE(bytes.length, 4);
  return Buffer.concat([header, bytes]);
}

function collect(chunks: Buffer[]): string[] {
  const lines: string[] = [];
  const demux = createDemux((line, stream) => lines.push(`${stream}: ${line}`));
  for (const chunk of chunks) {
    demux.write(chunk);
  }
  demux.end();
  return lines;
}

const never = new AbortController().signal;

test("frames of both streams become lines", () => {
  const bytes = Buffer.concat([frame(1, "one\ntwo\n"), frame(2, "oops\n"), frame(1, "rest")]);

  assert.deepEqual(collect([bytes]), ["stdout: one", "stdout: two", "stderr: oops", "stdout: rest"]);
});

test("it does not matter where the network cuts the bytes, even inside a header or a character", () => {
  const bytes = Buffer.concat([frame(1, "grüße ✓\n"), frame(1, "wei"), frame(1, "ter\n")]);

  assert.deepEqual(collect([...bytes].map((byte) => Buffer.from([byte]))), ["stdout: grüße ✓", "stdout: weiter"]);
});

test("a container with a terminal sends bare text", () => {
  assert.deepEqual(collect([Buffer.from("plain\r\ntext\n")]), ["stdout: plain", "stdout: text"]);
});

test("a line without an end is handed out in pieces", () => {
  const lines = collect([frame(1, "x".repeat(70_000))]);

  assert.deepEqual(
    lines.map((line) => line.length),
    [32_776, 32_776, 4472],
  );
});

test("logs are followed until the engine ends them, and a container that is gone has none", async () => {
  await using fake = await startFakeDocker(({ path }) =>
    path === "/containers/there/logs" ? { status: 200, bytes: frame(1, "hello\n") } : undefined,
  );
  const engine = await fake.connect();
  const lines: string[] = [];

  await followLogs(engine, "there", (line) => lines.push(line), never);
  await followLogs(engine, "gone", (line) => lines.push(line), never);

  assert.deepEqual(lines, ["hello"]);
  assert.deepEqual(await listLastLines(engine, "there", 5), ["hello"]);
  assert.deepEqual(await listLastLines(engine, "gone", 5), []);
});

test("a stream that breaks off is told as the engine's loss, with the lines before it", async () => {
  await using fake = await startFakeDocker(({ path }) =>
    path.endsWith("/logs")
      ? {
          respond: (response) => {
            response.writeHead(200);
            response.write(frame(1, "before\n"), () => response.destroy());
          },
        }
      : undefined,
  );
  const lines: string[] = [];

  await assert.rejects(
    followLogs(await fake.connect(), "x", (line) => lines.push(line), never),
    {
      name: "TransientError",
      code: "DOCKER_UNREACHABLE",
    },
  );
  assert.deepEqual(lines, ["before"]);
});
