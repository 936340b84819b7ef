import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { errorMessage, UserError } from "../shared/errors.ts";

/** What a registry asks for. Never logged. */
export interface RegistryCredentials {
  username?: string;
  password?: string;
  identitytoken?: string;
  serveraddress: string;
}

const DOCKER_HUB = "https://index.docker.io/v1/";
const HELPER_TIMEOUT_MS = 20_000; // a helper may ask a cloud for a token

const DockerConfig = z.object({
  auths: z
    .record(
      z.string(),
      z.object({
        auth: z.string().optional(),
        username: z.string().optional(),
        password: z.string().optional(),
        identitytoken: z.string().optional(),
      }),
    )
    .default({}),
  credHelpers: z.record(z.string(), z.string()).default({}),
  credsStore: z.string().optional(),
});
type DockerConfig = z.infer<typeof DockerConfig>;

const HelperAnswer = z.object({ Username: z.string(), Secret: z.string() });

/** Whether the part of a reference before its first slash is a registry and not a Docker Hub namespace. */
function isRegistryHost(text: string): boolean {
  return text.includes(".") || text.includes(":") || text === "localhost";
}

/** The registry that an image reference names: `ghcr.io/x/y:1` → `ghcr.io`, `x/y` → Docker Hub's address. */
export function findRegistry(image: string): string {
  const [first = "", ...rest] = image.split("/");
  const host = rest.length > 0 && isRegistryHost(first) ? first : "docker.io";
  return host === "docker.io" || host === "index.docker.io" ? DOCKER_HUB : host;
}

/**
 * The credentials that `docker login` stored for the image's registry: a helper named for it, then the store of all,
 * then `auths`, as Docker's CLI looks. Undefined when there are none.
 * Throws CONFIG_INVALID when `config.json` or a helper's answer cannot be read.
 */
export async function findRegistryCredentials(
  configDir: string,
  image: string,
): Promise<RegistryCredentials | undefined> {
  const registry = findRegistry(image);
  const config = await loadDockerConfig(join(configDir, "config.json"));
  const helper = config.credHelpers[registry] ?? config.credHelpers[hostOf(registry)] ?? config.credsStore;
  const fromHelper = helper === undefined ? undefined : await askHelper(helper, registry);
  return fromHelper ?? findStoredAuth(config, registry);
}

function hostOf(address: string): string {
  return address.replace(/^https?:\/\//, "").split("/")[0] ?? address;
}

async function loadDockerConfig(path: string): Promise<DockerConfig> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch {
    return DockerConfig.parse({});
  }
  try {
    return DockerConfig.parse(JSON.parse(text));
  } catch (cause) {
    throw new UserError("CONFIG_INVALID", `${path} is not a Docker configuration: ${errorMessage(cause)}`, {
      hint: "Run `docker login` again, or correct the file.",
      cause,
    });
  }
}

function findStoredAuth(config: DockerConfig, registry: string): RegistryCredentials | undefined {
  const found = Object.entries(config.auths).find(([address]) => hostOf(address) === hostOf(registry))?.[1];
  if (found === undefined) {
    return undefined;
  }
  const decoded = found.auth === undefined ? undefined : Buffer.from(found.auth, "base64").toString();
  const separator = decoded?.indexOf(":") ?? -1;
  const username = found.username ?? (separator > 0 ? decoded?.slice(0, separator) : undefined);
  const password = found.password ?? (separator > 0 ? decoded?.slice(separator + 1) : undefined);
  if (username === undefined && found.identitytoken === undefined) {
    return undefined; // Docker leaves an empty entry behind where a helper holds the secret
  }
  return {
    serveraddress: registry,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(found.identitytoken === undefined ? {} : { identitytoken: found.identitytoken }),
  };
}

/** Runs `docker-credential-<helper> get`. Its "no credentials" answer is exit 1 with that text on stdout. */
async function askHelper(helper: string, registry: string): Promise<RegistryCredentials | undefined> {
  const program = `docker-credential-${helper}`;
  const answer = await new Promise<{ output: string; error: Error | null }>((resolve) => {
    const child = execFile(program, ["get"], { timeout: HELPER_TIMEOUT_MS }, (error, stdout) =>
      resolve({ output: stdout, error }),
    );
    child.stdin?.on("error", () => undefined); // a helper that is missing closes its input: the callback tells
    child.stdin?.end(registry);
  });
  if (answer.error !== null && /credentials not found/i.test(answer.output)) {
    return undefined;
  }
  if (answer.error !== null) {
    throw new UserError("CONFIG_INVALID", `${program} gave no credentials for ${registry}: ${answer.error.message}`, {
      hint: "Docker's config.json names this helper: install it and see that it runs, or remove it from the file.",
      cause: answer.error,
    });
  }
  const { Username, Secret } = HelperAnswer.parse(JSON.parse(answer.output));
  return Username === "<token>"
    ? { serveraddress: registry, identitytoken: Secret }
    : { serveraddress: registry, username: Username, password: Secret };
}
