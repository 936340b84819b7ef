import { v5 as uuidv5 } from "uuid";
import type { PrefectClient } from "../../src/client/prefect-client.ts";
import { IMAGE_PULL_EVENT, type ImagePull } from "../../src/flowyard-api/run-events.ts";
import { RUN_PHASE_EVENT, type RunPhase } from "../../src/flowyard-api/timeline.ts";
import type { Event } from "../../src/prefect-api/events.ts";
import { sleep } from "../../src/shared/abort.ts";
import type { Clock } from "../../src/shared/clock.ts";
import type { Logger } from "../../src/shared/logger.ts";
import type { WorkerSettings } from "../config.ts";
import type { Exit, StartStep } from "../infrastructure/contract.ts";
import { backOffMs } from "../keep-trying.ts";
import type { WorkerMetrics } from "../metrics.ts";
import { errorFields } from "./report.ts";

/** Makes the ids of events: the same step of the same attempt has the same id, so it is stored once. */
const PHASE_NAMESPACE = "6a0c1f0e-7f0b-5b1b-8f3e-52a5d3f1c7aa";
/** Steps of runs that start together travel together. */
const GATHER_MS = 400;
const MAX_BATCH = 100;
/** While the plane is away; the oldest go first. A timeline is a convenience. */
const MAX_WAITING = 2000;
const MAX_TRIES = 8;
const CLOSE_MS = 2000;

/** One attempt of one run. Nothing of it throws or waits. */
export interface AttemptPhases {
  /** A step on the way from its claim to its start. */
  step(step: StartStep): void;
  started(what: string): void;
  /** Called for each line; only the first counts. */
  line(): void;
  exited(exit: Exit): void;
  /** The worker has nothing to do with it any more; `false`: it was never started. */
  end(wasStarted: boolean): void;
}

export interface RunPhases {
  /** `claimed` now, or `adopted` from another worker: what was before is not told again. */
  begin(run: { flowRunId: string; attempt: string }, how: "claimed" | "adopted"): AttemptPhases;
  /** Sends what waits, for a moment. */
  close(): Promise<void>;
}

interface PhaseDependencies {
  client: {
    events: Pick<PrefectClient["events"], "create">;
    releases: Pick<PrefectClient["releases"], "findCapabilities">;
  };
  settings: Pick<WorkerSettings, "name">;
  metrics: Pick<WorkerMetrics, "noteTaken" | "noteStartPhase" | "noteExit" | "noteGone">;
  clock: Clock;
  logger: Logger;
}

/** Tells the plane and the metrics how runs come to their start. */
export function createRunPhases(own: PhaseDependencies): RunPhases {
  const queue = createEventQueue(own);
  return {
    begin: ({ flowRunId, attempt }, how) => {
      own.metrics.noteTaken(how);
      const emit = (event: string, key: string, payload: RunPhase | ImagePull) =>
        queue.add({
          id: uuidv5(`${attempt}/${key}`, PHASE_NAMESPACE),
          occurred: own.clock.now().toISOString(),
          event,
          resource: { "prefect.resource.id": `prefect.flow-run.${flowRunId}` },
          related: [],
          payload: { ...payload },
        });
      const tell = (phase: RunPhase["phase"], detail?: string) =>
        emit(RUN_PHASE_EVENT, phase, { phase, attempt, worker_name: own.settings.name, detail: detail ?? null });
      const watch = createStopwatch(own.metrics);
      let hasLine = how === "adopted";
      if (how === "claimed") {
        tell("claimed");
      }
      return {
        step: (step) => {
          switch (step.kind) {
            case "image":
              emit(IMAGE_PULL_EVENT, `image-${step.pull.status}-${step.pull.attempt}`, step.pull);
              if (step.pull.status === "pulled") {
                watch.lap("pulled");
              }
              break;
            case "created":
              tell("created", step.what);
              watch.lap("created");
              break;
          }
        },
        started: (what) => {
          tell("started", what);
          watch.lap("started");
        },
        line: () => {
          if (!hasLine) {
            hasLine = true;
            tell("first-log");
            watch.lap("first_log");
          }
        },
        exited: (exit) => {
          const { reason, detail } = describeExit(exit);
          tell("exited", detail);
          own.metrics.noteExit(reason);
        },
        end: (wasStarted) => {
          if (!wasStarted) {
            own.metrics.noteExit("not_started");
          }
          own.metrics.noteGone();
        },
      };
    },
    close: queue.close,
  };
}

