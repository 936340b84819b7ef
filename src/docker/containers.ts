import { Readable } from "node:stream";
import type Docker from "dockerode";
import { z } from "zod";
import { UserError } from "../shared/errors.ts";
import { answerWithin, type Engine, engineLost } from "./engine.ts";
import {
  containerError,
  engineStatus,
  engineText,
  isEngineGone,
  isKillOfEnded,
  isMissingContainer,
  isMissingImage,
  isNameTaken,
  isRemovalInProgress,
} from "./errors.ts";

/** What the engine's create call takes, less the name. */
export type ContainerOptions = Omit<Docker.ContainerCreateOptions, "name" | "abortSignal">;

export interface ContainerState {
  name: string;
  isRunning: boolean;
  /** It was made, and nobody has started it yet. */
  isFresh: boolean;
  exitCode: number;
  /** The kernel killed a process of this container for want of memory; the exit code alone never says so. */
  wasOutOfMemory: boolean;
  /** The engine's words when the container could not be started. */
  error: string;
  createdAt: Date;
  /** Undefined while it runs, or when it never did. */
  finishedAt: Date | undefined;
  labels: Record<string, string>;
}

export interface ListedContainer {
  id: string;
  name: string;
  labels: Record<string, string>;
  createdAt: Date;
}

/** An engine that is alive answers a look within milliseconds, on a loaded host within seconds. */
const LOOK_TIMEOUT_MS = 15_000;
/** Making and starting a container waits for disks, networks and the engine's own queue. */
const CHANGE_TIMEOUT_MS = 60_000;
const NO_TIME = /^0001-/;

const Created = z.object({ Id: z.string() });
type Creation = { outcome: "created"; id: string } | { outcome: "name-taken" };

/**
 * Creates a container, without starting it. A taken name is an outcome, as the caller chooses the next one.
 * Throws IMAGE_NOT_FOUND, CONTAINER_REFUSED (the engine's own words); TransientError DOCKER_UNREACHABLE.
 */
export async function createContainer(
  engine: Engine,
  name: string | undefined,
  options: ContainerOptions,
): Promise<Creation> {
  try {
    return { outcome: "created", id: await askToCreate(engine, name, options) };
  } catch (error) {
    if (isNameTaken(error)) {
      return { outcome: "name-taken" };
    }
    if (isMissingImage(error)) {
      throw new UserError("IMAGE_NOT_FOUND", `This engine has no image "${options.Image}".`, {
        hint: "Build or pull it on this host, or let the worker pull it: image_pull_policy IfNotPresent or Always.",
        cause: error,
      });
    }
    throw isEngineGone(error) ? engineLost(engine, error) : containerError("created", error);
  }
}

/**
 * dockerode's own `createContainer` also writes everything into the address: secrets of the environment where engines
 * and proxies log it, and more bytes than some take.
 */
function askToCreate(engine: Engine, name: string | undefined, options: ContainerOptions): Promise<string> {
  const { platform, ...body } = options;
  const query = { ...(name === undefined ? {} : { name }), ...(platform === undefined ? {} : { platform }) };
  const request = {
    path: "/containers/create?",
    method: "POST",
    options: { _query: query, _body: body },
    abortSignal: AbortSignal.timeout(CHANGE_TIMEOUT_MS),
    statusCodes: { 200: true, 201: true, 400: "bad parameter", 404: "no such container", 500: "server error" },
  };
  return new Promise((resolve, reject) => {
    engine.docker.modem.dial(request, (error: Error | null, answer: unknown) => {
      const created = Created.safeParse(answer);
      if (created.success) {
        resolve(created.data.Id);
      } else {
        reject(error ?? new Error("the engine's answer to a creation names no container"));
      }
    });
  });
}

/** Throws CONTAINER_REFUSED, for instance when the command is no program of the image; TransientError DOCKER_UNREACHABLE. */
export async function startContainer(engine: Engine, id: string): Promise<void> {
  try {
    await engine.docker.getContainer(id).start({ abortSignal: AbortSignal.timeout(CHANGE_TIMEOUT_MS) });
  } catch (error) {
    if (engineStatus(error) !== 304) {
      throw isEngineGone(error) ? engineLost(engine, error) : containerError("started", error);
    }
  }
}

/** Throws CONTAINER_REFUSED when there is no such network. */
export async function connectNetwork(engine: Engine, id: string, network: string): Promise<void> {
  try {
    await answerWithin(CHANGE_TIMEOUT_MS, engine.docker.getNetwork(network).connect({ Container: id }));
  } catch (error) {
    throw isEngineGone(error)
      ? engineLost(engine, error)
      : new UserError("CONTAINER_REFUSED", `Network "${network}" could not be joined: ${engineText(error)}`, {
          hint: "`docker network ls` lists the networks of this host.",
          cause: error,
        });
  }
}

