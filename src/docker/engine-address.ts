import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { z } from "zod";

/** Where to look for a Docker engine: what the environment says, as Docker's own CLI reads it. */
export interface EngineSettings {
  dockerHost: string | undefined;
  dockerContext: string | undefined;
  /** Folder of `config.json` and of the contexts. */
  configDir: string;
  verifyTls: boolean;
  certDir: string | undefined;
  runtimeDir: string | undefined;
  homeDir: string;
  sshAgentSocket: string | undefined;
}

/** One place where an engine may answer. */
export interface EngineAddress {
  /** `unix:///var/run/docker.sock`, `tcp://host:2376`, `npipe://…`, `ssh://user@host` */
  url: string;
  /** Who named it, for messages: `DOCKER_HOST`, `docker context "x"`, `usual socket`. */
  source: string;
  certDir?: string;
}

/** An empty value is as good as none, as Docker's CLI takes it. */
const Setting = z
  .string()
  .optional()
  .transform((text) => text || undefined);
const DockerEnvironment = z.object({
  HOME: Setting,
  DOCKER_HOST: Setting,
  DOCKER_CONTEXT: Setting,
  DOCKER_CONFIG: Setting,
  DOCKER_TLS_VERIFY: Setting,
  DOCKER_CERT_PATH: Setting,
  XDG_RUNTIME_DIR: Setting,
  SSH_AUTH_SOCK: Setting,
});

/** Reads Docker's own variables out of a process's environment. */
export function readEngineSettings(environment: Record<string, string | undefined>): EngineSettings {
  const variables = DockerEnvironment.parse(environment);
  const homeDir = variables.HOME ?? homedir();
  return {
    dockerHost: variables.DOCKER_HOST,
    dockerContext: variables.DOCKER_CONTEXT,
    configDir: variables.DOCKER_CONFIG ?? join(homeDir, ".docker"),
    verifyTls: variables.DOCKER_TLS_VERIFY !== undefined,
    certDir: variables.DOCKER_CERT_PATH,
    runtimeDir: variables.XDG_RUNTIME_DIR,
    homeDir,
    sshAgentSocket: variables.SSH_AUTH_SOCK,
  };
}

const ContextMeta = z.object({ Endpoints: z.object({ docker: z.object({ Host: z.string() }) }) });
const CurrentContext = z.object({ currentContext: z.string().optional() });

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, "utf8"));
  } catch {
    // A missing or broken file of Docker's is no reason to fail: the usual sockets are still to be tried.
    return undefined;
  }
}

async function findContextAddress(settings: EngineSettings, name: string): Promise<EngineAddress | undefined> {
  const folder = createHash("sha256").update(name).digest("hex");
  const meta = ContextMeta.safeParse(await readJson(join(settings.configDir, "contexts", "meta", folder, "meta.json")));
  return meta.success
    ? {
        url: meta.data.Endpoints.docker.Host,
        source: `docker context "${name}"`,
        certDir: join(settings.configDir, "contexts", "tls", folder, "docker"),
      }
    : undefined;
}

function listUsualAddresses(settings: EngineSettings): EngineAddress[] {
  if (process.platform === "win32") {
    return [{ url: "npipe:////./pipe/docker_engine", source: "usual pipe" }];
  }
  const { homeDir, runtimeDir } = settings;
  const sockets = [
    "/var/run/docker.sock",
    ...(runtimeDir === undefined ? [] : [join(runtimeDir, "docker.sock")]),
    join(homeDir, ".docker/run/docker.sock"),
    join(homeDir, ".docker/desktop/docker.sock"),
    join(homeDir, ".orbstack/run/docker.sock"),
    join(homeDir, ".colima/default/docker.sock"),
    join(homeDir, ".rd/docker.sock"),
    ...(runtimeDir === undefined ? [] : [join(runtimeDir, "podman/podman.sock")]),
    "/run/podman/podman.sock",
  ];
  return sockets.map((path) => ({ url: `unix://${path}`, source: "usual socket" }));
}

/**
 * The addresses to try, in order. What the user chose (DOCKER_HOST, a context) is the only one then, as with Docker's
 * own CLI: starting containers on another engine than the one that was named would be worse than an error.
 */
export async function listEngineAddresses(settings: EngineSettings): Promise<EngineAddress[]> {
  if (settings.dockerHost !== undefined) {
    const tls = settings.verifyTls || settings.certDir !== undefined;
    return [
      {
        url: settings.dockerHost.includes("://") ? settings.dockerHost : `tcp://${settings.dockerHost}`,
        source: "DOCKER_HOST",
        ...(tls ? { certDir: settings.certDir ?? settings.configDir } : {}),
      },
    ];
  }
  const config = CurrentContext.safeParse(await readJson(join(settings.configDir, "config.json")));
  const name = settings.dockerContext ?? (config.success ? config.data.currentContext : undefined);
  if (name !== undefined && name !== "default") {
    const address = await findContextAddress(settings, name);
    return [address ?? { url: "", source: `docker context "${name}"` }];
  }
  return listUsualAddresses(settings);
}
