import {
  connectNetwork,
  createContainer,
  findContainer,
  removeContainer,
  startContainer,
  stopContainer,
  waitContainer,
} from "../../src/docker/containers.ts";
import { type Engine, engineLost } from "../../src/docker/engine.ts";
import { findImage, pullImage } from "../../src/docker/images.ts";
import { followLogs, listLastLines } from "../../src/docker/logs.ts";
import { sleep } from "../../src/shared/abort.ts";
import { errorMessage, TransientError, UserError } from "../../src/shared/errors.ts";
import { retry } from "../../src/shared/retry.ts";
import type { Job } from "../job.ts";
import type { Exit, Infrastructure, StartedRun } from "./contract.ts";
import { buildContainerSpec, type ContainerSpec } from "./docker-spec.ts";

const TAIL_LINES = 20;
const PULL_ATTEMPTS = 3; // a registry's hiccup must not crash a run; more would keep others waiting for the slot
const FIRST_PULL_DELAY_MS = 1000;
const RECONNECT_MS = 2000; // a restart of the engine takes a few seconds
const MAX_NAME_TRIES = 1000;

/** Runs as containers of one Docker engine. Removes nothing: `auto_remove` is the engine's own work. */
export function createDockerInfrastructure(engine: Engine, workingDirectory: string): Infrastructure {
  const host = { platform: process.platform, engineVersion: engine.version, workingDirectory };
  return {
    type: "docker",
    checkReady: async () => {
      try {
        await engine.docker.ping();
      } catch (error) {
        throw engineLost(engine, error);
      }
    },
    start: async (job, note) => {
      const spec = buildContainerSpec(job, host);
      for (const message of spec.notes) {
        note(message);
      }
      await provideImage(engine, spec, note);
      const { id, name } = await createWithFreeName(engine, spec, job);
      try {
        for (const network of spec.furtherNetworks) {
          await connectNetwork(engine, id, network);
        }
        await startContainer(engine, id);
      } catch (error) {
        // It never ran and nobody will look for it: left behind, it would keep its name and its image.
        await removeContainer(engine, id).catch((failure: unknown) =>
          note(`The container ${name}, which could not be started, could not be removed: ${errorMessage(failure)}`),
        );
        throw error;
      }
      return buildStartedRun(engine, { id, name, spec });
    },
  };
}

async function provideImage(engine: Engine, spec: ContainerSpec, note: (message: string) => void): Promise<void> {
  const { image, pullPolicy, credentials } = spec;
  if (pullPolicy === "Never" || (pullPolicy === "IfNotPresent" && (await findImage(engine, image)) !== undefined)) {
    return;
  }
  note(`Pulling image ${image}`);
  const policy = {
    attempts: PULL_ATTEMPTS,
    firstDelayMs: FIRST_PULL_DELAY_MS,
    maxDelayMs: FIRST_PULL_DELAY_MS * 8,
    signal: new AbortController().signal,
  };
  try {
    await retry(policy, () => pullImage(engine, { image, credentials }));
  } catch (error) {
    const isHere = (await findImage(engine, image).catch(() => undefined)) !== undefined;
    if (pullPolicy !== "IfPossible") {
      throw isHere ? buildPullError(image, error) : error;
    }
    if (!isHere) {
      throw new UserError(
        "IMAGE_NOT_FOUND",
        `${errorMessage(error)} And this engine has no image of that name either.`,
        {
          hint: "image_pull_policy IfPossible uses the local image only when there is one.",
          cause: error,
        },
      );
    }
    note(`${errorMessage(error)} The local image is used, as image_pull_policy is IfPossible.`);
  }
}

/** An image that was built here and never pushed: the pitfall of everybody's first deployment. */
function buildPullError(image: string, cause: unknown): UserError {
  const code = cause instanceof UserError || cause instanceof TransientError ? cause.code : "IMAGE_PULL_REFUSED";
  return new UserError(code, errorMessage(cause), {
    hint: `This host has an image "${image}" of its own: to run that one, set the job variable image_pull_policy to Never.`,
    cause,
  });
}

