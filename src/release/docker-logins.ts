import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { UserError } from "../shared/errors.ts";

const Entries = z.record(z.string(), z.unknown());
const DockerConfig = z.looseObject({ auths: Entries.default({}), credHelpers: Entries.default({}) });

export interface DockerLogin {
  registry: string;
  username: string;
  password: string;
}

/**
 * Runs the work with the folder of a Docker configuration that holds these logins beside those that are in `own`. The
 * machine's own configuration is not written to, and the folder is gone afterwards. Throws UserError CONFIG_INVALID.
 */
export async function withDockerLogins<T>(
  { own, parent }: { own: string; parent: string },
  logins: readonly DockerLogin[],
  work: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(parent, "flowyard-docker-"));
  try {
    await copyDockerConfig(own, folder, logins);
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export function encodeLogin({ username, password }: DockerLogin): string {
  return Buffer.from(`${username}:${password}`, "utf8").toString("base64");
}

/** Contexts and plugins stay where they are: buildx is one of them. */
async function copyDockerConfig(from: string, to: string, logins: readonly DockerLogin[]): Promise<void> {
  for (const name of await readdir(from).catch(() => [])) {
    if (name !== "config.json") {
      await symlink(join(from, name), join(to, name));
    }
  }
  const text = await readFile(join(from, "config.json"), "utf8").catch(() => "{}");
  const config = DockerConfig.parse(parseConfig(text));
  const given = new Set(logins.map(({ registry }) => registry));
  const credHelpers = Object.fromEntries(
    Object.entries(config.credHelpers).filter(([registry]) => !given.has(registry)),
  );
  const auths = Object.fromEntries(logins.map((login) => [login.registry, { auth: encodeLogin(login) }]));
  const merged = { ...config, credHelpers, auths: { ...config.auths, ...auths } };
  await writeFile(join(to, "config.json"), JSON.stringify(merged), { mode: 0o600 });
}

function parseConfig(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new UserError("CONFIG_INVALID", "Docker's config.json is not JSON.", { cause, hint: "Log in again." });
  }
}
