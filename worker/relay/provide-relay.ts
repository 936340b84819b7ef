import { spawn } from "node:child_process";
import { mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import { sleep } from "../../src/shared/abort.ts";
import { TransientError } from "../../src/shared/errors.ts";
import type { Logger } from "../../src/shared/logger.ts";
import { relayLogPath } from "./bound-log.ts";
import { findRegistration, hashSettings } from "./registration.ts";
import { writeRelayLimits } from "./relay-limits.ts";
import type { RelaySettings } from "./start-relay.ts";

const START_MS = 15_000;
const STOP_MS = 3000;
const LOOK_MS = 50;
/** How often a worker looks whether its relay is there: well within what a container waits before it gives up. */
const WATCH_MS = 1000;

export interface RelayDependencies {
  settings: RelaySettings;
  /** What runs the CLI: a program and its first arguments. */
  program: readonly [string, ...string[]];
  /** The worker's. */
  environment: Readonly<Record<string, string>>;
  logger: Logger;
}

export interface RelayPlace {
  port: number;
  folder: string;
}

/**
 * The relay of this machine: found, or started as a process of its own that outlives this one. After a relay was killed
 * the new one has its port, which containers know. Throws TransientError RELAY_UNAVAILABLE.
 */
export async function provideRelay(dependencies: RelayDependencies): Promise<RelayPlace> {
  const { settings, logger } = dependencies;
  const known = await findRegistration(settings.folder);
  if (known?.isAlive === true && known.settings === hashSettings(settings)) {
    return { port: known.port, folder: settings.folder };
  }
  if (known?.isAlive === true) {
    logger.info({ pid: known.pid }, "The relay is for another plane or other settings: it is started anew");
    await stopRelay(settings.folder);
  }
  const port = known?.port ?? settings.port;
  await launch(dependencies, port);
  const started = await waitForRelay(settings);
  logger.info({ port: started.port, pid: started.pid }, "Relay started");
  return { port: started.port, folder: settings.folder };
}

/** Starts the relay again whenever it is gone, until the signal aborts. Logs what keeps it from that. */
export async function watchRelay(dependencies: RelayDependencies, signal: AbortSignal): Promise<void> {
  const { settings, logger } = dependencies;
  while (!signal.aborted) {
    await sleep(WATCH_MS, signal);
    if (signal.aborted || (await findRegistration(settings.folder))?.isAlive === true) {
      continue;
    }
    logger.warn({}, "The relay is gone; it is started again");
    try {
      await provideRelay(dependencies);
    } catch (error) {
      logger.error({ err: error }, "The relay could not be started");
    }
  }
}

/** Detached, with its log in the folder: the worker may go, and the containers keep their connection. */
async function launch(
  { settings, program: [program, ...args], environment }: RelayDependencies,
  port: number,
): Promise<void> {
  await mkdir(settings.folder, { recursive: true, mode: 0o700 });
  const log = await open(relayLogPath(settings.folder), "a", 0o600);
  try {
    const child = spawn(program, [...args, "relay", "start"], {
      detached: true,
      stdio: ["ignore", log.fd, log.fd],
      env: { ...selectNodeSettings(environment), ...buildEnvironment({ ...settings, port }) },
    });
    child.unref();
  } finally {
    await log.close();
  }
}

/**
 * How Node reaches the plane and where it keeps what it compiled: without that a relay is twice as large. HOME, as a user
 * that the system does not know, such as a container's number, has no other.
 */
const NODE_SETTINGS = ["NODE_COMPILE_CACHE", "NODE_EXTRA_CA_CERTS", "HOME"];

function selectNodeSettings(environment: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => NODE_SETTINGS.includes(name)));
}

/** Exactly what the relay is to know; nothing else of the worker's environment. */
function buildEnvironment(settings: RelaySettings): Record<string, string> {
  const { api, folder, hosts, port, limits } = settings;
  return {
    PREFECT_API_URL: api.apiUrl,
    ...(api.authString === undefined ? {} : { PREFECT_API_AUTH_STRING: api.authString }),
    ...(api.apiKey === undefined ? {} : { PREFECT_API_KEY: api.apiKey }),
    FLOWYARD_HOME: join(folder, ".."),
    FLOWYARD_RELAY_HOSTS: hosts.join(","),
    FLOWYARD_RELAY_PORT: String(port),
    ...writeRelayLimits(limits),
    FLOWYARD_LOG_FORMAT: "json",
  };
}

async function waitForRelay(settings: RelaySettings) {
  const endAt = Date.now() + START_MS;
  while (Date.now() < endAt) {
    const found = await findRegistration(settings.folder);
    if (found?.isAlive === true && found.settings === hashSettings(settings)) {
      return found;
    }
    await sleep(LOOK_MS, new AbortController().signal);
  }
  throw new TransientError(
    "RELAY_UNAVAILABLE",
    `The relay did not start within ${START_MS / 1000} s; its log is ${relayLogPath(settings.folder)}.`,
  );
}

/** Asks the relay of the folder to end, and waits for that; nothing when there is none. */
export async function stopRelay(folder: string): Promise<void> {
  const running = await findRegistration(folder);
  if (running?.isAlive !== true) {
    return;
  }
  process.kill(running.pid, "SIGTERM");
  const endAt = Date.now() + STOP_MS;
  while (Date.now() < endAt && (await findRegistration(folder))?.isAlive === true) {
    await sleep(LOOK_MS, new AbortController().signal);
  }
}
