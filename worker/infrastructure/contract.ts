import type { Job } from "../job.ts";

/** How a run's container or process ended. */
export type Exit =
  | {
      kind: "exited";
      exitCode: number;
      /** The kernel killed a process of it for want of memory; undefined where nobody can tell. The exit code may be 0 all the same. */
      wasOutOfMemory: boolean | undefined;
      /** Its memory limit in the user's words, when there was one. */
      memoryLimit?: string | undefined;
      lastLines: string[];
    }
  /** It is not there any more and nobody knows how it ended: removed by somebody. */
  | { kind: "vanished"; what: string }
  /** It goes on, but is no longer watched (`container_wait_timeout`). */
  | { kind: "unwatched"; afterSeconds: number };

/** One line of a run's output. Must not throw; is called in the order of the output. */
type OnOutput = (line: string) => void;

export interface StartedRun {
  /** Prefect's `infrastructure_pid`. */
  pid: string;
  /** For people: `container "curious-otter"`, `process 4711`. */
  what: string;
  /**
   * Waits for the end and hands out the output on the way; to be called once. Comes through restarts of the engine.
   * Rejects only when the signal aborts: the run then goes on without us.
   */
  watch(onOutput: OnOutput, signal: AbortSignal): Promise<Exit>;
  /** Ends it: politely, and by force after the grace. May be called at any time, also when it has ended. */
  stop(graceSeconds: number): Promise<void>;
}

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
   * IMAGE_PULL_REFUSED, CONTAINER_REFUSED …, TransientError DOCKER_UNREACHABLE, REGISTRY_UNREACHABLE.
   */
  start(job: Job, note: (message: string) => void): Promise<StartedRun>;
}
