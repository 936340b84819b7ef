import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { UserError } from "../shared/errors.ts";
import type { Step } from "./step.ts";

const Entries = z.record(z.string(), z.unknown());
const DockerConfig = z.looseObject({ auths: Entries.default({}), credHelpers: Entries.default({}) });

/**
 * Runs the work with a Docker configuration that holds the inputs' registry credentials beside those that are there,
 * for this step only: the machine's own configuration is not written to. Throws UserError INPUT_INVALID.
 */
export async function withRegistryLogin<T>(step: Step, work: (step: Step) => Promise<T>): Promise<T> {
  const { registry, "registry-username": username, "registry-password": password } = step.inputs;
  if (username === undefined && password === undefined) {
    return work(step);
  }
  if (registry === undefined || username === undefined || password === undefined) {
    throw new UserError("INPUT_INVALID", "registry, registry-username and registry-password belong together.", {
      hint: "Give all three, or log in with docker/login-action in a step before.",
    });
  }
  const own = step.environment["DOCKER_CONFIG"] ?? join(step.environment["HOME"] ?? homedir(), ".docker");
  const folder = await mkdtemp(join(step.config.RUNNER_TEMP ?? tmpdir(), "flowyard-docker-"));
  try {
    const auth = Buffer.from(`${username}:${password}`, "utf8").toString("base64");
    step.runner.mask(auth);
    await copyDockerConfig(own, folder, registry, auth);
    return await work({ ...step, environment: { ...step.environment, DOCKER_CONFIG: folder } });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Contexts and plugins stay where they are: buildx is one of them. */
async function copyDockerConfig(from: string, to: string, registry: string, auth: string): Promise<void> {
  for (const name of await readdir(from).catch(() => [])) {
    if (name !== "config.json") {
      await symlink(join(from, name), join(to, name));
    }
  }
  const text = await readFile(join(from, "config.json"), "utf8").catch(() => "{}");
  const config = DockerConfig.parse(parseConfig(text));
  const { [registry]: _helper, ...credHelpers } = config.credHelpers;
  const merged = { ...config, credHelpers, auths: { ...config.auths, [registry]: { auth } } };
  await writeFile(join(to, "config.json"), JSON.stringify(merged), { mode: 0o600 });
}

function parseConfig(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new UserError("CONFIG_INVALID", "Docker's config.json is not JSON.", { cause, hint: "Log in again." });
  }
}
