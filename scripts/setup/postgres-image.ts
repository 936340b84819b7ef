import { createHash } from "node:crypto";
import { cp, mkdir, mkdtemp, readFile, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { PartMissing } from "./part.ts";
import type { Cluster } from "./postgres.ts";
import { type CommandResult, runCommand } from "./run-command.ts";

/** As compose.yaml names it. */
const OFFICIAL = "postgres:17-bookworm";
const RECIPE_DIRECTORY = join(import.meta.dirname, "postgres-image");
const SERVED = ["postgres", "initdb", "pg_isready", "psql", "pg_dump", "pg_dumpall", "pg_restore"];
const PULL_TIMEOUT_MS = 120_000;

interface Parts {
  host: string;
  baseImage: string;
  programs: Cluster["programs"];
}

/** PostgreSQL in a container: the official image when a hub answers, else one made here of this machine's programs. */
export async function setUpPostgresImage({ host, baseImage, programs }: Parts) {
  const docker = (args: string[], timeoutMs?: number) =>
    runCommand("docker", ["--host", host, ...args], timeoutMs === undefined ? {} : { timeoutMs });
  const has = async (tag: string) => (await docker(["image", "inspect", tag])).code === 0;
  const made = `flowyard-postgres:${await hashRecipe(docker, baseImage, programs)}`;
  for (const tag of [OFFICIAL, made]) {
    if (await has(tag)) {
      return { part: { tag }, found: tag };
    }
  }
  if ((await docker(["pull", "--quiet", OFFICIAL], PULL_TIMEOUT_MS)).code === 0) {
    return { part: { tag: OFFICIAL }, found: `${OFFICIAL}, pulled` };
  }
  const context = await mkdtemp(join(tmpdir(), "flowyard-postgres-image-"));
  try {
    await cp(RECIPE_DIRECTORY, context, { recursive: true });
    await copyPrograms(programs, join(context, "files"));
    const args = ["--build-arg", `BASE_IMAGE=${baseImage}`, "--build-arg", `PROGRAMS=${programs}`];
    const built = requireSuccess(await docker(["build", "--quiet", ...args, context]));
    requireSuccess(await docker(["run", "--rm", "--entrypoint", "postgres", built, "--version"]));
    requireSuccess(await docker(["tag", built, made]));
  } finally {
    await rm(context, { recursive: true, force: true });
  }
  return { part: { tag: made }, found: `${made}, made here because no hub answers` };
}

async function hashRecipe(docker: (args: string[]) => Promise<CommandResult>, baseImage: string, programs: string) {
  const base = await docker(["image", "inspect", "--format", "{{.Id}}", baseImage]);
  const version = await runCommand(join(programs, "postgres"), ["--version"]);
  const hash = createHash("sha256").update(base.stdout).update(programs).update(version.stdout).update(SERVED.join());
  for (const name of ["Dockerfile", "entrypoint.sh"]) {
    hash.update(await readFile(join(RECIPE_DIRECTORY, name)));
  }
  return hash.digest("hex").slice(0, 12);
}

/** With the libraries that they load, each under the path that it has here: the programs find the rest from there. */
async function copyPrograms(programs: string, target: string): Promise<void> {
  const home = dirname(programs);
  const shared = home.replace("/lib/", "/share/");
  const files = SERVED.map((name) => join(programs, name));
  const linked = await runCommand("ldd", files);
  const libraries = [...new Set(linked.stdout.match(/(?<==> )\/\S+/g) ?? [])];
  for (const path of [...files, join(home, "lib"), shared, ...libraries]) {
    // Where /lib is a link, a folder of that name would take the place of all libraries.
    const folder = join(target, await realpath(dirname(path)));
    await mkdir(folder, { recursive: true });
    requireSuccess(await runCommand("cp", ["--recursive", "--dereference", path, join(folder, basename(path))]));
  }
  // Only for compiling queries to machine code, and half of the size.
  await rm(join(target, home, "lib/bitcode"), { recursive: true, force: true });
}

function requireSuccess({ code, stdout, tail }: CommandResult): string {
  if (code !== 0) {
    throw new PartMissing(`a PostgreSQL image cannot be made here:\n${tail}`, `docker pull ${OFFICIAL}`);
  }
  return stdout;
}
