import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { cacheDirectory } from "./config.ts";
import { PartMissing } from "./part.ts";
import { runCommand } from "./run-command.ts";

interface PluginSource {
  /** As `docker NAME`. */
  name: string;
  module: string;
  version: string;
  /** The folder of its `main` package in the module. */
  program: string;
  /** The variable that `docker NAME version` prints. */
  versionVariable: string;
}

const BUILDX: PluginSource = {
  name: "buildx",
  module: "github.com/docker/buildx",
  version: "0.29.1",
  program: "./cmd/buildx",
  versionVariable: "github.com/docker/buildx/version.Version",
};
/** Speaks to the engine of Debian 12. Much of it is the buildx above: built after that one, it costs half. */
const COMPOSE: PluginSource = {
  name: "compose",
  module: "github.com/docker/compose/v2",
  version: "2.40.3",
  program: "./cmd",
  versionVariable: "github.com/docker/compose/v2/internal.Version",
};
const BUILD_TIMEOUT_MS = 1_200_000; // buildx: four minutes seen on two cores, its download included; compose: three more

const Plugins = z.array(z.object({ Name: z.string(), Path: z.string() })).nullable();
const Module = z.object({ Dir: z.string() });

export const setUpBuildx = () => setUpPlugin(BUILDX);
export const setUpCompose = () => setUpPlugin(COMPOSE);

/** A plugin of Docker's CLI: the one that the machine has, or one built from source, once for all checkouts. */
async function setUpPlugin(source: PluginSource) {
  const installed = await findPlugin(source);
  if (installed !== undefined) {
    return describe(source, installed, "");
  }
  const own = join(cacheDirectory, source.name, source.version, `docker-${source.name}`);
  if ((await askVersion(own)) !== undefined) {
    return describe(source, own, "");
  }
  await build(source, own);
  return describe(source, own, ", built");
}

async function describe(source: PluginSource, plugin: string, how: string) {
  const version = (await askVersion(plugin)) ?? source.version;
  return { part: { plugin, version }, found: `${version} at ${plugin}${how}` };
}

async function findPlugin({ name }: PluginSource): Promise<string | undefined> {
  const format = "{{json .ClientInfo.Plugins}}";
  const asked = await runCommand("docker", ["info", "--format", format], { timeoutMs: 10_000 });
  const plugins = asked.code === 0 ? Plugins.safeParse(parseJson(asked.stdout)) : undefined;
  return plugins?.data?.find(({ Name }) => Name === name)?.Path;
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
  return asked.code === 0 ? /v?\d+\.\d+\.\d+\S*/.exec(asked.stdout)?.[0] : undefined;
}

/** Their go.mod have `exclude` lines, which `go install` refuses: they are built where their source is. */
async function build({ name, module, version, program, versionVariable }: PluginSource, target: string) {
  const remedy = `install Go, or the ${name} plugin of Docker's CLI`;
  const source = `${module}@v${version}`;
  const download = await runCommand("go", ["mod", "download", "-json", source]);
  if (download.code !== 0) {
    throw new PartMissing(`go mod download ${source} fails:\n${download.tail}`, remedy);
  }
  const { Dir: cwd } = Module.parse(JSON.parse(download.stdout));
  const folder = join(target, "..");
  await mkdir(folder, { recursive: true });
  const unfinished = `${target}.${process.pid}`;
  const flags = `-s -w -X ${versionVariable}=v${version}`;
  // The other parts come first: what this one costs is time, and theirs is what most tests wait for.
  const made = await runCommand("nice", ["-n", "15", "go", "build", "-ldflags", flags, "-o", unfinished, program], {
    cwd,
    env: { GOFLAGS: "-trimpath -mod=readonly -buildvcs=false", CGO_ENABLED: "0" },
    timeoutMs: BUILD_TIMEOUT_MS,
  });
  if (made.code !== 0) {
    await rm(unfinished, { force: true });
    throw new PartMissing(`${name} ${version} cannot be built:\n${made.tail}`, remedy);
  }
  await rename(unfinished, target);
}
