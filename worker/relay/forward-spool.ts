import type { PrefectClient } from "../../src/client/prefect-client.ts";
import { refusalStatus } from "../../src/client/refusal.ts";
import { sleep } from "../../src/shared/abort.ts";
import { errorMessage } from "../../src/shared/errors.ts";
import { dropForged } from "./forged.ts";
import type { RelayDeps } from "./relay-deps.ts";
import type { RunStanding } from "./run-standing.ts";
import { groupByKind, parseSpooled, type Spooled } from "./spooled.ts";

const FIRST_BACK_OFF_MS = 200;
const MAX_BACK_OFF_MS = 5000;
/** What no repetition changes. Wrong credentials and missing routes are an outage: somebody will mend them. */
const REFUSED_FOR_GOOD: ReadonlySet<number> = new Set([400, 409, 413, 422]);

interface ForwardDependencies extends Pick<RelayDeps, "spool" | "inbox" | "plane" | "logger" | "runsReach"> {
  /** Must not retry by itself for long: the spool is what remembers. */
  client: Pick<PrefectClient, "logs" | "events" | "releases">;
  standing: Pick<RunStanding, "findBelonging">;
}

/** Sends what is spooled to the plane, in order, for as long as it takes. Ends when the signal aborts. */
export async function forwardSpool(dependencies: ForwardDependencies, signal: AbortSignal): Promise<void> {
  const { spool, inbox, logger, plane } = dependencies;
  const sender = createSender(dependencies, signal);
  let failures = 0;
  while (!signal.aborted) {
    await spool.untilFilled(signal);
    if (signal.aborted) {
      return;
    }
    const batch = spool.read();
    try {
      await sender(batch.lines);
      spool.settle(batch);
      inbox.tellDropped();
      if (failures > 0) {
        logger.info({ failures }, "The plane is back");
      }
      failures = 0;
      plane.isThere = true;
    } catch (error) {
      if (signal.aborted) {
        return;
      }
      if (failures === 0) {
        logger.warn({ reason: errorMessage(error), waiting_bytes: spool.waitingBytes }, "The plane is away");
      }
      plane.isThere = false;
      await sleep(Math.min(FIRST_BACK_OFF_MS * 2 ** failures, MAX_BACK_OFF_MS), signal);
      failures += 1;
    }
  }
}

function createSender(dependencies: ForwardDependencies, signal: AbortSignal) {
  const { client, logger } = dependencies;
  let takesLogIds: boolean | undefined;

  return async (lines: readonly string[]): Promise<void> => {
    // Stock Prefect refuses a log line with an id; there, a line whose answer got lost is stored twice.
    takesLogIds ??= (await client.releases.findCapabilities())?.features.includes("log_ids") ?? false;
    const entries = lines.map(parseSpooled).filter((entry) => entry !== undefined);
    for (const group of groupByKind(await dropForged(dependencies, entries))) {
      await sendGroup(group);
    }
  };

  /** What the plane refuses for good is sent again one by one, so that one bad line takes no other with it. */
  async function sendGroup(group: readonly Spooled[]): Promise<void> {
    try {
      await sendTogether(group);
    } catch (error) {
      const status = refusalStatus(error);
      if (status === undefined || !REFUSED_FOR_GOOD.has(status)) {
        throw error;
      }
      if (group.length === 1) {
        logger.warn({ kind: group[0]?.kind, status }, "The plane refused what a container said; dropped");
        return;
      }
      for (const entry of group) {
        await sendGroup([entry]);
      }
    }
  }

  async function sendTogether(group: readonly Spooled[]): Promise<void> {
    const logs = group.flatMap((entry) => (entry.kind === "log" ? [entry.log] : []));
    const events = group.flatMap((entry) => (entry.kind === "event" ? [entry.event] : []));
    if (logs.length > 0) {
      await client.logs.create(takesLogIds === true ? logs : logs.map(({ id: _, ...log }) => log), signal);
    }
    if (events.length > 0) {
      await client.events.create(events);
    }
  }
}
