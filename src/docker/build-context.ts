import { readdir, readFile } from "node:fs/promises";
import { join, relative, resolve, sep } from "node:path";
import { Readable } from "node:stream";
import dockerignore from "@balena/dockerignore";
import { pack } from "tar-fs";
import { errorMessage, UserError } from "../shared/errors.ts";

interface BuildContext {
  /** The tar stream to send. */
  stream: Readable;
  /** The Dockerfile's name inside the tar. */
  dockerfile: string;
  dockerfileText: string;
}

interface IgnoreRules {
  /** Whether a path relative to the context is sent. */
  keeps: (path: string) => boolean;
  /** A `!pattern` may bring back something below an ignored folder, so such folders are walked too. */
  hasExceptions: boolean;
}

/**
 * Packs the files that Docker would send: everything below `contextDir` but what `<Dockerfile>.dockerignore` or else
 * `.dockerignore` leaves out. The Dockerfile goes along even when it is ignored or lies outside.
 * dockerode's own packing tests absolute paths against the patterns and so ships ignored folders.
 * Throws IMAGE_BUILD_FAILED when the folder or the Dockerfile cannot be read.
 */
export async function packBuildContext(folder: string, dockerfile: string): Promise<BuildContext> {
  const contextDir = resolve(folder);
  const dockerfilePath = resolve(contextDir, dockerfile);
  const dockerfileText = await loadDockerfile(dockerfilePath);
  const kept = new Set<string>();
  await walk(contextDir, "", await loadIgnoreRules(contextDir, dockerfilePath), kept);
  const inside = relative(contextDir, dockerfilePath);
  const isInside = !inside.startsWith("..") && resolve(contextDir, inside) === dockerfilePath;
  const name = isInside ? toPosix(inside) : ".dockerfile.outside-context";
  const tar = pack(contextDir, {
    ...PACK_OPTIONS,
    ignore: (path) => path !== contextDir && !kept.has(toPosix(relative(contextDir, path))),
    finalize: false,
    finish: (unfinished) => {
      if (!kept.has(name)) {
        unfinished.entry({ name }, dockerfileText);
      }
      unfinished.finalize();
    },
  });
  return { stream: Readable.from(tar, { objectMode: false }), dockerfile: name, dockerfileText };
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

async function loadIgnoreRules(contextDir: string, dockerfilePath: string): Promise<IgnoreRules> {
  const text =
    (await readIfPresent(`${dockerfilePath}.dockerignore`)) ?? (await readIfPresent(join(contextDir, ".dockerignore")));
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
