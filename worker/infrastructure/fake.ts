import { z } from "zod";
import type { PrefectClient } from "../../src/client/prefect-client.ts";
import type { OutputLine, OutputPosition } from "../../src/docker/logs.ts";
import { sleep } from "../../src/shared/abort.ts";
import { TransientError, UserError } from "../../src/shared/errors.ts";
import { type Job, parseConfiguration } from "../jobs/job.ts";
import type { RunFacts } from "../runs/run-facts.ts";
import type { Exit, FoundRun, Infrastructure, StartedRun } from "./contract.ts";

/**
 * What the job variable `fake` asks for: how the start goes, what the "engine" reports, and how the end looks.
 * `start: late` is told as lost and comes about all the same. `reports: hangs` runs until it is stopped; `nothing` ends without a word to the plane.
 */
const FakeRun = z.object({
  start: z.enum(["works", "refused", "lost", "late", "broken"]).default("works"),
  reports: z.enum(["completed", "failed", "running", "nothing", "hangs"]).default("completed"),
  seconds: z.number().default(0),
  lines: z.array(z.string()).default([]),
  /** Printed just before the end. */
  last_lines: z.array(z.string()).default([]),
  exit_code: z.number().default(0),
  out_of_memory: z.boolean().default(false),
  vanishes: z.boolean().default(false),
});
type FakeRun = z.infer<typeof FakeRun>;
const FakeConfiguration = z.object({ fake: FakeRun.nullish().transform((fake) => fake ?? FakeRun.parse({})) });

const STOPPED_EXIT_CODE = 143;
const FOREVER_MS = 2 ** 31 - 1;

interface FakeContainer {
  key: string;
  facts: RunFacts;
  lines: OutputLine[];
  /** Resolves when there are more lines, or none will come. */
  news: PromiseWithResolvers<void>;
  exit: Exit | undefined;
  ended: Promise<void>;
  stop: AbortController;
  createdAt: Date;
  endedAt: Date | undefined;
}

/** What outlives a worker: the place where its runs are. */
interface FakeMachine {
  containers: Map<string, FakeContainer>;
}

export function createFakeMachine(): FakeMachine {
  return { containers: new Map() };
}

interface FakeInfrastructure extends Infrastructure {
  /** Ids of the runs that were started, in order; more than once when they were. */
  started: string[];
  /** The most that ran at the same time. */
  mostAtOnce: number;
  /** Thrown by `checkReady` while it is set. */
  notReady: Error | undefined;
  /** While it is set no start comes to an end, as with an image that takes for ever. */
  startsHang: boolean;
}

type FakeClient = { flowRuns: Pick<PrefectClient["flowRuns"], "setState"> };

/** Runs without machines: no container, no process, but the same calls and the same states at the plane. */
export function createFakeInfrastructure(client: FakeClient, machine = createFakeMachine()): FakeInfrastructure {
  const { containers } = machine;
  const infrastructure: FakeInfrastructure = {
    type: "fake",
    started: [],
    mostAtOnce: 0,
    notReady: undefined,
    startsHang: false,
    checkReady: async () => {
      if (infrastructure.notReady !== undefined) {
        throw infrastructure.notReady;
      }
    },
    start: async (job, _note, signal) => {
      const { fake } = parseConfiguration(FakeConfiguration, job.configuration);
      refuseStart(fake);
      if (infrastructure.startsHang) {
        await sleep(FOREVER_MS, signal);
        signal.throwIfAborted();
      }
      infrastructure.started.push(job.flowRun.id);
      const container = startContainer(client, job, fake);
      containers.set(container.key, container);
      if (fake.start === "late") {
        throw new TransientError("DOCKER_UNREACHABLE", "The fake engine did not answer");
      }
      const running = [...containers.values()].filter(({ exit }) => exit === undefined).length;
      infrastructure.mostAtOnce = Math.max(infrastructure.mostAtOnce, running);
      return buildStartedRun(machine, container);
    },
    listRuns: async (workPoolId, skipsAttempt = () => false) =>
      [...containers.values()]
        .filter(({ facts }) => facts.work_pool_id === workPoolId && !skipsAttempt(facts.attempt))
        .map(
          (container): FoundRun => ({
            run: buildStartedRun(machine, container),
            status: container.exit === undefined ? "running" : "ended",
            createdAt: container.createdAt,
            endedAt: container.endedAt,
          }),
        ),
  };
  return infrastructure;
}

