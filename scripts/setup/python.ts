import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { installPackages } from "./apt.ts";
import { cacheDirectory } from "./config.ts";
import { PartMissing } from "./part.ts";
import { runCommand } from "./run-command.ts";

/** Prefect as its users have it now: client, worker, engine and server. */
export const PREFECT_VERSION = "3.9.1";
/** The oldest release that the plane supports, as a client. */
const OLDEST_PREFECT_VERSION = "3.8.8";
const PREFECT_DOCKER = "prefect-docker==0.7.4"; // works with both: `prefect deploy` needs it to build an image
/** Prefect 3.9 asks for a certifi that not every index has yet; any recent one works. */
export const UV_OVERRIDES = "certifi>=2024\n";
const PYTHON_VERSION = "3.11";

export function setUpPrefect() {
  return ensureVenv(PREFECT_VERSION, [`prefect==${PREFECT_VERSION}`, PREFECT_DOCKER]);
}

export function setUpOldestPrefect() {
  return ensureVenv(OLDEST_PREFECT_VERSION, [`prefect==${OLDEST_PREFECT_VERSION}`, PREFECT_DOCKER]);
}

/** A virtual environment with the requirements; the stamp is written last, so half a venv is made anew. */
async function ensureVenv(version: string, requirements: string[]) {
  const directory = join(cacheDirectory, "python", `prefect-${version}`);
  const stampFile = join(directory, "flowyard.stamp");
  const stamp = [PYTHON_VERSION, ...requirements].join("\n");
  const part = {
    version,
    venv: directory,
    prefect: join(directory, "bin/prefect"),
    python: join(directory, "bin/python"),
  };
  const isMade = (await readFile(stampFile, "utf8").catch(() => "")) === stamp;
  // The interpreter that the venv points to may have been removed or upgraded since.
  if (isMade && (await runCommand(part.python, ["-c", ""])).code === 0) {
    return { part, found: `prefect ${version} in ${directory}` };
  }
  const uv = await ensureUv();
  await rm(directory, { recursive: true, force: true });
  await mkdir(join(cacheDirectory, "python"), { recursive: true });
  const overrides = join(cacheDirectory, "python", `overrides-${version}.txt`);
  await writeFile(overrides, UV_OVERRIDES);
  const venv = await runCommand(uv, ["venv", "--quiet", "--python", PYTHON_VERSION, directory]);
  if (venv.code !== 0) {
    throw new PartMissing(`uv finds no Python ${PYTHON_VERSION}:\n${venv.tail}`, `install Python ${PYTHON_VERSION}`);
  }
  const install = await runCommand(uv, [
    ...["pip", "install", "--quiet", "--compile-bytecode", "--python", part.python, "--override", overrides],
    ...requirements,
  ]);
  if (install.code !== 0) {
    throw new PartMissing(`${requirements.join(" ")} cannot be installed:\n${install.tail}`, "make PyPI reachable");
  }
  await writeFile(stampFile, stamp);
  return { part, found: `prefect ${version} in ${directory}, installed` };
}

let uv: Promise<string> | undefined;

export function ensureUv(): Promise<string> {
  uv ??= findUv();
  return uv;
}

async function findUv(): Promise<string> {
  const directory = join(cacheDirectory, "uv");
  const own = join(directory, "bin/uv");
  for (const candidate of ["uv", own]) {
    if ((await runCommand(candidate, ["--version"])).code === 0) {
      return candidate;
    }
  }
  const makeVenv = () => runCommand("python3", ["-m", "venv", "--clear", directory]);
  if ((await makeVenv()).code !== 0) {
    await installPackages(["python3", "python3-venv"], "Python 3 with venv");
    const again = await makeVenv();
    if (again.code !== 0) {
      throw new PartMissing(`python3 -m venv fails:\n${again.tail}`, "install Python 3 with venv, or uv");
    }
  }
  const install = await runCommand(join(directory, "bin/pip"), ["install", "--quiet", "uv"]);
  if (install.code !== 0) {
    throw new PartMissing(`uv cannot be installed:\n${install.tail}`, "install uv, or make PyPI reachable");
  }
  return own;
}
