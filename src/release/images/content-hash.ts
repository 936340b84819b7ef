import { createHash } from "node:crypto";
import type { ContextEntry } from "../../docker/build-context.ts";

/** All that decides what an image holds. Labels that only say where it comes from are no part of it. */
export interface ImageContent {
  entries: readonly ContextEntry[];
  dockerfileText: string;
  target: string | undefined;
  buildArgs: Readonly<Record<string, string>>;
  /** `os/architecture`, one or several. */
  platforms: readonly string[];
  /** Reference → digest (or the id of an image that is only on this engine). */
  baseImages: Readonly<Record<string, string>>;
  /** Those that the user writes. */
  labels: Readonly<Record<string, string>>;
}

/** Part of every hash: what an older version of these rules built is not taken for the same. */
const RULES = "1";
/** 128 bits: two contents never share a tag by accident. */
const TAG_DIGITS = 32;

export const CONTENT_TAG = /^fy-[0-9a-f]{32}$/;

/** sha256, in hex, of all that goes into an image: equal hash, equal image. Pure. */
export function hashImageContent(content: ImageContent): string {
  const hash = createHash("sha256");
  const add = (...parts: string[]) => {
    // With its length before it, no part can pass for two others.
    for (const part of parts) {
      hash.update(`${Buffer.byteLength(part)}:${part}`);
    }
  };
  const addMapping = (name: string, values: Readonly<Record<string, string>>) => {
    const sorted = Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1));
    add(name, String(sorted.length), ...sorted.flat());
  };
  add(RULES, content.dockerfileText, content.target ?? "");
  addMapping("args", content.buildArgs);
  addMapping("bases", content.baseImages);
  addMapping("labels", content.labels);
  add("platforms", ...[...content.platforms].sort());
  add("files");
  for (const { path, kind, executable, content: bytes } of content.entries) {
    add(path, kind, executable ? "x" : "-", bytes);
  }
  return hash.digest("hex");
}

/** The tag by which an image of this content is found again, here and in its registry. */
export function buildContentTag(contentHash: string): string {
  return `fy-${contentHash.slice(0, TAG_DIGITS)}`;
}
