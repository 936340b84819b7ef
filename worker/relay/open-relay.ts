import type { z } from "zod";
import { command, createConnection } from "../../src/client/http.ts";
import type { Engine } from "../../src/docker/engine.ts";
import type { CreateLog } from "../../src/prefect-api/logs.ts";
import { errorMessage } from "../../src/shared/errors.ts";
import type { Logger } from "../../src/shared/logger.ts";
import type { WorkerSettings } from "../config.ts";
import { findBridgeGateway, isOnThisMachine } from "../infrastructure/bridge-gateway.ts";
import { findRelay, tell, watchNamedRelay } from "./check-relay.ts";
import { relayFolder } from "./config.ts";
import { KEEP_OR_REFUSE_HEADER } from "./keep-or-refuse.ts";
import { provideRelay, type RelayDependencies, stopRelay, watchRelay } from "./provide-relay.ts";
import { findRegistration } from "./registration.ts";
import type { RelayAccess } from "./run-environment.ts";
import { buildRunAuthString } from "./run-token.ts";
import { provideSecret } from "./secret.ts";
import { untilSettled } from "./settled.ts";
import type { RelaySettings } from "./start-relay.ts";

/** Twice what the relay waits between two tries to reach the plane. */
const SETTLE_MS = 10_000;

type RelayChoice = Pick<WorkerSettings, "relay" | "api" | "flowyardHome" | "relayLimits" | "environment">;

/** The relay as a worker uses it. */
export interface OpenRelay {
  accessFor(run: { flow_run_id: string; fencing_token: number | null }): RelayAccess;
  /** Leaves lines of a run with it until the plane takes them. Answers whether it has them; never throws. */
  keepLogs(flowRunId: string, logs: readonly z.input<typeof CreateLog>[]): Promise<boolean>;
  /** Returns when all that runs have told it until now is at the plane; early when the signal aborts. */
  untilSettled(signal: AbortSignal): Promise<void>;
  /** Watches it until the signal aborts. */
  watch(signal: AbortSignal): Promise<void>;
  /** Ends one that a worker started, when it has sent what it holds: nobody on this machine needs it any more. */
  stop(): Promise<void>;
}

/**
 * Finds or starts the relay. Undefined: runs reach the plane by themselves, because that was asked for or because a
 * relay here could not be reached by them; the log says which. Throws UserError RELAY_NOT_OURS, TransientError
 * RELAY_UNAVAILABLE.
 */
export async function openRelay(
  settings: RelayChoice,
  engine: Engine | undefined,
  logger: Logger,
): Promise<OpenRelay | undefined> {
  const { relay } = settings;
  const folder = relayFolder(settings.flowyardHome);
  if (relay === "off") {
    return undefined;
  }
  if (relay !== "auto") {
    const secret = await provideSecret(folder);
    const isThere = await findRelay(relay, secret);
    tell(logger, relay, isThere);
    return {
      accessFor: (run) => buildAccess(secret, relay, 0, run),
      keepLogs: createLogKeeper(secret, relay),
      untilSettled: (signal) => untilSettled(relay, logger, signal),
      watch: (signal) => watchNamedRelay({ apiUrl: relay, secret, logger }, isThere, signal),
      stop: () => Promise.resolve(),
    };
  }
  const hosts = await decideHosts(engine);
  if (hosts === undefined) {
    logger.info({}, "No relay: containers of this engine could not reach it; FLOWYARD_WORKER_RELAY can name one");
    return undefined;
  }
  const relaySettings: RelaySettings = {
    api: settings.api,
    folder,
    hosts,
    port: 0,
    limits: settings.relayLimits,
  };
  const dependencies: RelayDependencies = {
    settings: relaySettings,
    program: ownProgram(),
    environment: settings.environment,
    logger,
  };
  const { port } = await provideRelay(dependencies);
  const secret = await provideSecret(folder);
  const url = `http://127.0.0.1:${port}/api`;
  return {
    accessFor: (run) => buildAccess(secret, undefined, port, run),
    keepLogs: createLogKeeper(secret, url),
    untilSettled: (signal) => untilSettled(url, logger, signal),
    watch: (signal) => watchRelay(dependencies, signal),
    stop: async () => {
      // What it holds would wait on disk for the next worker of this machine.
      await untilSettled(url, logger, AbortSignal.timeout(SETTLE_MS));
      await stopRelay(folder);
    },
  };
}

/**
 * Starts the relay that this machine had again, if it is gone: its containers need it at once, also while the plane is
 * away and no worker can start. Logs what keeps it from that.
 */
export async function reviveRelay(settings: RelayChoice, logger: Logger): Promise<void> {
  const folder = relayFolder(settings.flowyardHome);
  const known = await findRegistration(folder);
  if (settings.relay !== "auto" || known === undefined || known.isAlive) {
    return;
  }
  const { api, environment, relayLimits: limits } = settings;
  const { hosts, port } = known;
  try {
    const relaySettings = { api, folder, hosts, port, limits };
    await provideRelay({ settings: relaySettings, program: ownProgram(), environment, logger });
  } catch (error) {
    logger.warn({ reason: errorMessage(error) }, "The relay of this machine could not be started again");
  }
}

function buildAccess(
  secret: string,
  url: string | undefined,
  port: number,
  run: { flow_run_id: string; fencing_token: number | null },
): RelayAccess {
  return { url, port, authString: buildRunAuthString(secret, run) };
}

/** Asks for lines to be kept or refused: the relay drops none of a worker's, as the container has them, too. */
function createLogKeeper(secret: string, apiUrl: string): OpenRelay["keepLogs"] {
  return async (flowRunId, logs) => {
    const authString = buildRunAuthString(secret, { flow_run_id: flowRunId, fencing_token: null, use: "worker" });
    const connection = createConnection({ apiUrl, authString, retry: { retries: 0 } });
    const headers = { [KEEP_OR_REFUSE_HEADER]: "1" };
    return command(connection, { method: "POST", path: "/logs/", body: logs, headers }).then(
      () => true,
      () => false,
    );
  };
}

/** Runs as processes are on this machine. Containers come by the gateway of their bridge, if that is here, too. */
async function decideHosts(engine: Engine | undefined): Promise<string[] | undefined> {
  if (engine === undefined) {
    return ["127.0.0.1"];
  }
  const gateway = await findBridgeGateway(engine);
  if (gateway !== undefined) {
    return ["127.0.0.1", gateway];
  }
  // Docker Desktop hands `host.docker.internal` on to this loopback. On Linux the engine is on another machine, or this
  // process is in a container beside its runs.
  const isHere = process.platform !== "linux" || (await isOnThisMachine(engine));
  return engine.url.startsWith("unix:") && isHere ? ["127.0.0.1"] : undefined;
}

/** The CLI that this process is, to be started once more. */
function ownProgram(): readonly [string, ...string[]] {
  const [program = process.execPath, ...script] = process.argv.slice(0, 2);
  return [program, ...process.execArgv, ...script];
}
