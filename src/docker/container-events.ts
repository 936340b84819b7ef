import { createInterface } from "node:readline";
import { z } from "zod";
import { type Engine, engineLost } from "./engine.ts";
import { isEngineGone } from "./errors.ts";

const EVENTS_TIMEOUT_MS = 10_000;
/** The engine answers when this moment has passed on its clock; what has just happened must be before it. */
const CLOCK_SKEW_MS = 100;

const EngineEvent = z.object({
  Action: z.string(),
  Actor: z.object({ Attributes: z.record(z.string(), z.string()).default({}) }).optional(),
});

/** What was done to a container, as far as the engine remembers. */
export interface ContainerEvent {
  /** `create`, `start`, `kill`, `stop`, `die`, `oom`, `destroy` … */
  action: string;
  /** Of a `kill`. */
  signal: number | undefined;
}

/**
 * What happened to a container since then, oldest first. The engine keeps its last 256 events in memory: the answer may
 * lack the beginning, or all of it after a restart. Throws TransientError DOCKER_UNREACHABLE.
 */
export async function listContainerEvents(engine: Engine, id: string, since: Date): Promise<ContainerEvent[]> {
  const until = (Date.now() + CLOCK_SKEW_MS) / 1000;
  try {
    const stream = await engine.docker.getEvents({
      since: Math.floor(since.getTime() / 1000),
      until,
      filters: { container: [id] },
      abortSignal: AbortSignal.timeout(EVENTS_TIMEOUT_MS),
    });
    const events: ContainerEvent[] = [];
    for await (const line of createInterface({ input: stream })) {
      const event = EngineEvent.safeParse(parseLine(line));
      if (event.success) {
        const signal = event.data.Actor?.Attributes["signal"];
        events.push({ action: event.data.Action, signal: signal === undefined ? undefined : Number(signal) });
      }
    }
    return events;
  } catch (error) {
    throw isEngineGone(error) ? engineLost(engine, error) : error;
  }
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined; // an empty line
  }
}
