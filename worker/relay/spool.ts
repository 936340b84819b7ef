import {
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";

/** A segment that has been read to its end is removed. */
const SEGMENT_BYTES = 4 * 1024 * 1024;
const READ_BYTES = 1024 * 1024;
const NEWLINE = 0x0a;

/** Where the reader is: a segment and the bytes of it that are done. */
interface Cursor {
  segment: number;
  offset: number;
}

/** How much waits in a spool at most. */
export interface SpoolBounds {
  maxBytes: number;
  /** Of one owner's lines. */
  maxBytesPerOwner: number;
  /** Reads from a line whose it is; undefined: nobody's, bounded as a whole only. */
  ownerOf: (line: string) => string | undefined;
}

/** Lines that were read, and how to say that they are done. */
export interface SpoolBatch {
  lines: string[];
  end: Cursor;
}

/**
 * A queue of lines on disk, for one process. A line that `append` returned for survives the death of this process, not
 * one of the machine; after a restart some lines may be read again. Bounded: full, it refuses.
 */
export class Spool {
  readonly #folder: string;
  readonly #bounds: SpoolBounds;
  /** Bytes of each owner that are not done. */
  readonly #owned = new Map<string, number>();
  #writing: { segment: number; descriptor: number; size: number };
  #cursor: Cursor;
  /** Bytes in all segments that are not done. */
  #waitingBytes: number;
  /** Bytes that were ever in here, as far as this process knows. */
  #addedBytes: number;
  #onChange = new Set<() => void>();

  /** Throws what the file system throws when nothing can be written there. */
  constructor(folder: string, bounds: SpoolBounds) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.#folder = folder;
    this.#bounds = bounds;
    const segments = listSegments(folder);
    this.#cursor = readCursor(folder, segments);
    this.#waitingBytes = segments.reduce((sum, segment) => sum + statSync(this.#path(segment)).size, 0);
    this.#waitingBytes -= segments.includes(this.#cursor.segment) ? this.#cursor.offset : 0;
    this.#addedBytes = this.#waitingBytes;
    this.#countOwned(segments);
    // Never behind what a killed process wrote: its last line may be half one.
    this.#writing = this.#openSegment((segments.at(-1) ?? 0) + 1);
  }

  get isEmpty(): boolean {
    return this.#waitingBytes === 0;
  }

  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** Whether it is their owner's bound that these lines find no room in. */
  isBeyondShare(lines: readonly string[]): boolean {
    const owner = this.#bounds.ownerOf(lines[0] ?? "");
    const bytes = lines.reduce((sum, line) => sum + Buffer.byteLength(line) + 1, 0);
    return owner !== undefined && (this.#owned.get(owner) ?? 0) + bytes > this.#bounds.maxBytesPerOwner;
  }

  /** Lines without line breaks, all of one owner. Answers whether there was room; if not, nothing was written. */
  append(lines: readonly string[]): boolean {
    const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(""));
    const owner = this.#bounds.ownerOf(lines[0] ?? "");
    if (this.isBeyondShare(lines) || this.#waitingBytes + bytes.length > this.#bounds.maxBytes) {
      return false;
    }
    if (this.#writing.size >= SEGMENT_BYTES) {
      closeSync(this.#writing.descriptor);
      this.#writing = this.#openSegment(this.#writing.segment + 1);
    }
    if (!writeAll(this.#writing, bytes)) {
      return false;
    }
    this.#writing.size += bytes.length;
    this.#waitingBytes += bytes.length;
    this.#addedBytes += bytes.length;
    if (owner !== undefined) {
      this.#owned.set(owner, (this.#owned.get(owner) ?? 0) + bytes.length);
    }
    this.#changed();
    return true;
  }

  /** Resolves when every line that is in here now is done, or the signal aborts. */
  async untilSettled(signal: AbortSignal): Promise<void> {
    const goal = this.#addedBytes;
    while (this.#addedBytes - this.#waitingBytes < goal && !signal.aborted) {
      await this.#nextChange(signal);
    }
  }

  /** Resolves when there is a line to read, or the signal aborts. */
  async untilFilled(signal: AbortSignal): Promise<void> {
    while (this.isEmpty && !signal.aborted) {
      await this.#nextChange(signal);
    }
  }

  /** The next whole lines, about a mebibyte of them; none when everything is done. */
  read(): SpoolBatch {
    for (;;) {
      const { segment, offset } = this.#cursor;
      const read = this.#readSegment(segment, offset);
      const lastBreak = read.lastIndexOf(NEWLINE);
      if (lastBreak >= 0) {
        const lines = read.subarray(0, lastBreak).toString("utf8").split("\n");
        return { lines, end: { segment, offset: offset + lastBreak + 1 } };
      }
      if (segment >= this.#writing.segment) {
        this.#giveUpLost();
        return { lines: [], end: this.#cursor };
      }
      this.#leaveSegment(read.length);
    }
  }

  /** What `read` answered needs not be read again. */
  settle({ lines, end }: SpoolBatch): void {
    this.#waitingBytes -= end.offset - this.#cursor.offset;
    this.#addOwned(lines, -1);
    this.#cursor = end;
    this.#saveCursor();
    this.#changed();
  }

  close(): void {
    closeSync(this.#writing.descriptor);
  }

  /** What an earlier process left. */
  #countOwned(segments: readonly number[]): void {
    for (const segment of segments.filter((each) => each >= this.#cursor.segment)) {
      const text = readFileSync(this.#path(segment));
      const from = segment === this.#cursor.segment ? this.#cursor.offset : 0;
      const lastBreak = text.lastIndexOf(NEWLINE);
      this.#addOwned(lastBreak < from ? [] : text.subarray(from, lastBreak).toString("utf8").split("\n"), 1);
    }
  }

  #addOwned(lines: readonly string[], sign: 1 | -1): void {
    for (const line of lines) {
      const owner = this.#bounds.ownerOf(line);
      if (owner === undefined) {
        continue;
      }
      const owned = (this.#owned.get(owner) ?? 0) + sign * (Buffer.byteLength(line) + 1);
      if (owned > 0) {
        this.#owned.set(owner, owned);
      } else {
        this.#owned.delete(owner);
      }
    }
  }

  #changed(): void {
    for (const listener of [...this.#onChange]) {
      listener();
    }
  }

  #nextChange(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const finish = () => {
        this.#onChange.delete(finish);
        signal.removeEventListener("abort", finish);
        resolve();
      };
      this.#onChange.add(finish);
      signal.addEventListener("abort", finish);
    });
  }

  /** Lines are written whole: what should be there and is not was taken away from outside, and nobody need wait for it. */
  #giveUpLost(): void {
    if (this.#waitingBytes > 0) {
      closeSync(this.#writing.descriptor);
      this.#writing = this.#openSegment(this.#writing.segment + 1);
      this.#cursor = { segment: this.#writing.segment, offset: 0 };
      this.#waitingBytes = 0;
      this.#owned.clear();
      this.#changed();
    }
  }

  /** A segment of an earlier process may end in half a line; that one is lost. */
  #leaveSegment(restBytes: number): void {
    this.#waitingBytes -= restBytes;
    rmSync(this.#path(this.#cursor.segment), { force: true });
    this.#cursor = { segment: this.#cursor.segment + 1, offset: 0 };
    this.#saveCursor();
  }

  #readSegment(segment: number, offset: number): Buffer {
    const path = this.#path(segment);
    if (!existsSync(path)) {
      return Buffer.alloc(0);
    }
    const descriptor = openSync(path, "r");
    try {
      const rest = fstatSync(descriptor).size - offset;
      let size = Math.min(rest, READ_BYTES);
      for (;;) {
        const bytes = Buffer.alloc(Math.max(0, size));
        readSync(descriptor, bytes, 0, bytes.length, offset);
        // One line longer than that is read whole.
        if (size >= rest || bytes.includes(NEWLINE)) {
          return bytes;
        }
        size = rest;
      }
    } finally {
      closeSync(descriptor);
    }
  }

  #openSegment(segment: number): { segment: number; descriptor: number; size: number } {
    return { segment, descriptor: openSync(this.#path(segment), "a", 0o600), size: 0 };
  }

  #saveCursor(): void {
    const draft = join(this.#folder, "cursor.draft");
    writeFileSync(draft, `${this.#cursor.segment} ${this.#cursor.offset}`);
    renameSync(draft, join(this.#folder, "cursor"));
  }

  #path(segment: number): string {
    return join(this.#folder, `${String(segment).padStart(10, "0")}.lines`);
  }
}

const NO_ROOM: ReadonlySet<string> = new Set(["ENOSPC", "EDQUOT"]);

/** False when the disk has no room; the part of a line that found some is taken back, or it would spoil the next one. */
function writeAll({ descriptor, size }: { descriptor: number; size: number }, bytes: Buffer): boolean {
  try {
    for (let written = 0; written < bytes.length; ) {
      written += writeSync(descriptor, bytes, written);
    }
    return true;
  } catch (error) {
    ftruncateSync(descriptor, size);
    if (error instanceof Error && "code" in error && NO_ROOM.has(String(error.code))) {
      return false;
    }
    throw error;
  }
}

function listSegments(folder: string): number[] {
  return readdirSync(folder)
    .flatMap((name) => /^(\d+)\.lines$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
}

function readCursor(folder: string, segments: readonly number[]): Cursor {
  const first = { segment: segments[0] ?? 1, offset: 0 };
  try {
    const [, segment, offset] = /^(\d+) (\d+)$/.exec(readFileSync(join(folder, "cursor"), "utf8")) ?? [];
    return segment === undefined || Number(segment) < first.segment
      ? first
      : { segment: Number(segment), offset: Number(offset) };
  } catch {
    return first;
  }
}
