import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { lstat, readdir, readFile, readlink } from "node:fs/promises";
import { join, relative, resolve, sep } from "node:path";
import { Readable } from "node:stream";
import dockerignore from "@balena/dockerignore";
import { pack } from "tar-fs";
import { errorMessage, UserError } from "../shared/errors.ts";

interface PackedContext {
  /** The tar stream to send. */
  stream: Readable;
  /** The Dockerfile's name inside the tar. */
  dockerfile: string;
  dockerfileText: string;
}

/** A file's path, relative to the context or absolute (it may lie outside), or the text of one that is no file. */
export type Dockerfile = string | { text: string };

interface IgnoreRules {
  /** Whether a path relative to the context is sent. */
  keeps: (path: string) => boolean;
  /** A `!pattern` may bring back something below an ignored folder, so such folders are walked too. */
  hasExceptions: boolean;
}

/** What is sent of a folder. */
interface OpenContext {
  contextDir: string;
  dockerfileText: string;
  /** The Dockerfile's name inside the tar. */
  dockerfile: string;
  /** Relative to the context, with `/`. */
  kept: Set<string>;
}

/** Of one path of a context: all that reaches the image of it. */
export interface ContextEntry {
  /** Relative to the context, with `/`. */
  path: string;
  kind: "file" | "folder" | "link";
  executable: boolean;
  /** sha256 of a file's bytes, a link's target, empty for a folder. */
  content: string;
}

/**
 * Packs the files that Docker would send: everything below `contextDir` but what `<Dockerfile>.dockerignore` or else
 * `.dockerignore` leaves out. The Dockerfile goes along even when it is ignored or lies outside.
 * dockerode's own packing tests absolute paths against the patterns and so ships ignored folders.
 * Throws IMAGE_BUILD_FAILED when the folder or the Dockerfile cannot be read.
 */
export async function packBuildContext(folder: string, given: Dockerfile): Promise<PackedContext> {
  const { contextDir, dockerfileText, dockerfile, kept } = await openContext(folder, given);
  const tar = pack(contextDir, {
    ...PACK_OPTIONS,
    ignore: (path) => path !== contextDir && !kept.has(toPosix(relative(contextDir, path))),
    finalize: false,
    finish: (unfinished) => {
      if (!kept.has(dockerfile)) {
        unfinished.entry({ name: dockerfile }, dockerfileText);
      }
      unfinished.finalize();
    },
  });
  return { stream: Readable.from(tar, { objectMode: false }), dockerfile, dockerfileText };
}

/**
 * What `packBuildContext` would send, told without sending it: sorted by path, and without times, owners and the bits
 * of the mode that differ from one checkout to the next.
 */
export async function listBuildContext(
  folder: string,
  given: Dockerfile,
): Promise<{ dockerfileText: string; entries: ContextEntry[] }> {
  const { contextDir, dockerfileText, kept } = await openContext(folder, given);
  const entries: ContextEntry[] = [];
  for (const path of [...kept].sort()) {
    const entry = await describeEntry(join(contextDir, path), path);
    entries.push(...(entry === undefined ? [] : [entry]));
  }
  return { dockerfileText, entries };
}

/** Undefined for sockets and the like, which are not sent. */
async function describeEntry(absolute: string, path: string): Promise<ContextEntry | undefined> {
  const found = await lstat(absolute);
  if (found.isSymbolicLink()) {
    return { path, kind: "link", executable: false, content: await readlink(absolute) };
  }
  if (found.isDirectory()) {
    return { path, kind: "folder", executable: false, content: "" };
  }
  if (!found.isFile()) {
    return undefined;
  }
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(absolute)) {
    hash.update(chunk);
  }
  return { path, kind: "file", executable: (found.mode & 0o100) !== 0, content: hash.digest("hex") };
}

const OUTSIDE_CONTEXT = ".dockerfile.outside-context";

async function openContext(folder: string, given: Dockerfile): Promise<OpenContext> {
  const contextDir = resolve(folder);
  const kept = new Set<string>();
  if (typeof given !== "string") {
    await walk(contextDir, "", await loadIgnoreRules(contextDir, undefined), kept);
    return { contextDir, dockerfileText: given.text, dockerfile: OUTSIDE_CONTEXT, kept };
  }
  const dockerfilePath = resolve(contextDir, given);
  const dockerfileText = await loadDockerfile(dockerfilePath);
  await walk(contextDir, "", await loadIgnoreRules(contextDir, dockerfilePath), kept);
  const inside = relative(contextDir, dockerfilePath);
  const isInside = !inside.startsWith("..") && resolve(contextDir, inside) === dockerfilePath;
  return { contextDir, dockerfileText, dockerfile: isInside ? toPosix(inside) : OUTSIDE_CONTEXT, kept };
}

/** Owner 0:0 and the file's own mode, as Docker's CLI sends them: the same files give the same layer everywhere. */
const PACK_OPTIONS = {
  umask: 0,
  strict: false,
  map: <H extends { uid: number; gid: number }>(header: H): H => ({ ...header, uid: 0, gid: 0 }),
};

function toPosix(path: string): string {
  return path.split(sep).join("/");
}

async function loadDockerfile(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new UserError("IMAGE_BUILD_FAILED", `The Dockerfile ${path} cannot be read: ${errorMessage(cause)}`, {
      hint: "Set the step's `dockerfile` to a file that exists, or to `auto` to have one made.",
      cause,
    });
  }
}

async function loadIgnoreRules(contextDir: string, dockerfilePath: string | undefined): Promise<IgnoreRules> {
  const own = dockerfilePath === undefined ? undefined : await readIfPresent(`${dockerfilePath}.dockerignore`);
  const text = own ?? (await readIfPresent(join(contextDir, ".dockerignore")));
  const patterns = (text ?? "")
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
  return {
    keeps: dockerignore.default({ ignorecase: false }).add(patterns).createFilter(),
    hasExceptions: patterns.some((pattern) => pattern.startsWith("!")),
  };
}

async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch {
    return undefined;
  }
}

/** Adds what is sent to `kept` and answers whether anything was: an ignored folder is sent when a file in it is. */
async function walk(contextDir: string, folder: string, rules: IgnoreRules, kept: Set<string>): Promise<boolean> {
  let found = false;
  for (const entry of await listFolder(join(contextDir, folder))) {
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
    const keep = rules.keeps(path);
    const keepBelow =
      entry.isDirectory() && (keep || rules.hasExceptions) && (await walk(contextDir, path, rules, kept));
    if (keep || keepBelow) {
      kept.add(path);
      found = true;
    }
  }
  return found;
}

async function listFolder(path: string) {
  try {
    return await readdir(path, { withFileTypes: true });
  } catch (cause) {
    throw new UserError("IMAGE_BUILD_FAILED", `The build context cannot be read: ${errorMessage(cause)}`, {
      hint: "The step's `path` names the folder that is sent to the engine.",
      cause,
    });
  }
}
