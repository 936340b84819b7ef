import { LiveBus } from "../orchestration/events/live-bus.ts";
import { systemClock } from "../shared/clock.ts";
import { UserError } from "../shared/errors.ts";
import { describeDatabase, openStore } from "../storage/open-store.ts";
import type { Store } from "../storage/store.ts";
import { buildApp } from "./app.ts";
import type { App } from "./app-deps.ts";
import { Credentials } from "./auth.ts";
import type { ServerSettings } from "./config.ts";
import { createTextLog } from "./log-text.ts";
import { buildLoops } from "./loops/build-loops.ts";
import { LoopRunner } from "./loops/run-loops.ts";
import { relayAnnouncements } from "./relay-announcements.ts";

/** How long requests that are under way may take once the plane is asked to stop. */
const STOP_MS = 700;

export interface RunningServer {
  /** Ends in `/api`: what `PREFECT_API_URL` is set to. */
  apiUrl: string;
  /** Takes no more requests, ends those under way, and closes the database. Safe to repeat. */
  stop(): Promise<void>;
}

/**
 * Opens the database and listens. Throws UserError DATABASE_IN_USE, DATABASE_UNUSABLE, ADDRESS_IN_USE,
 * ADDRESS_UNUSABLE;
 * nothing is left open then.
 */
export async function startServer(settings: ServerSettings): Promise<RunningServer> {
  const store = await openStore({ database: settings.database, clock: systemClock });
  try {
    const bus = new LiveBus();
    const loops = settings.loops === null ? null : new LoopRunner(systemClock);
    const app = await buildApp({
      store,
      clock: systemClock,
      bus,
      ...(loops === null ? {} : { loops }),
      ...(settings.loops === null ? {} : { cancellingTimeoutSeconds: settings.loops.cancellingTimeoutSeconds }),
      credentials: settings.authString === null ? null : new Credentials(settings.authString),
      logLevel: settings.logLevel,
      ...(settings.logFormat === "text" ? { logStream: createTextLog((line) => process.stdout.write(line)) } : {}),
    });
    relayAnnouncements(store, bus, app.log);
    const apiUrl = `${await listen(app, settings)}/api`;
    app.log.info(
      { api_url: apiUrl, database: describeDatabase(settings.database), auth: settings.authString !== null },
      "ready",
    );
    if (loops !== null && settings.loops !== null) {
      loops.start(buildLoops({ store, clock: systemClock, bus, logger: app.log }, settings.loops), {
        logger: app.log,
        wakeUps: store.wakeUps,
      });
    }
    let stopping: Promise<void> | undefined;
    return {
      apiUrl,
      stop: () => {
        stopping ??= stop(app, store, loops);
        return stopping;
      },
    };
  } catch (error) {
    await store.close();
    throw error;
  }
}

async function listen(app: App, { host, port }: ServerSettings): Promise<string> {
  try {
    return await app.listen({ host, port, listenTextResolver: () => "listening" });
  } catch (error) {
    throw error instanceof Error && "syscall" in error && "code" in error
      ? buildListenError(`${host}:${port}`, String(error.code), error)
      : error;
  }
}

/** What the operating system says to an address, by its code. */
function buildListenError(address: string, code: string, cause: Error): UserError {
  const message = `The plane cannot listen on ${address}: ${cause.message}`;
  switch (code) {
    case "EADDRINUSE":
      return new UserError("ADDRESS_IN_USE", message, {
        hint: "Another plane may be running there. Choose another port with --port.",
        cause,
      });
    case "EACCES":
      return new UserError("ADDRESS_UNUSABLE", message, {
        hint: "Ports below 1024 are for the administrator. Choose another with --port.",
        cause,
      });
    default:
      return new UserError("ADDRESS_UNUSABLE", message, {
        hint: "--host must be an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all of them.",
        cause,
      });
  }
}

async function stop(app: App, store: Store, loops: LoopRunner | null): Promise<void> {
  const cutOff = setTimeout(() => app.server.closeAllConnections(), STOP_MS);
  try {
    await Promise.all([app.close(), loops?.stop()]);
  } finally {
    clearTimeout(cutOff);
    await store.close();
  }
}
