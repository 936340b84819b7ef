import { spawn } from "node:child_process";
import { access, constants, mkdtemp, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { split } from "shlex";
import { z } from "zod";
import { errorMessage, UserError } from "../../src/shared/errors.ts";
import { buildDirectCommand } from "../jobs/engine.ts";
import { type Job, parseConfiguration } from "../jobs/job.ts";
import { routeThroughRelay } from "../relay/run-environment.ts";
import type { Infrastructure } from "./contract.ts";
import {
  buildProcessRun,
  findProcessRuns,
  type ProcessRecord,
  removeRecord,
  SHIM,
  saveRecord,
  waitForShim,
} from "./process-run.ts";

const ProcessConfiguration = z.object({
  stream_output: z.boolean().nullish(),
  working_dir: z.string().nullish(),
});

interface ProcessSettings {
  /** The interpreter that has Prefect installed. */
  python: string;
  /** Runs inherit the worker's environment, as Prefect's process worker does. */
  environment: Record<string, string>;
  /** Where the runs' output and ends are kept: whoever knows the folder can adopt them. */
  folder: string;
}

/**
 * Runs as processes of their own session on the worker's machine. They do not need the worker: their output goes to
 * files, and a small shell that waits for each of them writes down how it ended.
 */
export function createProcessInfrastructure({ python, environment, folder }: ProcessSettings): Infrastructure {
  return {
    type: "process",
    checkReady: () => Promise.resolve(),
    start: async (job, _note, signal) => {
      const { working_dir, stream_output } = parseConfiguration(ProcessConfiguration, job.configuration);
      const command = buildCommand(job, python);
      const env = {
        ...environment,
        ...(job.relay === undefined ? job.env : routeThroughRelay(job.env, job.relay, "127.0.0.1")),
      };
      const place = await provideFolder(working_dir ?? undefined);
      const record: ProcessRecord = {
        facts: job.facts,
        stream_output: stream_output ?? true,
        own_folder: place.isOwn ? place.path : undefined,
        created_at: new Date().toISOString(),
      };
      const path = await saveRecord(folder, record);
      try {
        await checkProgram(command[0] ?? python, { path: env["PATH"] ?? "", cwd: place.path });
        signal.throwIfAborted();
        const pid = await spawnShim({ path, command, env, cwd: place.path });
        await waitForShim(path);
        return buildProcessRun({ path, record }, pid);
      } catch (error) {
        await removeRecord({ path, record });
        throw error;
      }
    },
    listRuns: (workPoolId, skipsAttempt = () => false) =>
      findProcessRuns(folder, (facts) => facts.work_pool_id === workPoolId && !skipsAttempt(facts.attempt)),
  };
}

function buildCommand(job: Job, python: string): string[] {
  if (job.command === undefined) {
    return job.engine === "direct" ? buildDirectCommand(python) : [python, "-m", "prefect", "flow-run", "execute"];
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

async function provideFolder(workingDir: string | undefined): Promise<{ path: string; isOwn: boolean }> {
  if (workingDir === undefined) {
    return { path: await mkdtemp(join(tmpdir(), "flowyard-run-")), isOwn: true };
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
  return { path, isOwn: false };
}

/** Told before the run is started: the shell that starts it could only say so in its output. */
async function checkProgram(program: string, { path, cwd }: { path: string; cwd: string }): Promise<void> {
  const candidates = program.includes("/")
    ? [resolve(cwd, program)]
    : path.split(delimiter).map((folder) => join(folder, program));
  for (const candidate of candidates) {
    const isThere = await access(candidate, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) {
      return;
    }
  }
  throw new UserError("PROCESS_REFUSED", `"${program}" could not be started: there is no such program.`, {
    hint: "Set FLOWYARD_WORKER_PYTHON to a Python that has Prefect installed, or correct the job variable command.",
  });
}

interface Start {
  path: string;
  command: string[];
  env: Record<string, string>;
  cwd: string;
}

function spawnShim({ path, command, env, cwd }: Start): Promise<number | undefined> {
  return new Promise((resolvePid, reject) => {
    const child = spawn("/bin/sh", ["-c", SHIM, "flowyard-run", path, ...command], {
      cwd,
      env,
      detached: true,
      stdio: "ignore",
    });
    child.once("spawn", () => {
      child.unref();
      resolvePid(child.pid);
    });
    child.once("error", (cause) =>
      reject(new UserError("PROCESS_REFUSED", `/bin/sh could not be started: ${errorMessage(cause)}`, { cause })),
    );
  });
}
