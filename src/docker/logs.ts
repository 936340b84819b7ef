import { StringDecoder } from "node:string_decoder";
import { TransientError } from "../shared/errors.ts";
import { type ContainerState, findContainer } from "./containers.ts";
import { type Engine, engineLost } from "./engine.ts";
import { isEngineGone, isMissingContainer } from "./errors.ts";

/** A line longer than this comes in pieces: output without newlines must not fill the memory. */
const MAX_LINE_CHARACTERS = 32_768;
/** The two streams are read by two threads of the engine: their times may be a little out of order in its file. */
const STREAM_SKEW_MS = 5000;

export type OutputStream = "stdout" | "stderr";

/** One line of a container's output. */
export interface OutputLine {
  stream: OutputStream;
  text: string;
  /** When the engine read it: nine digits of a second, UTC, so that text order is time order. */
  at: string;
  /** Where it stands in its stream, text order being the order of the lines. The same however often it is read. */
  place: string;
}

/** The last line of each stream that somebody has dealt with. */
export type OutputPosition = { [stream in OutputStream]?: string | undefined };

/**
 * A container's output as the engine keeps it, from behind a position to its end: until the container stops, or does
 * not exist. Whoever takes the lines slowly slows the reading down, not the container.
 * Throws TransientError DOCKER_UNREACHABLE when the connection breaks: read on from the last line then. `look` is how the
 * container is looked at afterwards.
 */
export async function* readOutput(
  engine: Engine,
  id: string,
  from: OutputPosition,
  signal: AbortSignal,
  look: () => Promise<ContainerState | undefined> = () => findContainer(engine, id),
): AsyncGenerator<OutputLine> {
  const lines: OutputLine[] = [];
  const demux = createDemux((line) => {
    if (line.place > (from[line.stream] ?? "")) {
      lines.push(line);
    }
  });
  const take = () => lines.splice(0);
  try {
    const stream = await engine.docker.getContainer(id).logs({
      follow: true,
      stdout: true,
      stderr: true,
      timestamps: true,
      ...buildSince(from),
      abortSignal: signal,
    });
    for await (const chunk of stream) {
      demux.write(Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk));
      yield* take();
    }
  } catch (error) {
    signal.throwIfAborted();
    if (!isMissingContainer(error)) {
      throw isEngineGone(error) ? engineLost(engine, error) : error;
    }
  }
  if ((await look())?.isRunning === true) {
    // The engine closes its streams when it stops. What came last may be the beginning of a line.
    throw new TransientError("DOCKER_UNREACHABLE", "The Docker engine ended the log of a container that goes on.");
  }
  demux.end();
  yield* take();
}

/** The engine takes seconds with a fraction; both streams are asked for from one time. */
function buildSince(from: OutputPosition): { since?: number } {
  const last = [from.stdout ?? "", from.stderr ?? ""].toSorted().at(-1);
  const lastMs = Date.parse(`${last?.slice(0, 23)}Z`);
  return Number.isNaN(lastMs) ? {} : { since: Math.max(0, Math.floor((lastMs - STREAM_SKEW_MS) / 1000)) };
}

interface Demux {
  write: (chunk: Buffer) => void;
  end: () => void;
}

/**
 * Splits Docker's multiplexed log stream into lines: frames of `[stream, 0, 0, 0, length (4 bytes)]` and the bytes
 * (Docker's API: "Attach to a container, stream format"), each beginning with its time. A container with a terminal
 * sends bare text instead.
 */
export function createDemux(onLine: (line: OutputLine) => void): Demux {
  const writers = { stdout: createLineWriter("stdout", onLine), stderr: createLineWriter("stderr", onLine) };
  let waiting: Buffer = Buffer.alloc(0);
  let isPlain: boolean | undefined;
  return {
    write: (chunk) => {
      waiting = waiting.length === 0 ? chunk : Buffer.concat([waiting, chunk]);
      isPlain ??= waiting.length >= 4 ? !isFrameHeader(waiting) : undefined;
      if (isPlain === true) {
        const end = waiting.lastIndexOf(NEWLINE) + 1;
        splitLines(waiting.subarray(0, end)).forEach(writers.stdout.write);
        waiting = waiting.subarray(end);
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
      if (isPlain === true && waiting.length > 0) {
        writers.stdout.write(waiting);
      }
      writers.stdout.end();
      writers.stderr.end();
    },
  };
}

const NEWLINE = 10;

function isFrameHeader(bytes: Buffer): boolean {
  return (bytes[0] ?? 255) <= 2 && bytes[1] === 0 && bytes[2] === 0 && bytes[3] === 0;
}

/** Each with its newline. */
function splitLines(bytes: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  for (let start = 0; start < bytes.length; ) {
    const newline = bytes.indexOf(NEWLINE, start);
    const end = newline === -1 ? bytes.length : newline + 1;
    lines.push(bytes.subarray(start, end));
    start = end;
  }
  return lines;
}

const TIME = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(Z|[+-]\d{2}:\d{2}) /;
const TIME_CHARACTERS = 36;
const NO_TIME = "1970-01-01T00:00:00.000000000Z";

/** The engine cuts lines at 16 KiB: all pieces have the time of the first, and only the last has the newline. */
function createLineWriter(stream: OutputStream, onLine: (line: OutputLine) => void) {
  const decoder = new StringDecoder("utf8"); // a character may be split between two pieces
  let rest = "";
  let at = NO_TIME;
  let isInside = false;
  let sameTime = 0;
  let lastAt = "";
  const give = (text: string) => {
    sameTime = at === lastAt ? sameTime + 1 : 0;
    lastAt = at;
    onLine({ stream, text, at, place: `${at}#${String(sameTime).padStart(6, "0")}` });
  };
  return {
    write: (bytes: Buffer) => {
      const match = TIME.exec(bytes.toString("latin1", 0, TIME_CHARACTERS));
      if (match !== null && !isInside) {
        at = normalizeTime(match);
      }
      const lines = (rest + decoder.write(bytes.subarray(match?.[0].length ?? 0))).split("\n");
      rest = lines.pop() ?? "";
      isInside = bytes.at(-1) !== NEWLINE;
      for (const line of lines) {
        give(line.replace(/\r$/, ""));
      }
      while (rest.length > MAX_LINE_CHARACTERS) {
        give(rest.slice(0, MAX_LINE_CHARACTERS));
        rest = rest.slice(MAX_LINE_CHARACTERS);
      }
    },
    end: () => {
      rest += decoder.end();
      if (rest !== "") {
        give(rest);
        rest = "";
      }
    },
  };
}

/** Docker writes UTC with nine digits; Podman its own zone and fewer of them. */
function normalizeTime([, seconds = "", fraction = "", zone = "Z"]: RegExpExecArray): string {
  const utc = zone === "Z" ? seconds : new Date(`${seconds}${zone}`).toISOString().slice(0, 19);
  return `${utc}.${fraction.padEnd(9, "0")}Z`;
}
