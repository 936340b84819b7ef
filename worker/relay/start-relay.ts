import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { FastifyInstance } from "fastify";
import { buildCredentials } from "../../src/client/credentials.ts";
import { createPrefectClient } from "../../src/client/prefect-client.ts";
import { systemClock } from "../../src/shared/clock.ts";
import { UserError } from "../../src/shared/errors.ts";
import type { Logger } from "../../src/shared/logger.ts";
import { CreatedRuns } from "./created-runs.ts";
import { forwardSpool } from "./forward-spool.ts";
import { ANSWER_MS, buildRelayApp } from "./relay-app.ts";
import type { RelayDeps } from "./relay-deps.ts";
import type { RelayLimits } from "./relay-limits.ts";
import { RunStanding } from "./run-standing.ts";
import { provideSecret } from "./secret.ts";
import { Shares } from "./shares.ts";
import { SpoolInbox } from "./spool-inbox.ts";
import { openSpool } from "./spooled.ts";

export interface RelaySettings {
  api: { apiUrl: string; authString: string | undefined; apiKey: string | undefined };
  /** Holds the secret and the spool. */
  folder: string;
  /** Addresses of this machine: loopback, and the one by which containers reach it. */
  hosts: readonly string[];
  port: number;
  limits: RelayLimits;
  answerMs?: number | undefined;
}

/** A flow has one or two in each of its processes; each costs one to the plane. */
const MAX_SOCKETS_PER_RUN = 64;

export interface RunningRelay {
  port: number;
  stop(): Promise<void>;
}

/**
 * `confirm` is asked when the port is taken and before anything is read from the spool, which belongs to one relay: it
 * throws when that is another one. Throws that, UserError ADDRESS_IN_USE, CONFIG_INVALID.
 */
export async function startRelay(
  settings: RelaySettings,
  logger: Logger,
  confirm: (port: number) => Promise<void> = () => Promise.resolve(),
): Promise<RunningRelay> {
  const { authorization } = buildCredentials(settings.api);
  const upstream = { ...settings.api, authorization };
  await mkdir(settings.folder, { recursive: true, mode: 0o700 });
  const { limits } = settings;
  const spool = openSpool(join(settings.folder, "spool"), limits);
  const created = new CreatedRuns(settings.folder, logger);
  const standing = new RunStanding(upstream, created, limits.tokenGraceSeconds);
  const plane = { isThere: true };
  const deps: RelayDeps = {
    upstream,
    secret: await provideSecret(settings.folder),
    spool,
    inbox: new SpoolInbox(spool, systemClock),
    logger,
    plane,
    answerMs: settings.answerMs ?? ANSWER_MS,
    standing,
    created,
    runsReach: limits.runsReach,
    sockets: new Shares(MAX_SOCKETS_PER_RUN),
  };
  const stopping = new AbortController();
  const client = createPrefectClient({ ...settings.api, signal: stopping.signal, retry: { retries: 0 } });
  const { apps, port } = await listenEverywhere(deps, settings);
  const closeApps = () => Promise.all(apps.map((app) => app.close()));
  try {
    await confirm(port);
  } catch (error) {
    await closeApps();
    spool.close();
    throw error;
  }
  const forwarding = forwardSpool({ ...deps, client }, stopping.signal);
  logger.info({ port, hosts: settings.hosts, waiting_bytes: spool.waitingBytes }, "Relay started");
  return {
    port,
    stop: async () => {
      await closeApps();
      stopping.abort();
      await forwarding;
      spool.close();
    },
  };
}

/** The first address chooses the port when it is 0; the others follow. */
async function listenEverywhere(
  deps: RelayDeps,
  settings: RelaySettings,
): Promise<{ apps: FastifyInstance[]; port: number }> {
  const apps: FastifyInstance[] = [];
  let { port } = settings;
  for (const host of settings.hosts) {
    const app = await buildRelayApp(deps);
    apps.push(app);
    try {
      await app.listen({ host, port });
    } catch (cause) {
      await Promise.all(apps.map((each) => each.close()));
      throw new UserError("ADDRESS_IN_USE", `The relay cannot listen on ${host}:${port}: ${String(cause)}`, {
        hint: "FLOWYARD_RELAY_HOSTS must be addresses of this machine, and FLOWYARD_RELAY_PORT be free there.",
        cause,
      });
    }
    const address = app.server.address();
    port = typeof address === "object" && address !== null ? address.port : port;
  }
  return { apps, port };
}
