import { z } from "zod";
import { Event } from "../../src/prefect-api/events.ts";
import { CreateLog } from "../../src/prefect-api/logs.ts";
import { Uuid } from "../../src/prefect-api/primitives.ts";
import type { RelayLimits } from "./relay-limits.ts";
import { Spool } from "./spool.ts";

/** The run that said it; left out where a worker or the relay itself did, who may speak for every run. */
const By = { by: Uuid.optional(), as: z.enum(["run", "worker"]).optional() };

/** One line of the spool: what a container said, and what the plane is to be told. Our own file, parsed once more. */
export const Spooled = z.discriminatedUnion("kind", [
  z.object({ ...By, kind: z.literal("log"), log: CreateLog }),
  z.object({ ...By, kind: z.literal("event"), event: Event }),
]);
export type Spooled = z.infer<typeof Spooled>;

/** First of all, so that whose line it is can be read without the rest. */
const OWNER = /^\{"by":"([0-9a-f-]{36})"/;

export function openSpool(folder: string, limits: Pick<RelayLimits, "maxSpoolBytes" | "maxSpoolBytesPerRun">): Spool {
  return new Spool(folder, {
    maxBytes: limits.maxSpoolBytes,
    maxBytesPerOwner: limits.maxSpoolBytesPerRun,
    ownerOf: (line) => OWNER.exec(line)?.[1],
  });
}

export function writeSpooled({ by, ...rest }: Spooled): string {
  return JSON.stringify(by === undefined ? rest : { by, ...rest });
}

/** Undefined for a line that a killed process left half written. */
export function parseSpooled(line: string): Spooled | undefined {
  try {
    return Spooled.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}

/** Neighbours of one kind travel together; the order stays. */
export function groupByKind(entries: readonly Spooled[]): Spooled[][] {
  const groups: Spooled[][] = [];
  for (const entry of entries) {
    const last = groups.at(-1);
    if (last !== undefined && last[0]?.kind === entry.kind && last.length < MAX_TOGETHER) {
      last.push(entry);
    } else {
      groups.push([entry]);
    }
  }
  return groups;
}

const MAX_TOGETHER = 500;