/** Undefined when there is no such container (any more). Throws TransientError DOCKER_UNREACHABLE. */
export async function findContainer(engine: Engine, id: string): Promise<ContainerState | undefined> {
  try {
    const { Name, State, Created, Config } = await engine.docker
      .getContainer(id)
      .inspect({ abortSignal: AbortSignal.timeout(LOOK_TIMEOUT_MS) });
    return {
      name: Name.replace(/^\//, ""),
      isRunning: State.Running,
      isFresh: State.Status === "created",
      exitCode: State.ExitCode,
      wasOutOfMemory: State.OOMKilled,
      error: State.Error,
      createdAt: new Date(Created),
      finishedAt: State.Running || NO_TIME.test(State.FinishedAt) ? undefined : new Date(State.FinishedAt),
      labels: Config?.Labels ?? {},
    };
  } catch (error) {
    if (isMissingContainer(error)) {
      return undefined;
    }
    throw isEngineGone(error) ? engineLost(engine, error) : error;
  }
}

/** Every container with these labels (`key` or `key=value`), running or not, the newest first. Throws TransientError DOCKER_UNREACHABLE. */
export async function listContainers(engine: Engine, labels: readonly string[]): Promise<ListedContainer[]> {
  try {
    const found = await engine.docker.listContainers({
      all: true,
      filters: { label: [...labels] },
      abortSignal: AbortSignal.timeout(LOOK_TIMEOUT_MS),
    });
    return found.map(({ Id, Names, Labels, Created }) => ({
      id: Id,
      name: (Names[0] ?? Id.slice(0, 12)).replace(/^\//, ""),
      labels: Labels,
      createdAt: new Date(Created * 1000),
    }));
  } catch (error) {
    throw isEngineGone(error) ? engineLost(engine, error) : error;
  }
}

/**
 * Returns when the container does not run any more, or does not exist. Throws TransientError DOCKER_UNREACHABLE when
 * the connection breaks (the engine restarts): the container may still be running then.
 */
export async function waitContainer(engine: Engine, id: string, signal: AbortSignal): Promise<void> {
  try {
    for await (const _ of await openWait(engine, id, signal)) {
      // The exit code, which `findContainer` tells with the rest.
    }
  } catch (error) {
    signal.throwIfAborted();
    if (!isMissingContainer(error)) {
      throw isEngineGone(error) ? engineLost(engine, error) : error;
    }
  }
}

/**
 * The engine begins its answer at once and ends it with the container. dockerode's own `wait` never settles when the
 * connection breaks in between, so the answer is read as the stream that it is.
 */
function openWait(engine: Engine, id: string, abortSignal: AbortSignal): Promise<Readable> {
  const request = {
    path: `/containers/${id}/wait?`,
    method: "POST",
    isStream: true,
    abortSignal,
    statusCodes: { 200: true, 404: "no such container", 500: "server error" },
  };
  return new Promise((resolve, reject) => {
    engine.docker.modem.dial(request, (error: Error | null, answer: unknown) => {
      if (answer instanceof Readable) {
        resolve(answer);
      } else {
        reject(error ?? new Error("the engine's answer to a wait is no stream"));
      }
    });
  });
}

/** SIGTERM, then SIGKILL after the grace. A container that is stopped or gone already is no error. */
export async function stopContainer(engine: Engine, id: string, graceSeconds: number): Promise<void> {
  try {
    const abortSignal = AbortSignal.timeout(graceSeconds * 1000 + CHANGE_TIMEOUT_MS);
    await engine.docker.getContainer(id).stop({ t: graceSeconds, abortSignal });
  } catch (error) {
    if (engineStatus(error) !== 304 && !isMissingContainer(error)) {
      throw isEngineGone(error) ? engineLost(engine, error) : error;
    }
  }
}

/** One that does not run, or is gone, is no error. */
export async function signalContainer(engine: Engine, id: string, signal: number): Promise<void> {
  try {
    await engine.docker
      .getContainer(id)
      .kill({ signal: String(signal), abortSignal: AbortSignal.timeout(LOOK_TIMEOUT_MS) });
  } catch (error) {
    if (engineStatus(error) !== 409 && !isMissingContainer(error)) {
      throw isEngineGone(error) ? engineLost(engine, error) : error;
    }
  }
}

/** Removes a container, killing it first. One that is gone already, or just being removed, is no error. */
export async function removeContainer(engine: Engine, id: string, timeoutMs = CHANGE_TIMEOUT_MS): Promise<void> {
  const remove = () =>
    engine.docker.getContainer(id).remove({ force: true, v: true, abortSignal: AbortSignal.timeout(timeoutMs) });
  try {
    // It ended between the engine's look and its kill: now there is nothing to kill, and removing works.
    await remove().catch((error: unknown) => (isKillOfEnded(error) ? remove() : Promise.reject(error)));
  } catch (error) {
    if (!isMissingContainer(error) && !isRemovalInProgress(error)) {
      throw isEngineGone(error) ? engineLost(engine, error) : error;
    }
  }
}
