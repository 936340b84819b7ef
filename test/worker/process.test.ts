import assert from "node:assert/strict";
import { mkdtemp, readFile, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { JsonObject } from "../../src/prefect-api/primitives.ts";
import type { Exit } from "../../worker/infrastructure/contract.ts";
import { createProcessInfrastructure } from "../../worker/infrastructure/process.ts";
import { waitUntil } from "../support/wait-until.ts";
import { exampleJob } from "./job-examples.ts";

const PATH = "/usr/local/bin:/usr/bin:/bin";
const never = new AbortController().signal;

function start(jobVariables: JsonObject, python = "python3") {
  const infrastructure = createProcessInfrastructure({ python, environment: { PATH, INHERITED: "yes" } });
  return infrastructure.start(exampleJob(jobVariables, { type: "process" }), () => undefined);
}

async function runToEnd(jobVariables: JsonObject): Promise<{ exit: Exit; lines: string[] }> {
  const lines: string[] = [];
  const exit = await (await start(jobVariables)).watch((line) => lines.push(line), never);
  return { exit, lines };
}

test("a command runs with the worker's environment, the job's over it, and tells output and exit code", async () => {
  const command = "sh -c 'echo $INHERITED $PREFECT__FLOW_NAME $MINE; echo oops >&2; exit 3'";

  const { exit, lines } = await runToEnd({ command, env: { MINE: "1" } });

  assert.deepEqual(lines.sort(), ["oops", "yes etl 1"]);
  assert.equal(exit.kind === "exited" && exit.exitCode, 3);
});

test("each run has a folder of its own, removed after it; working_dir names another", async () => {
  const folder = await realpath(await mkdtemp(join(tmpdir(), "flowyard-dir-")));

  const own = await runToEnd({ command: "pwd" });
  const named = await runToEnd({ command: "pwd", working_dir: folder });
  await rm(folder, { recursive: true });

  assert.match(own.lines[0] ?? "", /flowyard-run-/);
  await assert.rejects(realpath(own.lines[0] ?? ""), { code: "ENOENT" });
  assert.equal(named.lines[0], folder);
});

test("without stream_output nothing is handed out, but the last lines are kept", async () => {
  const { exit, lines } = await runToEnd({ command: "sh -c 'echo quiet; exit 1'", stream_output: false });

  assert.deepEqual(lines, []);
  assert.deepEqual(exit.kind === "exited" && exit.lastLines, ["quiet"]);
});

test("stopping a run ends all that it started, by force when it does not listen", async () => {
  const run = await start({ command: `sh -c "trap '' TERM; sleep 60 & echo $! ; wait; sleep 60"` });
  const lines: string[] = [];
  const watching = run.watch((line) => lines.push(line), never);
  await waitUntil(async () => lines.length > 0, { timeoutMs: 5000, what: "its first line", pollMs: 10 });

  await run.stop(0.1);
  const exit = await watching;

  assert.equal(exit.kind === "exited" && exit.exitCode, 137);
  assert.equal(await isRunning(lines[0] ?? ""), false);
});

/** A killed process that nobody has waited for yet is a zombie: it does not run any more. */
async function isRunning(pid: string): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  return status !== "" && !/\) Z /.test(status);
}

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
