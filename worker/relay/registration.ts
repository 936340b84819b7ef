import { createHash } from "node:crypto";
import { join } from "node:path";
import { z } from "zod";
import { findProcessStart } from "../runs/process-identity.ts";
import { readParsed, writeFirst, writeWhole } from "../whole-files.ts";
import { writeRelayLimits } from "./relay-limits.ts";
import type { RelaySettings } from "./start-relay.ts";

/** How a worker finds the relay that another one started. */
const Registration = z.object({
  pid: z.number(),
  /** When the process started: a process id is given to others again. */
  started: z.string(),
  port: z.number(),
  hosts: z.array(z.string()),
  /** A hash of what it was started with: for another plane or other credentials it has to be started anew. */
  settings: z.string(),
});
export type Registration = z.infer<typeof Registration>;

const fileOf = (folder: string) => join(folder, "relay.json");

export function hashSettings({ api, hosts, limits }: Pick<RelaySettings, "api" | "hosts" | "limits">): string {
  return createHash("sha256")
    .update(JSON.stringify([api, hosts, writeRelayLimits(limits)]))
    .digest("hex");
}

/**
 * Stays when the relay ends: the next one takes the same port, which containers know. False when another relay that lives
 * was first: of several that start in a new folder, each at a port of its own, one is the relay. (Later ones begin with
 * the port that is known, and only one of them gets it.)
 */
export async function register(settings: RelaySettings, port: number): Promise<boolean> {
  const { folder } = settings;
  const started = (await findProcessStart(process.pid)) ?? "";
  const own: Registration = {
    pid: process.pid,
    started,
    port,
    hosts: [...settings.hosts],
    settings: hashSettings(settings),
  };
  if (await writeFirst(fileOf(folder), JSON.stringify(own))) {
    return true;
  }
  if ((await findRegistration(folder))?.isAlive === true) {
    return false;
  }
  await writeWhole(fileOf(folder), own);
  return true;
}

/** The last relay of the folder, and whether its process is alive. */
export async function findRegistration(folder: string): Promise<(Registration & { isAlive: boolean }) | undefined> {
  const parsed = await readParsed(fileOf(folder), Registration);
  if (parsed === undefined) {
    return undefined;
  }
  return { ...parsed, isAlive: (await findProcessStart(parsed.pid)) === parsed.started };
}
