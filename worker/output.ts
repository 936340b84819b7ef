import type { Writable } from "node:stream";
import { stripVTControlCharacters } from "node:util";

/** When nobody reads the worker's output, it must not pile up in memory. */
const MAX_WAITING_BYTES = 4 * 1024 * 1024;

export interface RunOutput {
  /** One line of a run's output, written with the run's name before it. */
  write: (flowRunName: string, line: string) => void;
}

/** Whoever makes a run names it; a line of the output is as its container wrote it. */
function toSafeName(name: string): string {
  return stripVTControlCharacters(name).replaceAll(/[\p{Cc}\p{Bidi_Control}]+/gu, " ");
}

/** Writes to the worker's stdout; lines that do not fit any more are dropped and counted. */
export function createRunOutput(stream: Pick<Writable, "write" | "writableLength">): RunOutput {
  let dropped = 0;
  return {
    write: (flowRunName, line) => {
      if (stream.writableLength > MAX_WAITING_BYTES) {
        dropped += 1;
        return;
      }
      if (dropped > 0) {
        stream.write(`(${dropped} lines dropped: the output was not read fast enough)\n`);
        dropped = 0;
      }
      stream.write(`${toSafeName(flowRunName)} | ${line}\n`);
    },
  };
}