function refuseStart({ start }: FakeRun): void {
  switch (start) {
    case "works":
      return;
    case "refused":
      throw new UserError("IMAGE_NOT_FOUND", "There is no such fake image.", { hint: "Make one." });
    case "late":
      return;
    case "lost":
      throw new TransientError("DOCKER_UNREACHABLE", "The fake engine went away");
    case "broken":
      throw new TypeError("a bug in the fake infrastructure");
  }
}

function startContainer(client: FakeClient, job: Job, fake: FakeRun): FakeContainer {
  const container: FakeContainer = {
    key: `fake:${job.facts.attempt}`,
    facts: job.facts,
    lines: [],
    news: Promise.withResolvers(),
    exit: undefined,
    ended: Promise.resolve(),
    stop: new AbortController(),
    createdAt: new Date(),
    endedAt: undefined,
  };
  container.ended = live(client, container, fake);
  return container;
}

/** The life of a container: it goes on whatever becomes of the worker. */
async function live(client: FakeClient, container: FakeContainer, fake: FakeRun): Promise<void> {
  const { stop, facts } = container;
  const report = async (type: "RUNNING" | "COMPLETED" | "FAILED") => {
    if (!stop.signal.aborted) {
      await client.flowRuns.setState(facts.flow_run_id, { state: { type } }).catch(() => undefined);
    }
  };
  if (fake.reports !== "nothing") {
    await report("RUNNING");
  }
  print(container, fake.lines);
  await sleep(fake.reports === "hangs" ? FOREVER_MS : fake.seconds * 1000, stop.signal);
  print(container, fake.last_lines);
  if (fake.reports === "completed" || fake.reports === "failed") {
    await report(fake.reports === "completed" ? "COMPLETED" : "FAILED");
  }
  container.endedAt = new Date();
  container.exit = fake.vanishes
    ? { kind: "vanished", what: `Fake run ${facts.flow_run_id}` }
    : {
        kind: "exited",
        exitCode: stop.signal.aborted ? STOPPED_EXIT_CODE : fake.exit_code,
        wasOutOfMemory: fake.out_of_memory,
      };
  print(container, []);
}

function print(container: FakeContainer, texts: readonly string[]): void {
  for (const text of texts) {
    const at = `${new Date().toISOString().slice(0, 23)}000000Z`;
    container.lines.push({ stream: "stdout", text, at, place: String(container.lines.length + 1).padStart(9, "0") });
  }
  container.news.resolve();
  container.news = Promise.withResolvers();
}

function buildStartedRun({ containers }: FakeMachine, container: FakeContainer): StartedRun {
  const { key, facts } = container;
  return {
    key,
    pid: `fake:${facts.flow_run_id}`,
    what: `fake run ${facts.flow_run_id}`,
    facts,
    streamOutput: true,
    removeAlways: false,
    readOutput: (from, signal) => readLines(container, from, signal),
    waitForEnd: async (signal) => {
      const aborted = Promise.withResolvers<never>();
      signal.addEventListener("abort", () => aborted.reject(signal.reason), { once: true });
      aborted.promise.catch(() => undefined);
      signal.throwIfAborted();
      await Promise.race([container.ended, aborted.promise]);
      return container.exit ?? { kind: "vanished", what: `Fake run ${facts.flow_run_id}` };
    },
    askToCancel: async () => container.stop.abort(),
    stop: async () => container.stop.abort(),
    remove: async () => {
      container.stop.abort();
      containers.delete(key);
    },
  };
}

async function* readLines(
  container: FakeContainer,
  from: OutputPosition,
  signal: AbortSignal,
): AsyncGenerator<OutputLine> {
  const aborted = Promise.withResolvers<void>();
  signal.addEventListener("abort", () => aborted.resolve(), { once: true });
  for (let next = Number(from.stdout ?? "0"); ; next += 1) {
    while (next >= container.lines.length && container.exit === undefined) {
      await Promise.race([container.news.promise, aborted.promise]);
      signal.throwIfAborted();
    }
    const line = container.lines[next];
    if (line === undefined) {
      return;
    }
    yield line;
  }
}
