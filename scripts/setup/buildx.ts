import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { cacheDirectory } from "./config.ts";
import { PartMissing } from "./part.ts";
import { runCommand } from "./run-command.ts";

const BUILDX_VERSION = "0.29.1";
const MODULE = "github.com/docker/buildx";
const BUILD_TIMEOUT_MS = 1_200_000; // four minutes seen on two cores, its download included

const Plugins = z.array(z.object({ Name: z.string(), Path: z.string() })).nullable();
const Module = z.object({ Dir: z.string() });

/** Docker's buildx: the one that the machine has, or one built from source, once for all checkouts. */
export async function setUpBuildx() {
  const installed = await findPlugin();
  if (installed !== undefined) {
    return describe(installed, "");
  }
  const own = join(cacheDirectory, "buildx", BUILDX_VERSION, "docker-buildx");
  if ((await askVersion(own)) !== undefined) {
    return describe(own, "");
  }
  await build(own);
  return describe(own, ", built");
}

async function describe(plugin: string, how: string) {
  const version = (await askVersion(plugin)) ?? BUILDX_VERSION;
  return { part: { plugin, version }, found: `${version} at ${plugin}${how}` };
}

async function findPlugin(): Promise<string | undefined> {
  const format = "{{json .ClientInfo.Plugins}}";
  const asked = await runCommand("docker", ["info", "--format", format], { timeoutMs: 10_000 });
  const plugins = asked.code === 0 ? Plugins.safeParse(parseJson(asked.stdout)) : undefined;
  return plugins?.data?.find(({ Name }) => Name === "buildx")?.Path;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function askVersion(plugin: string): Promise<string | undefined> {
  const asked = await runCommand(plugin, ["version"]);
  return asked.code === 0 ? /v\d+\.\d+\.\d+\S*/.exec(asked.stdout)?.[0] : undefined;
}

/** Its go.mod has `exclude` lines, which `go install` refuses: it is built where its source is. */
async function build(target: string): Promise<void> {
  const remedy = "install Go, or the buildx plugin of Docker's CLI";
  const source = `${MODULE}@v${BUILDX_VERSION}`;
  const download = await runCommand("go", ["mod", "download", "-json", source]);
  if (download.code !== 0) {
    throw new PartMissing(`go mod download ${source} fails:\n${download.tail}`, remedy);
  }
  const { Dir: cwd } = Module.parse(JSON.parse(download.stdout));
  const folder = join(target, "..");
  await mkdir(folder, { recursive: true });
  const unfinished = `${target}.${process.pid}`;
  const flags = `-s -w -X ${MODULE}/version.Version=v${BUILDX_VERSION}`;
  // The other parts come first: what this one costs is time, and theirs is what most tests wait for.
  const made = await runCommand(
    "nice",
    ["-n", "15", "go", "build", "-ldflags", flags, "-o", unfinished, "./cmd/buildx"],
    {
      cwd,
      env: { GOFLAGS: "-trimpath -mod=readonly -buildvcs=false", CGO_ENABLED: "0" },
      timeoutMs: BUILD_TIMEOUT_MS,
    },
  );
  if (made.code !== 0) {
    await rm(unfinished, { force: true });
    throw new PartMissing(`buildx ${BUILDX_VERSION} cannot be built:\n${made.tail}`, remedy);
  }
  await rename(unfinished, target);
}
