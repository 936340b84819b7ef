import { createHash } from "node:crypto";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { installPackages } from "./apt.ts";
import { caBundle } from "./config.ts";
import { PartMissing } from "./part.ts";
import { PREFECT_VERSION, UV_OVERRIDES } from "./python.ts";
import { runCommand } from "./run-command.ts";

const TAG = `prefecthq/prefect:${PREFECT_VERSION}-python3.11`;
const RECIPE_LABEL = "io.flowyard.base-image";
const RECIPE_DIRECTORY = join(import.meta.dirname, "base-image");
const SUITE = "bookworm"; // Debian 12: its Python is the 3.11 of the tag
// docker import keeps no history, so everything that is not needed goes before it.
const NEEDLESS = ["var/lib/apt/lists", "var/cache/apt", "usr/share/doc", "usr/share/man", "usr/share/locale"];

/** The image that flows are built on: the official one when a hub answers, else one made here under the same tag. */
export async function setUpBaseImage(host: string) {
  const docker = (args: string[]) => runCommand("docker", ["--host", host, ...args]);
  const recipe = await hashRecipe();
  const inspected = await docker([
    ...["image", "inspect", "--format"],
    `{{index .Config.Labels "${RECIPE_LABEL}"}}`,
    TAG,
  ]);
  const isOfficial = inspected.code === 0 && inspected.stdout === "";
  if (isOfficial || (inspected.code === 0 && inspected.stdout === recipe)) {
    return { part: { tag: TAG }, found: `${TAG}${isOfficial ? "" : " (made here)"}` };
  }
  if (inspected.code !== 0 && (await docker(["pull", "--quiet", TAG])).code === 0) {
    return { part: { tag: TAG }, found: `${TAG}, pulled` };
  }
  await makeImage(docker, recipe);
  return { part: { tag: TAG }, found: `${TAG}, made here because no hub answers` };
}

async function hashRecipe(): Promise<string> {
  const hash = createHash("sha256").update(SUITE).update(UV_OVERRIDES).update(NEEDLESS.join());
  for (const name of ["Dockerfile", "entrypoint.sh"]) {
    hash.update(await readFile(join(RECIPE_DIRECTORY, name)));
  }
  return hash.digest("hex").slice(0, 12);
}

type Docker = (args: string[]) => ReturnType<typeof runCommand>;

async function makeImage(docker: Docker, recipe: string): Promise<void> {
  if (process.getuid?.() !== 0) {
    throw new PartMissing(`${TAG} is not here, no hub answers, and making it needs root`, `docker pull ${TAG}`);
  }
  if ((await runCommand("debootstrap", ["--version"])).code !== 0) {
    await installPackages(["debootstrap"], "debootstrap");
  }
  const directory = await mkdtemp(join(tmpdir(), "flowyard-base-image-"));
  const rootfsTag = `flowyard-rootfs:${recipe}`;
  try {
    const steps = [
      () => makeRootfs(directory),
      () => runCommand("sh", ["-c", 'tar -C "$1" -c . >"$1.tar"', "sh", join(directory, "rootfs")]),
      () => docker(["import", join(directory, "rootfs.tar"), rootfsTag]),
      () => buildOnRootfs(docker, directory, rootfsTag, recipe),
    ];
    for (const step of steps) {
      const result = await step();
      if (result.code !== 0) {
        throw new PartMissing(`${TAG} cannot be made here:\n${result.tail}`, `docker pull ${TAG}, where a hub answers`);
      }
    }
    // Only the name goes: the layer stays as part of the image made from it.
    await docker(["image", "rm", "--no-prune", rootfsTag]);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function makeRootfs(directory: string) {
  const rootfs = join(directory, "rootfs");
  const include = "--include=python3-venv,ca-certificates,tini";
  const result = await runCommand("debootstrap", ["--variant=minbase", include, SUITE, rootfs]);
  for (const path of NEEDLESS) {
    await rm(join(rootfs, path), { recursive: true, force: true });
  }
  return result;
}

async function buildOnRootfs(docker: Docker, directory: string, rootfsTag: string, recipe: string) {
  const context = join(directory, "context");
  await runCommand("cp", ["-r", RECIPE_DIRECTORY, context]);
  await copyFile(caBundle, join(context, "ca-certificates.crt"));
  await writeFile(join(context, "overrides.txt"), UV_OVERRIDES);
  return docker([
    ...["build", "--network", "host", "--tag", TAG, "--label", `${RECIPE_LABEL}=${recipe}`],
    ...["--build-arg", `ROOTFS=${rootfsTag}`, "--build-arg", `PREFECT_VERSION=${PREFECT_VERSION}`, context],
  ]);
}
