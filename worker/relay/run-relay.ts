import "../small-heap.ts";
import { sleep } from "../../src/shared/abort.ts";
import { UserError } from "../../src/shared/errors.ts";
import { createWorkerLogger } from "../logger.ts";
import { boundLog } from "./bound-log.ts";
import { findRegistration, register } from "./registration.ts";
import { type RelaySettings, startRelay } from "./start-relay.ts";

/** How often it looks whether its folder still says that it is the relay: without that nobody would find it. */
const LOOK_MS = 5000;

/** Runs a relay in this process until `stop` aborts. Throws UserError RELAY_RUNNING, ADDRESS_IN_USE. */
export async function runRelay(
  settings: RelaySettings & { logFormat: "text" | "json" },
  stop: AbortSignal,
): Promise<void> {
  const logger = createWorkerLogger(settings.logFormat, (line) => process.stderr.write(line));
  const known = await findRegistration(settings.folder);
  if (known?.isAlive === true) {
    throw buildRunningError(settings.folder, known.pid);
  }
  const port = settings.port === 0 ? (known?.port ?? 0) : settings.port;
  const relay = await startRelay({ ...settings, port }, logger, async (taken) => {
    if (!(await register(settings, taken))) {
      throw buildRunningError(settings.folder, (await findRegistration(settings.folder))?.pid);
    }
  });
  try {
    while (!stop.aborted && (await findRegistration(settings.folder))?.pid === process.pid) {
      boundLog(settings.folder);
      await sleep(LOOK_MS, stop);
    }
  } finally {
    // Whatever ends it: nobody would find a relay that goes on without being registered.
    await relay.stop();
  }
  logger.info({}, "Relay stopped");
}

function buildRunningError(folder: string, pid: number | undefined): UserError {
  return new UserError("RELAY_RUNNING", `A relay of ${folder} is running already, as process ${pid}.`, {
    hint: "Stop it first, or give this one its own FLOWYARD_HOME.",
  });
}
