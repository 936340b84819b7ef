import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { StringDecoder } from "node:string_decoder";
import type { OutputLine, OutputPosition, OutputStream } from "../../src/docker/logs.ts";
import { sleep } from "../../src/shared/abort.ts";

const POLL_MS = 100;
const CHUNK_BYTES = 65_536;
/** A line longer than this comes in pieces: output without newlines must not fill the memory. */
const MAX_LINE_BYTES = 32_768;
const NEWLINE = 10;
const OFFSET_DIGITS = 15;

/**
 * The two output files of a process, from behind a position, until it has ended and nothing is left to read. The place
 * of a line is the offset behind it, so it is the same however often it is read.
 */
export async function* readOutputFiles(
  folder: string,
  from: OutputPosition,
  hasEnded: () => Promise<boolean>,
  signal: AbortSignal,
): AsyncGenerator<OutputLine> {
  const nextTime = createTimes();
  const files = [openFile(folder, "stdout", from.stdout, nextTime), openFile(folder, "stderr", from.stderr, nextTime)];
  try {
    for (;;) {
      const isLast = await hasEnded(); // before the look: what was written until the end is then seen
      let found = 0;
      for (const file of files) {
        for (let lines = await file.read(isLast); lines.length > 0; lines = await file.read(isLast)) {
          found += lines.length;
          yield* lines;
        }
      }
      if (isLast) {
        return;
      }
      await sleep(found > 0 ? 0 : POLL_MS, signal);
      signal.throwIfAborted();
    }
  } finally {
    await Promise.all(files.map((file) => file.close()));
  }
}

interface OutputFile {
  /** The next lines; none when there is nothing new. The rest without a newline comes only when it is the last. */
  read(isLast: boolean): Promise<OutputLine[]>;
  close(): Promise<void>;
}

/** The file has no times: a line has that of its reading, and no two lines have the same. */
function createTimes(): () => string {
  let last = 0;
  return () => {
    last = Math.max(Date.now() * 1000, last + 1);
    const milliseconds = new Date(Math.floor(last / 1000)).toISOString().slice(0, 23);
    return `${milliseconds}${String(last % 1000).padStart(3, "0")}000Z`;
  };
}

function openFile(folder: string, stream: OutputStream, place: string | undefined, nextTime: () => string): OutputFile {
  let handle: FileHandle | undefined;
  let offset = Number(place ?? "0");
  const buffer = Buffer.alloc(CHUNK_BYTES);
  return {
    read: async (isLast) => {
      handle ??= await open(join(folder, stream)).catch(() => undefined);
      const { bytesRead = 0 } = (await handle?.read(buffer, 0, CHUNK_BYTES, offset)) ?? {};
      const lines: OutputLine[] = [];
      for (const bytes of cutLines(buffer.subarray(0, bytesRead), isLast && bytesRead < CHUNK_BYTES)) {
        offset += bytes.length;
        const text = new StringDecoder("utf8").end(bytes).replace(/\r?\n$/, "");
        lines.push({ stream, text, at: nextTime(), place: String(offset).padStart(OFFSET_DIGITS, "0") });
      }
      return lines;
    },
    close: async () => handle?.close(),
  };
}

/** Whole lines, pieces of endless ones, and with `takesRest` what is behind the last newline. */
function cutLines(bytes: Buffer, takesRest: boolean): Buffer[] {
  const lines: Buffer[] = [];
  for (let start = 0; start < bytes.length; ) {
    const newline = bytes.indexOf(NEWLINE, start);
    const end = newline === -1 ? bytes.length : newline + 1;
    if (end - start > MAX_LINE_BYTES) {
      lines.push(bytes.subarray(start, start + MAX_LINE_BYTES));
      start += MAX_LINE_BYTES;
      continue;
    }
    if (newline === -1 && !takesRest) {
      break;
    }
    lines.push(bytes.subarray(start, end));
    start = end;
  }
  return lines;
}