/** Taken names get `-1`, `-2` … appended, as Prefect's worker does: a run that is started again keeps its name. */
async function createWithFreeName(
  engine: Engine,
  spec: ContainerSpec,
  job: Job,
): Promise<{ id: string; name: string }> {
  for (let index = 0; index < MAX_NAME_TRIES; index += 1) {
    const name = spec.name === undefined || index === 0 ? spec.name : `${spec.name}-${index}`;
    const creation = await createContainer(engine, name, spec.options);
    if (creation.outcome === "created") {
      return { id: creation.id, name: name ?? creation.id.slice(0, 12) };
    }
  }
  throw new UserError(
    "CONTAINER_REFUSED",
    `${MAX_NAME_TRIES} containers named after "${job.name}" exist on this host.`,
    {
      hint: "Remove old ones (`docker container prune`), or set auto_remove in the work pool.",
    },
  );
}

interface Container {
  id: string;
  name: string;
  spec: ContainerSpec;
}

function buildStartedRun(engine: Engine, container: Container): StartedRun {
  return {
    pid: `${dockerPyBaseUrl(engine.url)}:${container.id}`,
    what: `container "${container.name}"`,
    watch: (onOutput, signal) => watchContainer(engine, container, onOutput, signal),
    stop: (graceSeconds) => stopContainer(engine, container.id, graceSeconds),
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

async function watchContainer(
  engine: Engine,
  container: Container,
  onOutput: (line: string) => void,
  signal: AbortSignal,
): Promise<Exit> {
  const { id, name, spec } = container;
  const watching = new AbortController();
  const limit = spec.waitTimeoutSeconds;
  const timeout = limit === undefined ? undefined : AbortSignal.timeout(limit * 1000);
  const until = AbortSignal.any([signal, watching.signal, ...(timeout === undefined ? [] : [timeout])]);
  const output = spec.streamOutput ? followOutput(engine, id, onOutput, until) : Promise.resolve();
  try {
    await waitForEnd(engine, id, until);
    await output;
  } catch (error) {
    signal.throwIfAborted();
    if (timeout?.aborted === true) {
      return { kind: "unwatched", afterSeconds: limit ?? 0 };
    }
    throw error;
  } finally {
    watching.abort();
    await output.catch(() => undefined); // its own failure came out above, or is the abort of a line before
  }
  const state = await keepAsking(() => findContainer(engine, id), signal);
  if (state === undefined) {
    return { kind: "vanished", what: `The container "${name}"` };
  }
  return {
    kind: "exited",
    exitCode: state.exitCode,
    wasOutOfMemory: state.wasOutOfMemory,
    memoryLimit: spec.memoryLimit,
    // Only decoration: a container that is being removed has no log to show any more.
    lastLines: await listLastLines(engine, id, TAIL_LINES).catch(() => []),
  };
}

/** The engine closes a wait when it restarts: ask again until it says that the container does not run. */
async function waitForEnd(engine: Engine, id: string, signal: AbortSignal): Promise<void> {
  for (;;) {
    try {
      await waitContainer(engine, id, signal);
    } catch (error) {
      await pauseAfter(error, signal);
    }
    const state = await keepAsking(() => findContainer(engine, id), signal);
    if (state === undefined || !state.isRunning) {
      return;
    }
  }
}

async function followOutput(
  engine: Engine,
  id: string,
  onOutput: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  try {
    await followLogs(engine, id, onOutput, signal);
  } catch (error) {
    // The rest of the output is lost to the terminal, not to `docker logs`; the run itself goes on.
    signal.throwIfAborted();
    onOutput(`(the output is not followed any more: ${errorMessage(error)})`);
  }
}

async function keepAsking<T>(ask: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      await pauseAfter(error, signal);
    }
  }
}

/** Waits a moment after the engine was lost; any other error is thrown on. */
async function pauseAfter(error: unknown, signal: AbortSignal): Promise<void> {
  if (!(error instanceof TransientError)) {
    throw error;
  }
  await sleep(RECONNECT_MS, signal);
  signal.throwIfAborted();
}
