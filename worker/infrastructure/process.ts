import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { split } from "shlex";
import { z } from "zod";
import { sleep } from "../../src/shared/abort.ts";
import { errorMessage, UserError } from "../../src/shared/errors.ts";
import { type Job, parseConfiguration } from "../job.ts";
import type { Exit, Infrastructure, StartedRun } from "./contract.ts";

const TAIL_LINES = 20;
const EXIT_POLL_MS = 50;
const DRAIN_MS = 1000;

const ProcessConfiguration = z.object({
  stream_output: z.boolean().nullish(),
  working_dir: z.string().nullish(),
});

interface ProcessSettings {
  /** The interpreter that has Prefect installed. */
  python: string;
  /** Runs inherit the worker's environment, as Prefect's process worker does. */
  environment: Record<string, string>;
}

/**
 * Runs as child processes of the worker, each leading a process group so that all that it starts can be ended.
 * They outlive a worker that has to go at once: `prefect flow-run execute` stands between the worker's closed pipe and
 * the engine, which reports the run's end. Told to end, it would leave the engine alone with that pipe, to crash at the
 * next line that its flow prints.
 */
export function createProcessInfrastructure({ python, environment }: ProcessSettings): Infrastructure {
  return {
    type: "process",
    checkReady: () => Promise.resolve(),
    start: async (job) => {
      const { working_dir, stream_output } = parseConfiguration(ProcessConfiguration, job.configuration);
      const folder = await provideFolder(working_dir ?? undefined);
      try {
        const [program = python, ...args] = buildCommand(job, python);
        const child = await spawnGroup(program, args, { cwd: folder.path, env: { ...environment, ...job.env } });
        return buildStartedRun(child, { streamOutput: stream_output ?? true, cleanUp: folder.remove });
      } catch (error) {
        await folder.remove();
        throw error;
      }
    },
  };
}

function buildCommand(job: Job, python: string): string[] {
  if (job.command === undefined) {
    return [python, "-m", "prefect", "flow-run", "execute"];
  }
  try {
    return split(job.command);
  } catch (cause) {
    throw new UserError(
      "JOB_INVALID",
      `The command ${JSON.stringify(job.command)} cannot be split: ${errorMessage(cause)}`,
      {
        hint: "Close every quote in the job variable command.",
        cause,
      },
    );
  }
}

async function provideFolder(workingDir: string | undefined): Promise<{ path: string; remove: () => Promise<void> }> {
  if (workingDir === undefined) {
    const path = await mkdtemp(join(tmpdir(), "flowyard-run-"));
    return { path, remove: () => rm(path, { recursive: true, force: true }) };
  }
  const path = resolve(workingDir);
  const isFolder = await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (!isFolder) {
    throw new UserError("JOB_INVALID", `The working_dir "${workingDir}" is no folder of the worker's machine.`, {
      hint: "Create it there, or leave working_dir out: each run then gets a folder of its own.",
    });
  }
  return { path, remove: () => Promise.resolve() };
}

function spawnGroup(
  program: string,
  args: string[],
  options: { cwd: string; env: Record<string, string> },
): Promise<ChildProcess> {
  return new Promise((resolveChild, reject) => {
    const child = spawn(program, args, { ...options, detached: true, stdio: ["ignore", "pipe", "pipe"] });
    child.once("spawn", () => resolveChild(child));
    child.once("error", (cause) =>
      reject(
        new UserError("PROCESS_REFUSED", `"${program}" could not be started: ${errorMessage(cause)}`, {
          hint: "Set FLOWYARD_WORKER_PYTHON to a Python that has Prefect installed, or correct the job variable command.",
          cause,
        }),
      ),
    );
  });
}

function buildStartedRun(
  child: ChildProcess,
  { streamOutput, cleanUp }: { streamOutput: boolean; cleanUp: () => Promise<void> },
): StartedRun {
  const ended = new Promise<number>((resolveCode) => {
    child.once("exit", (code, signal) => resolveCode(code ?? (signal === "SIGKILL" ? 137 : 143)));
  });
  const drained = new Promise<void>((resolveDrained) => {
    child.once("close", () => resolveDrained());
  });
  return {
    pid: String(child.pid),
    what: `process ${child.pid}`,
    watch: async (onOutput, signal): Promise<Exit> => {
      const lastLines: string[] = [];
      for (const stream of [child.stdout, child.stderr]) {
        if (stream !== null) {
          createInterface({ input: stream }).on("line", (line) => {
            lastLines.push(line);
            lastLines.splice(0, lastLines.length - TAIL_LINES);
            if (streamOutput) {
              onOutput(line);
            }
          });
        }
      }
      const exitCode = await Promise.race([ended, rejectOnAbort(signal)]);
      // The rest of its output; a daemon that it left behind may keep the pipe open for ever.
      await Promise.race([drained, sleep(DRAIN_MS, signal)]);
      await cleanUp();
      return { kind: "exited", exitCode, wasOutOfMemory: undefined, lastLines };
    },
    stop: async (graceSeconds) => {
      killGroup(child, "SIGTERM");
      const deadline = AbortSignal.timeout(graceSeconds * 1000);
      while (isGroupAlive(child) && !deadline.aborted) {
        await sleep(EXIT_POLL_MS, deadline);
      }
      killGroup(child, "SIGKILL");
    },
  };
}

function rejectOnAbort(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid !== undefined && isGroupAlive(child)) {
    process.kill(-child.pid, signal);
  }
}

function isGroupAlive({ pid }: ChildProcess): boolean {
  if (pid === undefined) {
    return false;
  }
  try {
    process.kill(-pid, 0);
    return true;
  } catch {
    return false;
  }
}
