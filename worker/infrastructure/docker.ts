import {
  connectNetwork,
  createContainer,
  findContainer,
  listContainers,
  removeContainer,
  startContainer,
} from "../../src/docker/containers.ts";
import { checkEngine, type Engine } from "../../src/docker/engine.ts";
import { errorMessage, UserError } from "../../src/shared/errors.ts";
import type { Job } from "../jobs/job.ts";
import { factsFromLabels, POOL_LABEL } from "../runs/run-facts.ts";
import type { FoundRun, Infrastructure } from "./contract.ts";
import { createImageProvider } from "./docker-images.ts";
import { createInitCheck, withInit } from "./docker-init.ts";
import { buildStartedRun, WatchOptions } from "./docker-run.ts";
import { buildContainerSpec, type ContainerSpec, WATCH_LABEL } from "./docker-spec.ts";
import type { Allowed } from "./isolation.ts";

const MAX_NAME_TRIES = 1000;
/** An engine that hangs must not keep the run's end from being reported; who adopts removes what is left. */
const CLEAN_UP_TIMEOUT_MS = 10_000;

interface DockerOptions {
  /** What the worker's operator lets jobs ask for. */
  allow?: Allowed;
  /** Told of every image that is pulled and was not here before. */
  onPulled?: (image: string) => Promise<void>;
}

/** Runs as containers of one Docker engine. */
export function createDockerInfrastructure(
  engine: Engine,
  workingDirectory: string,
  { allow, onPulled = () => Promise.resolve() }: DockerOptions = {},
): Infrastructure {
  const host = {
    platform: process.platform,
    engineVersion: engine.version,
    engineUrl: engine.url,
    workingDirectory,
    allow,
  };
  const images = createImageProvider(engine, onPulled);
  const hasOwnInit = createInitCheck(engine);
  return {
    type: "docker",
    checkReady: () => checkEngine(engine),
    pullAhead: async (image, signal) => {
      let outcome: "pulled" | "here" = "here";
      await images.provide(
        // A tag that may have moved is asked for again by the run itself.
        { image, pullPolicy: "IfNotPresent", credentials: undefined },
        (_message, step) => {
          outcome = step?.kind === "image" && step.pull.status === "pulled" ? "pulled" : outcome;
        },
        signal,
      );
      return outcome;
    },
    start: async (job, note, signal) => {
      const spec = buildContainerSpec(job, host);
      for (const message of spec.notes) {
        note(message);
      }
      await images.provide(spec, note, signal);
      const needsInit = !spec.decidesInit && !(await hasOwnInit(spec.image));
      signal.throwIfAborted();
      const { id, name } = await createWithFreeName(engine, needsInit ? withInit(spec) : spec, job);
      note(`Created container ${name}`, { kind: "created", what: `container "${name}"` });
      try {
        for (const network of spec.furtherNetworks) {
          await connectNetwork(engine, id, network);
        }
        await startContainer(engine, id);
      } catch (error) {
        // It never ran and nobody will look for it: left behind, it would keep its name and its image.
        await removeContainer(engine, id, CLEAN_UP_TIMEOUT_MS).catch((failure: unknown) =>
          note(`The container ${name}, which could not be started, could not be removed: ${errorMessage(failure)}`),
        );
        throw error;
      }
      return buildStartedRun(engine, { id, name, facts: job.facts, options: spec.watch, createdAt: new Date() });
    },
    listRuns: async (workPoolId, skipsAttempt = () => false) => {
      const listed = await listContainers(engine, [`${POOL_LABEL}=${workPoolId}`]);
      const wanted = listed.filter(({ labels }) => !skipsAttempt(factsFromLabels(labels)?.attempt ?? ""));
      const found = await Promise.all(wanted.map(({ id }) => findRun(engine, id)));
      return found.filter((run) => run !== undefined);
    },
  };
}

/** Undefined when it was removed meanwhile, or is not complete. */
async function findRun(engine: Engine, id: string): Promise<FoundRun | undefined> {
  const state = await findContainer(engine, id);
  const facts = state === undefined ? undefined : factsFromLabels(state.labels);
  if (state === undefined || facts === undefined) {
    return undefined;
  }
  const { name, createdAt, isFresh, isRunning, finishedAt } = state;
  return {
    run: buildStartedRun(engine, { id, name, facts, options: readWatchOptions(state.labels), createdAt }),
    status: isFresh ? "fresh" : isRunning ? "running" : "ended",
    createdAt,
    endedAt: finishedAt,
  };
}

function readWatchOptions(labels: Record<string, string>): WatchOptions {
  try {
    return WatchOptions.parse(JSON.parse(labels[WATCH_LABEL] ?? "{}"));
  } catch {
    return WatchOptions.parse({}); // written by hand: watched all the same
  }
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
      hint: "Remove old ones with `docker container prune`.",
    },
  );
}
