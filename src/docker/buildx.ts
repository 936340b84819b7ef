import { execFile, spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { z } from "zod";
import { UserError } from "../shared/errors.ts";
import type { Dockerfile } from "./build-context.ts";
import { buildxError } from "./errors.ts";

/** What the engine's own API cannot do. Texts as `docker buildx build` takes them. */
export interface BuildxOptions {
  cacheFrom?: string[];
  cacheTo?: string[];
  provenance?: string;
  secrets?: string[];
  ssh?: string[];
}

interface BuildxRequest {
  contextDir: string;
  dockerfile: Dockerfile;
  tags: readonly string[];
  platforms: readonly string[];
  buildArgs: Record<string, string>;
  labels: Record<string, string>;
  target: string | undefined;
  noCache: boolean;
  pull: boolean;
  networkMode: string | undefined;
  options: BuildxOptions;
  /** Straight to the registry; otherwise into the engine, which takes one platform only. */
  push: boolean;
  /** Without it the CLI would look for another engine than ours. */
  engineUrl: string;
  env: Readonly<Record<string, string | undefined>>;
  onLine: (line: string) => void;
  signal: AbortSignal;
}

export function needsBuildx(platforms: readonly string[], options: BuildxOptions): boolean {
  return platforms.length > 1 || Object.values(options).some((value) => value !== undefined && value.length > 0);
}

const TAIL_LINES = 20; // enough for a Python traceback's end

/** What buildx writes beside its log. Its names for an image that went into the engine are no digests of a registry. */
const Metadata = z.object({ "containerimage.digest": z.string().optional() });

/**
 * Builds with Docker's CLI. Answers the digest that a pushed image has in its registry.
 * Throws BUILDX_MISSING, BUILDER_UNFIT, IMAGE_BUILD_FAILED.
 */
export async function buildWithBuildx(request: BuildxRequest): Promise<string | undefined> {
  await requireBuildx(request);
  const folder = await mkdtemp(join(tmpdir(), "flowyard-buildx-"));
  try {
    const metadataFile = join(folder, "metadata.json");
    await runBuildx(request, metadataFile);
    return request.push ? await readDigest(metadataFile) : undefined;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function readDigest(metadataFile: string): Promise<string | undefined> {
  const text = await readFile(metadataFile, "utf8").catch(() => "{}"); // older than the option
  return Metadata.parse(JSON.parse(text))["containerimage.digest"];
}

async function runBuildx(request: BuildxRequest, metadataFile: string): Promise<void> {
  const lastLines: string[] = [];
  const args = buildArguments(request, metadataFile);
  const child = spawn("docker", args, {
    env: { ...request.env, DOCKER_HOST: request.engineUrl },
    stdio: ["pipe", "pipe", "pipe"],
    signal: request.signal,
  });
  const read = async (stream: Readable) => {
    for await (const line of createInterface({ input: stream })) {
      request.onLine(line);
      lastLines.push(line);
      lastLines.splice(0, lastLines.length - TAIL_LINES);
    }
  };
  child.stdin.on("error", () => undefined); // a build that fails at once closes its input: the exit code tells
  Readable.from([typeof request.dockerfile === "string" ? "" : request.dockerfile.text]).pipe(child.stdin);
  const ended = new Promise<number | null>((end, reject) => {
    child.once("error", reject);
    child.once("close", end);
  });
  const [code] = await Promise.all([ended, read(child.stdout), read(child.stderr)]);
  if (code !== 0) {
    throw buildxError(request.tags[0] ?? "", lastLines, code);
  }
}

function requireBuildx({ env, signal }: BuildxRequest): Promise<void> {
  return new Promise((found, reject) => {
    execFile("docker", ["buildx", "version"], { env: { ...env }, signal }, (error) => {
      if (error === null) {
        found();
      } else if (signal.aborted) {
        reject(error);
      } else {
        reject(
          new UserError(
            "BUILDX_MISSING",
            "The build asks for several platforms, a cache, provenance, secrets or ssh, which only `docker buildx` can do, and this machine has none.",
            {
              hint: "Install the buildx plugin of Docker's CLI (in GitHub Actions: docker/setup-buildx-action), or leave those options out.",
              cause: error,
            },
          ),
        );
      }
    });
  });
}

function buildArguments(request: BuildxRequest, metadataFile: string): string[] {
  const { options } = request;
  const repeat = (flag: string, values: readonly string[] = []) => values.flatMap((value) => [flag, value]);
  const pairs = (values: Record<string, string>) => Object.entries(values).map(([key, value]) => `${key}=${value}`);
  return [
    "buildx",
    "build",
    "--progress=plain",
    `--metadata-file=${metadataFile}`,
    request.push ? "--push" : "--load",
    ...repeat("--tag", request.tags),
    ...(request.platforms.length === 0 ? [] : ["--platform", request.platforms.join(",")]),
    ...repeat("--build-arg", pairs(request.buildArgs)),
    ...repeat("--label", pairs(request.labels)),
    ...(request.target === undefined ? [] : ["--target", request.target]),
    ...(request.noCache ? ["--no-cache"] : []),
    ...(request.pull ? ["--pull"] : []),
    ...(request.networkMode === undefined ? [] : ["--network", request.networkMode]),
    ...repeat("--cache-from", options.cacheFrom),
    ...repeat("--cache-to", options.cacheTo),
    // Left alone, buildx attaches one to what it pushes: the same build would have another digest every time.
    `--provenance=${options.provenance ?? "false"}`,
    ...repeat("--secret", options.secrets),
    ...repeat("--ssh", options.ssh),
    "--file",
    typeof request.dockerfile === "string" ? resolve(request.contextDir, request.dockerfile) : "-",
    request.contextDir,
  ];
}
