import { createHash } from "node:crypto";
import { readFileSync, realpathSync, statSync } from "node:fs";
import { isAbsolute, join, relative, sep } from "node:path";
import type { SourceLocation } from "../../shared/errors.ts";
import type { SourceOfModule } from "./value.ts";

/** Larger files are not read: parsing takes about 2 s per MiB, and no hand-written flow comes near it. */
export const MAX_SOURCE_BYTES = 512 * 1024;

/** Why a file was not read. */
export type SourceProblem = "missing" | "outside" | "directory" | "too-large" | "undecodable";

/** Reads a Python file of the project. `file` is relative to `root`; links that lead out of it are not followed. */
export function readSource(root: string, file: string): SourceOfModule | SourceProblem {
  let path: string;
  try {
    path = realpathSync(join(root, file));
    if (!isInside(realpathSync(root), path)) return "outside";
    const { size } = statSync(path);
    if (statSync(path).isDirectory()) return "directory";
    if (size > MAX_SOURCE_BYTES) return "too-large";
  } catch {
    // Not there, or not ours to read: for the reader of a flow both are "no such file".
    return "missing";
  }
  const bytes = readFileSync(path);
  const text = decode(bytes);
  return text === null ? "undecodable" : { file, text, md5: createHash("md5").update(bytes).digest("hex") };
}

export function isInside(root: string, path: string): boolean {
  const way = relative(root, path);
  return way === "" || (way !== ".." && !way.startsWith(`..${sep}`) && !isAbsolute(way));
}

/** Text of a source file: UTF-8, or what its first two lines declare (PEP 263). Null if the bytes do not fit. */
function decode(bytes: Buffer): string | null {
  const head = bytes
    .subarray(0, 500)
    .toString("latin1")
    .split(/\r\n|\r|\n/)
    .slice(0, 2);
  const cookie = head
    .map((line) => /^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)/.exec(line)?.[1])
    .find((name) => name !== undefined);
  const encoding = cookie?.toLowerCase().replaceAll("_", "-") ?? "utf-8";
  if (/^(?:latin-?1|iso-8859-1|l1)$/.test(encoding)) return bytes.toString("latin1");
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}

/** Line and column, both from 1, of an offset. */
export function locate(source: Pick<SourceOfModule, "file" | "text">, offset: number): SourceLocation {
  const before = source.text.slice(0, offset);
  const lines = before.split(/\r\n|\r|\n/);
  return { file: source.file, line: lines.length, column: (lines.at(-1)?.length ?? 0) + 1 };
}