function createStopwatch(metrics: Pick<WorkerMetrics, "noteStartPhase">) {
  let last = performance.now();
  return {
    lap: (phase: "pulled" | "created" | "started" | "first_log") => {
      const now = performance.now();
      metrics.noteStartPhase(phase, (now - last) / 1000);
      last = now;
    },
  };
}

export type ExitReason =
  | "succeeded"
  | "failed"
  | "out_of_memory"
  | "killed"
  | "stopped"
  | "engine_away"
  | "vanished"
  | "unwatched"
  | "not_started";

function describeExit(exit: Exit): { reason: ExitReason; detail: string } {
  switch (exit.kind) {
    case "vanished":
      return { reason: "vanished", detail: "removed by somebody" };
    case "unwatched":
      return { reason: "unwatched", detail: `goes on, not watched after ${exit.afterSeconds} s` };
    case "exited": {
      const detail = `exit code ${exit.exitCode}`;
      if (exit.wasOutOfMemory === true) {
        return { reason: "out_of_memory", detail: `${detail}, out of memory` };
      }
      if (exit.byHand !== undefined) {
        return { reason: exit.byHand, detail: `${detail}, ${exit.byHand} by hand` };
      }
      if (exit.engineWasAway === true) {
        return { reason: "engine_away", detail: `${detail}, the engine was away` };
      }
      return { reason: exit.exitCode === 0 ? "succeeded" : "failed", detail };
    }
  }
}

/** Sends events in the background. What cannot be sent after some tries is dropped. */
function createEventQueue({ client, logger }: PhaseDependencies) {
  const waiting: Event[] = [];
  const stop = new AbortController();
  let sending: Promise<void> | undefined;
  let isWanted: boolean | undefined;
  /** Of those that wait, the first so many are on their way. */
  let onTheirWay = 0;
  let dropped = 0;

  function dropOldest(): void {
    waiting.splice(onTheirWay, 1);
    dropped += 1;
    if (dropped === 1) {
      logger.warn({ kept: MAX_WAITING }, "Too many steps of runs wait for the plane; the oldest are dropped");
    }
  }

  async function sendAll(): Promise<void> {
    let failures = 0;
    await sleep(GATHER_MS, stop.signal);
    while (waiting.length > 0) {
      const batch = waiting.slice(0, MAX_BATCH);
      onTheirWay = batch.length;
      try {
        // Only a plane that shows them is told: on Prefect's servers they would be noise.
        isWanted ??= (await client.releases.findCapabilities())?.features.includes("timeline") ?? false;
        if (isWanted) {
          await client.events.create(batch);
        }
        waiting.splice(0, batch.length);
        failures = 0;
        if (dropped > 0) {
          logger.warn({ dropped }, "Steps of runs were dropped: their timelines lack them");
          dropped = 0;
        }
      } catch (error) {
        failures += 1;
        if (stop.signal.aborted || failures > MAX_TRIES) {
          logger.warn({ ...errorFields(error), events: waiting.length }, "Steps of runs could not be told");
          waiting.length = 0;
          return;
        }
        await sleep(backOffMs(failures), stop.signal);
      } finally {
        onTheirWay = 0;
      }
    }
  }

  return {
    add: (event: Event) => {
      if (isWanted === false) {
        return;
      }
      waiting.push(event);
      if (waiting.length > MAX_WAITING) {
        dropOldest();
      }
      sending ??= sendAll().finally(() => {
        sending = undefined;
      });
    },
    close: async () => {
      stop.abort();
      await Promise.race([sending, sleep(CLOSE_MS, new AbortController().signal)]);
    },
  };
}
