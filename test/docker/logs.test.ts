import assert from "node:assert/strict";
import { test } from "node:test";
import type { Engine } from "../../src/docker/engine.ts";
import { createDemux, type OutputLine, type OutputPosition, readOutput } from "../../src/docker/logs.ts";
import { startFakeDocker } from "../support/fake-docker.ts";

function frame(stream: 1 | 2, text: string): Buffer {
  const bytes = Buffer.from(text);
  const header = Buffer.from([stream, 0, 0, 0, 0, 0, 0, 0]);
  header.writeUInt32BE(bytes.length, 4);
  return Buffer.concat([header, bytes]);
}

function collect(chunks: Buffer[]): string[] {
  const lines: string[] = [];
  const demux = createDemux(({ text, stream }) => {
    lines.push(`${stream}: ${text}`);
  });
  for (const chunk of chunks) {
    demux.write(chunk);
  }
  demux.end();
  return lines;
}

const TIME = "2026-11-24T08:00:00.123456789Z";

async function readTexts(engine: Engine, id: string, from: OutputPosition = {}): Promise<string[]> {
  const texts: string[] = [];
  for await (const { text } of readOutput(engine, id, from, never)) {
    texts.push(text);
  }
  return texts;
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
  const lines = collect([frame(1, `${TIME} ${"x".repeat(70_000)}`)]);

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

  assert.deepEqual(await readTexts(engine, "there"), ["hello"]);
  assert.deepEqual(await readTexts(engine, "gone"), []);
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
  const reading = readOutput(await fake.connect(), "x", {}, never);

  assert.equal((await reading.next()).value?.text, "before");
  await assert.rejects(reading.next(), { name: "TransientError", code: "DOCKER_UNREACHABLE" });
});

test("a log that ends while its container runs is no end, and half a line is not handed out", async () => {
  await using fake = await startFakeDocker(({ path }) =>
    path.endsWith("/logs")
      ? { status: 200, bytes: Buffer.concat([frame(1, `${TIME} whole\n`), frame(1, `${TIME} half`)]) }
      : { status: 200, json: { Name: "/x", Created: TIME, Config: {}, State: { Running: true } } },
  );
  const reading = readOutput(await fake.connect(), "x", {}, never);

  assert.equal((await reading.next()).value?.text, "whole");
  await assert.rejects(reading.next(), { name: "TransientError", code: "DOCKER_UNREACHABLE" });
});

test("what was dealt with is not handed out again, lines of one moment are told apart, and the time is kept", async () => {
  const later = TIME.replace("789Z", "790Z");
  const bytes = Buffer.concat([
    frame(1, `${TIME} one\n`),
    frame(1, `${TIME} two\n`),
    frame(2, `${TIME} oops\n`),
    frame(1, `${later} three\n`),
  ]);
  await using fake = await startFakeDocker(({ path }) => (path.endsWith("/logs") ? { status: 200, bytes } : undefined));
  const engine = await fake.connect();
  const all: OutputLine[] = [];
  for await (const line of readOutput(engine, "x", {}, never)) {
    all.push(line);
  }

  assert.deepEqual(
    all.map(({ text, at, place }) => [text, at, place]),
    [
      ["one", TIME, `${TIME}#000000`],
      ["two", TIME, `${TIME}#000001`],
      ["oops", TIME, `${TIME}#000000`],
      ["three", later, `${later}#000000`],
    ],
  );
  assert.deepEqual(await readTexts(engine, "x", { stdout: `${TIME}#000000` }), ["two", "oops", "three"]);
  assert.equal(fake.requests.at(-2)?.query.get("since"), String(Date.parse("2026-11-24T07:59:55Z") / 1000));
});

test("pieces that the engine cut belong to one line", () => {
  assert.deepEqual(collect([frame(1, `${TIME} one, `), frame(2, `${TIME} x\n`), frame(1, `${TIME} two\n`)]), [
    "stderr: x",
    "stdout: one, two",
  ]);
});
