import { z } from "zod";
import { type ContainerEvent, listContainerEvents } from "../../src/docker/container-events.ts";
import {
  type ContainerState,
  findContainer,
  removeContainer,
  signalContainer,
  stopContainer,
  waitContainer,
} from "../../src/docker/containers.ts";
import type { Engine } from "../../src/docker/engine.ts";
import { type OutputLine, type OutputPosition, readOutput } from "../../src/docker/logs.ts";
import { sleep } from "../../src/shared/abort.ts";
import { TransientError } from "../../src/shared/errors.ts";
import { CANCEL_SIGNAL } from "../jobs/engine.ts";
import type { RunFacts } from "../runs/run-facts.ts";
import type { Exit, StartedRun } from "./contract.ts";

const RECONNECT_MS = 1000; // a restart of the engine takes a few seconds
const SIGKILL = 9;
const SIGKILLED = 128 + SIGKILL;

/** How a container is to be watched; a label of it, so that whoever adopts it does the same. */
export const WatchOptions = z.object({
  stream_output: z.boolean().default(true),
  auto_remove: z.boolean().default(false),
  mem_limit: z.string().optional(),
  wait_timeout_seconds: z.number().optional(),
});
export type WatchOptions = z.infer<typeof WatchOptions>;

interface Container {
  id: string;
  name: string;
  facts: RunFacts;
  options: WatchOptions;
  /** When it was made, by the engine's clock. */
  createdAt: Date;
}

interface Watch {
  /** By this worker. */
  stopped: boolean;
  look: Look;
}

type Look = () => Promise<ContainerState | undefined>;

/**
 * Output and wait end at the same moment, and both are followed by a look: one that is under way and finds the container
 * at its end is the answer to both.
 */
function createSharedLook(look: Look): Look {
  let underWay: ReturnType<Look> | undefined;
  return async () => {
    const found = await underWay?.catch(() => undefined);
    if (found !== undefined && !found.isRunning) {
      return found;
    }
    const asked = look();
    underWay = asked;
    try {
      return await asked;
    } finally {
      underWay = undefined;
    }
  };
}

export function buildStartedRun(engine: Engine, container: Container): StartedRun {
  const { id, name, facts, options } = container;
  const own: Watch = { stopped: false, look: createSharedLook(() => findContainer(engine, id)) };
  return {
    key: id,
    pid: `${dockerPyBaseUrl(engine.url)}:${id}`,
    what: `container "${name}"`,
    facts,
    streamOutput: options.stream_output,
    removeAlways: options.auto_remove,
    readOutput: (from, signal) => readThroughRestarts(engine, id, from, { look: own.look, signal }),
    waitForEnd: (signal) => waitForEnd(engine, container, own, signal),
    askToCancel: () => signalContainer(engine, id, CANCEL_SIGNAL),
    stop: async (graceSeconds) => {
      own.stopped = true;
      await stopContainer(engine, id, graceSeconds);
    },
    remove: () => removeContainer(engine, id),
  };
}

/** The address as docker-py writes it, which Prefect's own tools split off an infrastructure_pid. */
export function dockerPyBaseUrl(url: string): string {
  if (url.startsWith("unix://")) {
    return "http+docker://localhost";
  }
  if (url.startsWith("npipe://")) {
    return "http+docker://localnpipe";
  }
  return url.startsWith("ssh://") ? "http+docker://ssh" : url.replace(/^tcp:\/\//, "http://");
}

async function* readThroughRestarts(
  engine: Engine,
  id: string,
  from: OutputPosition,
  { look, signal }: Pick<Watch, "look"> & { signal: AbortSignal },
): AsyncGenerator<OutputLine> {
  const position = { ...from };
  for (;;) {
    try {
      for await (const line of readOutput(engine, id, position, signal, look)) {
        position[line.stream] = line.place;
        yield line;
      }
      return;
    } catch (error) {
      await pauseAfter(error, signal);
    }
  }
}

async function waitForEnd(engine: Engine, container: Container, own: Watch, signal: AbortSignal): Promise<Exit> {
  const { id, name, options } = container;
  const limit = options.wait_timeout_seconds;
  const timeout = limit === undefined ? undefined : AbortSignal.timeout(limit * 1000);
  const until = timeout === undefined ? signal : AbortSignal.any([signal, timeout]);
  try {
    const { state, engineWasAway } = await waitUntilStopped(engine, id, { look: own.look, signal: until });
    if (state === undefined) {
      return { kind: "vanished", what: `The container "${name}"` };
    }
    const history = state.exitCode === 0 || own.stopped ? undefined : await findHistory(engine, container);
    return {
      kind: "exited",
      exitCode: state.exitCode,
      wasOutOfMemory: state.wasOutOfMemory || decideMemory(state, history ?? [], options.mem_limit),
      memoryLimit: options.mem_limit,
      byHand: decideHand(history ?? []),
      engineWasAway,
    };
  } catch (error) {
    signal.throwIfAborted();
    if (timeout?.aborted === true) {
      return { kind: "unwatched", afterSeconds: limit ?? 0 };
    }
    throw error;
  }
}

/** The engine closes a wait when it restarts: ask again until it says that the container does not run. */
async function waitUntilStopped(
  engine: Engine,
  id: string,
  { look, signal }: Pick<Watch, "look"> & { signal: AbortSignal },
): Promise<{ state: ContainerState | undefined; engineWasAway: boolean }> {
  let engineWasAway = false;
  for (;;) {
    try {
      await waitContainer(engine, id, signal);
      const state = await look();
      if (state === undefined || !state.isRunning) {
        return { state, engineWasAway };
      }
    } catch (error) {
      await pauseAfter(error, signal);
      engineWasAway = true;
    }
  }
}

/** Only an explanation: an engine that does not remember tells nothing. */
function findHistory(engine: Engine, { id, createdAt }: Container): Promise<ContainerEvent[]> {
  return listContainerEvents(engine, id, createdAt).catch(() => []);
}

/** Whether somebody used the engine to end it. */
function decideHand(history: readonly ContainerEvent[]): "killed" | "stopped" | undefined {
  if (history.some(({ action }) => action === "stop")) {
    return "stopped"; // `docker stop` ends with a kill when the container does not react
  }
  return history.some(({ action, signal }) => action === "kill" && signal === SIGKILL) ? "killed" : undefined;
}

/** An engine on a busy machine now and then misses the kernel's word (seen once in 32 kills); then it is a guess. */
function decideMemory(
  { exitCode }: Pick<ContainerState, "exitCode">,
  history: readonly ContainerEvent[],
  limit: string | undefined,
): boolean | "likely" | undefined {
  if (history.some(({ action }) => action === "oom")) {
    return true;
  }
  if (exitCode !== SIGKILLED || limit === undefined || decideHand(history) !== undefined) {
    return false;
  }
  // It forgets the oldest first: one that knows of the start would know of a kill.
  return history.some(({ action }) => action === "start") ? "likely" : undefined;
}

/** Waits a moment after the engine was lost; any other error is thrown on. */
async function pauseAfter(error: unknown, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  if (!(error instanceof TransientError)) {
    throw error;
  }
  await sleep(RECONNECT_MS, signal);
  signal.throwIfAborted();
}
