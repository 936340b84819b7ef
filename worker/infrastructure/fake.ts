import { z } from "zod";
import type { PrefectClient } from "../../src/client/prefect-client.ts";
import { sleep } from "../../src/shared/abort.ts";
import { TransientError, UserError } from "../../src/shared/errors.ts";
import { type Job, parseConfiguration } from "../job.ts";
import type { Exit, Infrastructure, StartedRun } from "./contract.ts";

/**
 * What the job variable `fake` asks for: how the start goes, what the "engine" reports, and how the end looks.
 * `reports: hangs` runs until it is stopped; `nothing` ends without a word to the plane.
 */
const FakeRun = z.object({
  start: z.enum(["works", "refused", "lost", "broken"]).default("works"),
  reports: z.enum(["completed", "failed", "running", "nothing", "hangs"]).default("completed"),
  seconds: z.number().default(0),
  lines: z.array(z.string()).default([]),
  exit_code: z.number().default(0),
  out_of_memory: z.boolean().default(false),
  vanishes: z.boolean().default(false),
});
type FakeRun = z.infer<typeof FakeRun>;
const FakeConfiguration = z.object({ fake: FakeRun.nullish().transform((fake) => fake ?? FakeRun.parse({})) });

const STOPPED_EXIT_CODE = 143;

interface FakeInfrastructure extends Infrastructure {
  /** Ids of the runs that were started, in order; more than once when they were. */
  started: string[];
  /** The most that ran at the same time. */
  mostAtOnce: number;
  /** Thrown by `checkReady` while it is set. */
  notReady: Error | undefined;
}

type FakeClient = { flowRuns: Pick<PrefectClient["flowRuns"], "setState"> };

/** Runs without machines: no container, no process, but the same calls and the same states at the plane. */
export function createFakeInfrastructure(client: FakeClient): FakeInfrastructure {
  let running = 0;
  const infrastructure: FakeInfrastructure = {
    type: "fake",
    started: [],
    mostAtOnce: 0,
    notReady: undefined,
    checkReady: async () => {
      if (infrastructure.notReady !== undefined) {
        throw infrastructure.notReady;
      }
    },
    start: async (job) => {
      const { fake } = parseConfiguration(FakeConfiguration, job.configuration);
      refuseStart(fake);
      infrastructure.started.push(job.flowRun.id);
      running += 1;
      infrastructure.mostAtOnce = Math.max(infrastructure.mostAtOnce, running);
      return buildStartedRun(client, job, fake, () => {
        running -= 1;
      });
    },
  };
  return infrastructure;
}

function refuseStart({ start }: FakeRun): void {
  switch (start) {
    case "works":
      return;
    case "refused":
      throw new UserError("IMAGE_NOT_FOUND", "There is no such fake image.", { hint: "Make one." });
    case "lost":
      throw new TransientError("DOCKER_UNREACHABLE", "The fake engine went away");
    case "broken":
      throw new TypeError("a bug in the fake infrastructure");
  }
}

function buildStartedRun(client: FakeClient, job: Job, fake: FakeRun, onEnd: () => void): StartedRun {
  const { id } = job.flowRun;
  const stop = new AbortController();
  const report = async (type: "RUNNING" | "COMPLETED" | "FAILED") => {
    if (!stop.signal.aborted) {
      await client.flowRuns.setState(id, { state: { type } });
    }
  };
  return {
    pid: `fake:${id}`,
    what: `fake run ${id}`,
    watch: async (onOutput, signal): Promise<Exit> => {
      if (fake.reports !== "nothing") {
        await report("RUNNING");
      }
      for (const line of fake.lines) {
        onOutput(line);
      }
      const untilStopped = AbortSignal.any([stop.signal, signal]);
      await sleep(fake.reports === "hangs" ? 2 ** 31 - 1 : fake.seconds * 1000, untilStopped);
      if (fake.reports === "completed" || fake.reports === "failed") {
        await report(fake.reports === "completed" ? "COMPLETED" : "FAILED");
      }
      onEnd();
      signal.throwIfAborted();
      return fake.vanishes
        ? { kind: "vanished", what: `Fake run ${id}` }
        : {
            kind: "exited",
            exitCode: stop.signal.aborted ? STOPPED_EXIT_CODE : fake.exit_code,
            wasOutOfMemory: fake.out_of_memory,
            lastLines: fake.lines,
          };
    },
    stop: async () => stop.abort(),
  };
}
