import type { OutputLine, OutputPosition } from "../../src/docker/logs.ts";
import type { ImagePull } from "../../src/flowyard-api/run-events.ts";
import type { Job } from "../jobs/job.ts";
import type { RunFacts } from "../runs/run-facts.ts";

/** How a run's container or process ended. */
export type Exit =
  | {
      kind: "exited";
      exitCode: number;
      /**
       * The kernel killed a process of it for want of memory; undefined where nobody can tell. The exit code may be 0
       * all the same. `likely`: it was killed, has a memory limit, and nobody asked the engine for it.
       */
      wasOutOfMemory: boolean | "likely" | undefined;
      /** Its memory limit in the user's words, when there was one. */
      memoryLimit?: string | undefined;
      /** Somebody's doing, as far as the infrastructure tells; undefined when it ended by itself, or nobody knows. */
      byHand?: "killed" | "stopped" | undefined;
      /** The engine itself went away while it ran, and it had ended when the engine was back. */
      engineWasAway?: boolean | undefined;
    }
  /** It is not there any more and nobody knows how it ended: removed by somebody. */
  | { kind: "vanished"; what: string }
  /** It goes on, but is no longer watched (`container_wait_timeout`). */
  | { kind: "unwatched"; afterSeconds: number };

/**
 * One run that was started, by this worker or by another one before it. Everything may be called again and at any
 * time, also when it has ended or is gone.
 */
export interface StartedRun {
  /** Names it among all runs of all times: what is noted about it is kept under this. */
  key: string;
  /** Prefect's `infrastructure_pid`. */
  pid: string;
  /** For people: `container "curious-otter"`, `process 4711`. */
  what: string;
  facts: RunFacts;
  /** Whether its output is also wanted on the worker's own (`stream_output`). */
  streamOutput: boolean;
  /** Removed when it has ended, however it ended (`auto_remove`). */
  removeAlways: boolean;
  /**
   * Its output from behind a position to its end. Lines have the same places however often they are read. Comes through
   * restarts of the engine. Throws only when the signal aborts, or when the output cannot be read at all.
   */
  readOutput(from: OutputPosition, signal: AbortSignal): AsyncIterable<OutputLine>;
  /** Rejects only when the signal aborts: the run then goes on without us. */
  waitForEnd(signal: AbortSignal): Promise<Exit>;
  /**
   * Asks an engine that can be asked (`facts.engine`) to cancel its flow. Its end is not waited for. Throws
   * TransientError when the infrastructure is away.
   */
  askToCancel(): Promise<void>;
  /** Ends it: politely, and by force after the grace. Throws TransientError when the engine is away. */
  stop(graceSeconds: number): Promise<void>;
  /** Removes what is left of it, output included. Throws TransientError when the engine is away. */
  remove(): Promise<void>;
}

/** A run that was found, whoever started it. */
export interface FoundRun {
  run: StartedRun;
  /** `fresh`: its worker died between making and starting it, and it never ran. */
  status: "fresh" | "running" | "ended";
  createdAt: Date;
  endedAt: Date | undefined;
}

/** What is told while a run is started, besides words. */
export type StartStep = { kind: "image"; pull: ImagePull } | { kind: "created"; what: string };

/** Takes what people may want to know of a start, and its steps. Never throws. */
export type StartNote = (message: string, step?: StartStep) => void;

/** What gives runs a place to run in. One instance serves all runs of a worker at the same time. */
export interface Infrastructure {
  /** The work pool type that it is for. */
  type: string;
  /**
   * Looks whether a run could be started now; asked before runs are taken, so that they wait at the plane and not
   * here. Throws what is in the way.
   */
  checkReady(): Promise<void>;
  /**
   * Starts one run. Whatever it made is undone when it throws. Throws UserError JOB_INVALID, IMAGE_NOT_FOUND,
   * IMAGE_PULL_REFUSED, CONTAINER_REFUSED …, TransientError DOCKER_UNREACHABLE, REGISTRY_UNREACHABLE, REGISTRY_RATE_LIMITED; the signal's
   * reason when it aborts before the run was started.
   */
  start(job: Job, note: StartNote, signal: AbortSignal): Promise<StartedRun>;
  /**
   * Fetches what runs of an image will need; left out where nothing is fetched. Throws as `start` does for the image.
   */
  pullAhead?(image: string, signal: AbortSignal): Promise<"pulled" | "here">;
  /**
   * Every run of a pool that this place holds, whoever started it, running or ended; without those attempts that need
   * not be looked at. Throws TransientError.
   */
  listRuns(workPoolId: string, skipsAttempt?: (attempt: string) => boolean): Promise<FoundRun[]>;
}
