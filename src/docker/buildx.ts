import { execFile, spawn } from "node:child_process";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { UserError } from "../shared/errors.ts";
import type { Dockerfile } from "./build-context.ts";

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

/** Builds with Docker's CLI. Throws BUILDX_MISSING, IMAGE_BUILD_FAILED. */
export async function buildWithBuildx(request: BuildxRequest): Promise<void> {
  await requireBuildx(request);
  const lastLines: string[] = [];
  const args = buildArguments(request);
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
    const failing = lastLines.findLast((line) => /\bERROR\b/i.test(line)) ?? `exit code ${code}`;
    const output = lastLines.map((line) => `    ${line}`).join("\n");
    throw new UserError("IMAGE_BUILD_FAILED", `Image "${request.tags[0]}" could not be built: ${failing}\n${output}`, {
      hint: "Correct the Dockerfile, what it copies, or the options of buildx, and build again.",
    });
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

function buildArguments(request: BuildxRequest): string[] {
  const { options } = request;
  const repeat = (flag: string, values: readonly string[] = []) => values.flatMap((value) => [flag, value]);
  const pairs = (values: Record<string, string>) => Object.entries(values).map(([key, value]) => `${key}=${value}`);
  return [
    "buildx",
    "build",
    "--progress=plain",
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
    ...(options.provenance === undefined ? [] : [`--provenance=${options.provenance}`]),
    ...repeat("--secret", options.secrets),
    ...repeat("--ssh", options.ssh),
    "--file",
    typeof request.dockerfile === "string" ? resolve(request.contextDir, request.dockerfile) : "-",
    request.contextDir,
  ];
}
