import assert from "node:assert/strict";
import { mkdtemp, readFile, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { JsonObject } from "../../../src/prefect-api/primitives.ts";
import type { Exit, StartedRun } from "../../../worker/infrastructure/contract.ts";
import { createProcessInfrastructure } from "../../../worker/infrastructure/process.ts";
import { exampleJob } from "../jobs/job-examples.ts";

const PATH = "/usr/local/bin:/usr/bin:/bin";
const never = new AbortController().signal;
let folder = "";

function start(jobVariables: JsonObject, python = "python3") {
  const infrastructure = createProcessInfrastructure({ python, environment: { PATH, INHERITED: "yes" }, folder });
  return infrastructure.start(exampleJob(jobVariables, { type: "process" }), () => undefined, never);
}

async function readFirstLine(run: StartedRun): Promise<string> {
  for await (const { text } of run.readOutput({}, never)) {
    return text;
  }
  return "";
}

async function readLines(run: StartedRun): Promise<string[]> {
  const lines: string[] = [];
  for await (const { text } of run.readOutput({}, never)) {
    lines.push(text);
  }
  return lines;
}

async function runToEnd(jobVariables: JsonObject): Promise<{ exit: Exit; lines: string[] }> {
  const run = await start(jobVariables);
  const [lines, exit] = await Promise.all([readLines(run), run.waitForEnd(never)]);
  await run.remove();
  return { exit, lines };
}

/** A killed process that nobody has waited for yet is a zombie: it does not run any more. */
async function isRunning(pid: string): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  return status !== "" && !/\) Z /.test(status);
}

describe("runs as processes", () => {
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "flowyard-process-"));
  });
  after(() => rm(folder, { recursive: true }));

  test("a command runs with the worker's environment, the job's over it, and tells output and exit code", async () => {
    const command = "sh -c 'echo $INHERITED $PREFECT__FLOW_NAME $MINE; echo oops >&2; exit 3'";

    const { exit, lines } = await runToEnd({ command, env: { MINE: "1" } });

    assert.deepEqual(lines.sort(), ["oops", "yes etl 1"]);
    assert.equal(exit.kind === "exited" && exit.exitCode, 3);
  });

  test("each run has a folder of its own, removed after it; working_dir names another", async () => {
    const given = await realpath(await mkdtemp(join(tmpdir(), "flowyard-dir-")));

    const own = await runToEnd({ command: "pwd" });
    const named = await runToEnd({ command: "pwd", working_dir: given });
    await rm(given, { recursive: true });

    assert.match(own.lines[0] ?? "", /flowyard-run-/);
    await assert.rejects(realpath(own.lines[0] ?? ""), { code: "ENOENT" });
    assert.equal(named.lines[0], given);
  });

  test("stopping a run ends all that it started, by force when it does not listen", async () => {
    const run = await start({ command: `sh -c "trap '' TERM; sleep 60 & echo $! ; wait; sleep 60"` });
    const first = await readFirstLine(run);

    await run.stop(0.1);
    const exit = await run.waitForEnd(never);

    assert.equal(exit.kind === "exited" && exit.exitCode, 137);
    assert.equal(await isRunning(first), false);
    await run.remove();
  });

  test("a run that leaves a program behind ends with its own exit, not with that program's", async () => {
    const { exit, lines } = await runToEnd({ command: "sh -c 'sleep 5 & echo $!; exit 2'" });
    process.kill(Number(lines[0]), "SIGKILL");

    assert.equal(exit.kind === "exited" && exit.exitCode, 2);
  });

  test("what cannot be started is named with what to do", async () => {
    await assert.rejects(start({}, "/no/such/python"), { code: "PROCESS_REFUSED", hint: /FLOWYARD_WORKER_PYTHON/ });
    await assert.rejects(start({ working_dir: "/no/such/folder" }), {
      code: "JOB_INVALID",
      message: /\/no\/such\/folder/,
    });
    await assert.rejects(start({ command: "sh -c 'open" }), { code: "JOB_INVALID", message: /cannot be split/ });
  });
});
