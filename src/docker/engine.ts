import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import "./defer-modules.ts";
import Docker from "dockerode";
import { TransientError, UserError } from "../shared/errors.ts";
import { type EngineAddress, type EngineSettings, listEngineAddresses } from "./engine-address.ts";
import { connectionCode, engineStatus, engineText } from "./errors.ts";

const PROBE_TIMEOUT_MS = 5000; // an engine on a loaded host answers /version in well under a second
const PING_TIMEOUT_MS = 10_000;

/** A Docker engine that answered. */
export interface Engine {
  docker: Docker;
  /** `unix:///var/run/docker.sock` or the like. */
  url: string;
  version: string;
  /** Operating system of the containers' host, `linux` or `windows`. */
  os: string;
  /** Of the containers' host, as Go names it: `amd64`, `arm64`. */
  architecture: string;
  /** Podman speaks Docker's API but has no BuildKit behind it. */
  isPodman: boolean;
  /** Where registry credentials are read from (`config.json`). */
  configDir: string;
}

/**
 * Finds a Docker engine that answers. Throws DOCKER_UNREACHABLE naming every address that was tried, why it did not
 * answer and what to do: a UserError, as nothing starts by itself; the worker's loop retries it all the same.
 */
export async function findEngine(settings: EngineSettings): Promise<Engine> {
  const failures: string[] = [];
  let hint: string | undefined;
  for (const address of await listEngineAddresses(settings)) {
    const answer = await probeEngine(address, settings);
    if (!("reason" in answer)) {
      return answer;
    }
    failures.push(`  ${address.url || address.source} (${address.source}): ${answer.reason}`);
    // A refused permission says more than a missing socket: somebody's engine is there.
    hint = answer.refused || hint === undefined ? answer.hint : hint;
  }
  throw new UserError("DOCKER_UNREACHABLE", `No Docker engine answered. Tried:\n${failures.join("\n")}`, {
    hint: hint ?? START_HINT,
  });
}

const START_HINT =
  "Start Docker (`sudo systemctl start docker`, or Docker Desktop), or set DOCKER_HOST to where the engine listens.";
const PERMISSION_HINT =
  "Add this user to the group that owns the socket (`sudo usermod -aG docker $USER`, then log in again), or run as a user that may use it.";

interface ProbeFailure {
  reason: string;
  hint: string;
  refused: boolean;
}

async function probeEngine(address: EngineAddress, settings: EngineSettings): Promise<Engine | ProbeFailure> {
  try {
    const options = dockerOptions(address, settings);
    const version = await new Docker({ ...options, timeout: PROBE_TIMEOUT_MS }).version();
    return {
      docker: new Docker(options),
      url: address.url,
      version: version.Version,
      os: version.Os,
      architecture: version.Arch,
      isPodman: (version.Components ?? []).some((component) => component.Name.includes("Podman")),
      configDir: settings.configDir,
    };
  } catch (error) {
    return explainProbe(error);
  }
}

function explainProbe(error: unknown): ProbeFailure {
  if (engineStatus(error) !== undefined) {
    return { reason: `answered "${engineText(error)}"`, hint: START_HINT, refused: true };
  }
  switch (connectionCode(error)) {
    case "ENOENT":
      return {
        reason: "there is no such socket; Docker is not running or not installed",
        hint: START_HINT,
        refused: false,
      };
    case "ECONNREFUSED":
      return { reason: "nothing listens there; the engine is not running", hint: START_HINT, refused: false };
    case "EACCES":
    case "EPERM":
      return { reason: "permission refused; this user may not use the socket", hint: PERMISSION_HINT, refused: true };
    case "ECONNRESET":
      return { reason: `no answer within ${PROBE_TIMEOUT_MS / 1000} s`, hint: START_HINT, refused: true };
    default:
      return { reason: engineText(error), hint: START_HINT, refused: false };
  }
}

/**
 * dockerode fills what is left out here from its own reading of DOCKER_HOST, and an inherited `host` makes it ignore
 * `socketPath`: hence every key is set.
 */
function dockerOptions(address: EngineAddress, settings: EngineSettings): Docker.DockerOptions {
  const nothing = { host: undefined, port: undefined, ca: undefined, cert: undefined, key: undefined };
  const socketPath = /^(?:unix|npipe):\/\/(.+)$/.exec(address.url)?.[1];
  if (socketPath !== undefined) {
    return { ...nothing, socketPath, protocol: "http" };
  }
  const url = parseUrl(address);
  if (url.protocol === "ssh:") {
    return {
      ...nothing,
      protocol: "ssh",
      host: url.hostname,
      port: url.port === "" ? 22 : Number(url.port),
      ...(url.username === "" ? {} : { username: decodeURIComponent(url.username) }),
      ...(settings.sshAgentSocket === undefined ? {} : { sshOptions: { agent: settings.sshAgentSocket } }),
    };
  }
  const tls = loadTls(address.certDir);
  return {
    ...nothing,
    ...tls,
    protocol: tls === undefined && url.protocol !== "https:" ? "http" : "https",
    host: url.hostname,
    port: Number(url.port || (tls === undefined ? 2375 : 2376)),
  };
}

function parseUrl(address: EngineAddress): URL {
  const url = URL.canParse(address.url) ? new URL(address.url) : undefined;
  if (url === undefined || !["tcp:", "http:", "https:", "ssh:"].includes(url.protocol) || url.hostname === "") {
    throw new Error(
      address.url === ""
        ? "this context is not known here (`docker context ls` lists them)"
        : "is no address of an engine; expected unix:///path, tcp://host:port, npipe://… or ssh://user@host",
    );
  }
  return url;
}

function loadTls(certDir: string | undefined): { ca: Buffer; cert: Buffer; key: Buffer } | undefined {
  if (certDir === undefined || !existsSync(join(certDir, "ca.pem"))) {
    return undefined;
  }
  const load = (name: string) => readFileSync(join(certDir, name));
  return { ca: load("ca.pem"), cert: load("cert.pem"), key: load("key.pem") };
}

/** Throws TransientError DOCKER_UNREACHABLE when the engine does not answer, hung ones included. */
export async function checkEngine(engine: Engine): Promise<void> {
  try {
    await answerWithin(PING_TIMEOUT_MS, engine.docker.ping());
  } catch (error) {
    throw engineLost(engine, error);
  }
}

/** For what dockerode cannot give up by itself. An answer that does not come in time is an engine that is gone. */
export async function answerWithin<T>(timeoutMs: number, asked: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const reason = Object.assign(new Error(`no answer within ${timeoutMs / 1000} s`), { code: "ETIMEDOUT" });
  const timer = setTimeout(() => late.reject(reason), timeoutMs);
  try {
    return await Promise.race([asked, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Where the engine keeps its images, on its own machine. Throws TransientError DOCKER_UNREACHABLE. */
export async function findDataFolder(engine: Engine): Promise<string | undefined> {
  try {
    const info: { DockerRootDir?: string } = await engine.docker.info();
    return info.DockerRootDir;
  } catch (error) {
    throw engineLost(engine, error);
  }
}

/** The error for an engine that was there and is not any more (restarting, crashed): worth trying again. */
export function engineLost(engine: Pick<Engine, "url">, cause: unknown): TransientError {
  return new TransientError(
    "DOCKER_UNREACHABLE",
    `The Docker engine at ${engine.url} does not answer: ${engineText(cause)}`,
    { cause },
  );
}
