import { z } from "zod";
import { Event } from "../../src/prefect-api/events.ts";
import { CreateLog } from "../../src/prefect-api/logs.ts";

/** One line of the spool: what a container said, and what the plane is to be told. Our own file, parsed once more. */
export const Spooled = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("log"), log: CreateLog }),
  z.object({ kind: z.literal("event"), event: Event }),
]);
export type Spooled = z.infer<typeof Spooled>;

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
