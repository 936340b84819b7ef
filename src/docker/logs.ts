import { StringDecoder } from "node:string_decoder";
import { type Engine, engineLost } from "./engine.ts";
import { isEngineGone, isMissingContainer } from "./errors.ts";

/** A line longer than this comes in pieces: output without newlines must not fill the memory. */
const MAX_LINE_CHARACTERS = 32_768;

type OutputStream = "stdout" | "stderr";
type OnLine = (line: string, stream: OutputStream) => void;

/**
 * Follows a container's output from its first line until it ends. Returns when the container stopped, or does not
 * exist. Throws TransientError DOCKER_UNREACHABLE when the connection breaks.
 */
export async function followLogs(engine: Engine, id: string, onLine: OnLine, signal: AbortSignal): Promise<void> {
  const demux = createDemux(onLine);
  try {
    const container = engine.docker.getContainer(id);
    const stream = await container.logs({ follow: true, stdout: true, stderr: true, abortSignal: signal });
    for await (const chunk of stream) {
      demux.write(Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk));
    }
  } catch (error) {
    signal.throwIfAborted();
    if (!isMissingContainer(error)) {
      throw isEngineGone(error) ? engineLost(engine, error) : error;
    }
  } finally {
    demux.end();
  }
}

/** The last lines of both streams; none when the container does not exist. */
export async function listLastLines(engine: Engine, id: string, count: number): Promise<string[]> {
  const lines: string[] = [];
  const demux = createDemux((line) => lines.push(line));
  try {
    demux.write(await engine.docker.getContainer(id).logs({ stdout: true, stderr: true, tail: count, follow: false }));
    demux.end();
  } catch (error) {
    if (!isMissingContainer(error)) {
      throw isEngineGone(error) ? engineLost(engine, error) : error;
    }
  }
  return lines;
}

interface Demux {
  write: (chunk: Buffer) => void;
  end: () => void;
}

/**
 * Splits Docker's multiplexed log stream into lines: frames of `[stream, 0, 0, 0, length (4 bytes)]` and the bytes
 * (Docker's API: "Attach to a container, stream format"). A container with a terminal sends bare text instead.
 */
export function createDemux(onLine: OnLine): Demux {
  const writers = { stdout: createLineWriter("stdout", onLine), stderr: createLineWriter("stderr", onLine) };
  let waiting: Buffer = Buffer.alloc(0);
  let isPlain: boolean | undefined;
  return {
    write: (chunk) => {
      waiting = waiting.length === 0 ? chunk : Buffer.concat([waiting, chunk]);
      isPlain ??= waiting.length >= 4 ? !isFrameHeader(waiting) : undefined;
      if (isPlain === true) {
        writers.stdout.write(waiting);
        waiting = Buffer.alloc(0);
        return;
      }
      while (waiting.length >= 8) {
        const end = 8 + waiting.readUInt32BE(4);
        if (waiting.length < end) {
          return;
        }
        (waiting[0] === 2 ? writers.stderr : writers.stdout).write(waiting.subarray(8, end));
        waiting = waiting.subarray(end);
      }
    },
    end: () => {
      writers.stdout.end();
      writers.stderr.end();
    },
  };
}

function isFrameHeader(bytes: Buffer): boolean {
  return (bytes[0] ?? 255) <= 2 && bytes[1] === 0 && bytes[2] === 0 && bytes[3] === 0;
}

function createLineWriter(stream: OutputStream, onLine: OnLine) {
  const decoder = new StringDecoder("utf8"); // a character may be split between two chunks
  let rest = "";
  return {
    write: (chunk: Buffer) => {
      const lines = (rest + decoder.write(chunk)).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        onLine(line.replace(/\r$/, ""), stream);
      }
      while (rest.length > MAX_LINE_CHARACTERS) {
        onLine(rest.slice(0, MAX_LINE_CHARACTERS), stream);
        rest = rest.slice(MAX_LINE_CHARACTERS);
      }
    },
    end: () => {
      rest += decoder.end();
      if (rest !== "") {
        onLine(rest, stream);
        rest = "";
      }
    },
  };
}
