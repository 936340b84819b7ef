import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { TestProcess } from "./child-process.ts";
import { eventsFolder } from "./fake-github/world.ts";
import { plainEnvironment, repositoryRoot } from "./plane-process.ts";

const bundle = join(repositoryRoot, "dist/index.cjs");

export const EventCase = z.object({
  file: z.string(),
  event: z.string(),
  note: z.string(),
  env: z.record(z.string(), z.string()),
});
export type EventCase = z.infer<typeof EventCase>;
const Index = z.object({ common_env: z.record(z.string(), z.string()), cases: z.array(EventCase) });
const index = Index.parse(JSON.parse(await readFile(join(eventsFolder, "index.json"), "utf8")));
export const eventCases = index.cases;
export const commonEnv = index.common_env;

const Action = z.object({
  inputs: z.record(z.string(), z.object({ default: z.string().optional() })),
  outputs: z.record(z.string(), z.unknown()),
});
const action = Action.parse(parse(await readFile(join(repositoryRoot, "action.yml"), "utf8")));

/** A line that the runner takes for a command. */
export interface Command {
  name: string;
  properties: Record<string, string>;
  text: string;
}

export interface ActionResult {
  code: number;
  outputs: Record<string, string>;
  summary: string;
  commands: Command[];
  /** What is not a command. */
  log: string;
  output: string;
  durationMs: number;
}

export interface ActionCall {
  event: EventCase;
  /** Instead of the event's own payload. */
  payload?: unknown;
  /** Instead of a payload: the bytes of the event file. */
  eventText?: string;
  inputs?: Record<string, string>;
  env?: Record<string, string>;
  workspace: string;
  apiUrl: string;
  token: string;
}

export interface RunningAction {
  process: TestProcess;
  finish(timeoutMs?: number): Promise<ActionResult>;
}

export function findEvent(file: string, event?: string): EventCase {
  const found = eventCases.find((it) => it.file === file && (event === undefined || it.event === event));
  if (found === undefined) {
    throw new Error(`index.json has no case ${file}`);
  }
  return found;
}

export async function readPayload(file: string): Promise<Record<string, unknown>> {
  return z.record(z.string(), z.unknown()).parse(JSON.parse(await readFile(join(eventsFolder, file), "utf8")));
}

/** Runs the committed bundle as GitHub's runner does: inputs, environment, event file and command files. */
export async function startAction(call: ActionCall): Promise<RunningAction> {
  const folder = await mkdtemp(join(tmpdir(), "flowyard-runner-"));
  const files = { output: join(folder, "output"), summary: join(folder, "summary"), state: join(folder, "state") };
  const event = join(folder, "event.json");
  const own = JSON.stringify(call.payload ?? (await readPayload(call.event.file)));
  await writeFile(event, call.eventText ?? own);
  await Promise.all(Object.values(files).map((file) => writeFile(file, "")));
  await mkdir(join(folder, "temp"));
  const startedAt = performance.now();
  const running = new TestProcess(process.execPath, [bundle], {
    cwd: call.workspace,
    env: plainEnvironment(folder, {
      ...commonEnv,
      GITHUB_ACTION: "__flowyard_flowyard",
      ...call.event.env,
      GITHUB_EVENT_NAME: call.event.event,
      GITHUB_EVENT_PATH: event,
      GITHUB_WORKFLOW_REF: `Octocoders/Hello-World/.github/workflows/flowyard.yml@${call.event.env["GITHUB_REF"]}`,
      GITHUB_API_URL: call.apiUrl,
      GITHUB_WORKSPACE: call.workspace,
      GITHUB_OUTPUT: files.output,
      GITHUB_STEP_SUMMARY: files.summary,
      GITHUB_STATE: files.state,
      GITHUB_ENV: join(folder, "env"),
      RUNNER_TEMP: join(folder, "temp"),
      ...buildInputs(call),
      ...call.env,
    }),
  });
  return {
    process: running,
    async finish(timeoutMs = 120_000) {
      const finished = await running.finish(timeoutMs);
      const durationMs = performance.now() - startedAt;
      const outputs = await readOutputs(files.output);
      const summary = await readFile(files.summary, "utf8");
      await rm(folder, { recursive: true, force: true });
      const { commands, log } = readCommands(finished.stdout);
      const output = `${finished.stdout}\n${finished.stderr}`;
      return { code: finished.code, outputs, summary, commands, log, output, durationMs };
    },
  };
}

export async function runAction(call: ActionCall): Promise<ActionResult> {
  return (await startAction(call)).finish();
}

/** The runner hands over every declared input: what the workflow says, the default, or empty. */
function buildInputs({ inputs = {}, token }: ActionCall): Record<string, string> {
  const unknown = Object.keys(inputs).filter((name) => !(name in action.inputs));
  if (unknown.length > 0) {
    throw new Error(`action.yml has no input ${unknown.join(", ")}`);
  }
  return Object.fromEntries(
    Object.entries(action.inputs).map(([name, { default: byDefault = "" }]) => [
      `INPUT_${name.toUpperCase().replaceAll(" ", "_")}`,
      inputs[name] ?? byDefault.replace(/^\$\{\{ github\.token \}\}$/, token),
    ]),
  );
}

/** `name=value` or `name<<delimiter`, as the runner reads it; an output that action.yml does not declare is a bug. */
async function readOutputs(file: string): Promise<Record<string, string>> {
  const lines = (await readFile(file, "utf8")).split("\n");
  const outputs: Record<string, string> = {};
  while (lines.length > 0) {
    const line = lines.shift() ?? "";
    const [, name, delimiter] = /^([^=]+?)<<(.+)$/.exec(line) ?? [];
    if (name !== undefined && delimiter !== undefined) {
      const end = lines.indexOf(delimiter);
      outputs[name] = lines
        .splice(0, end + 1)
        .slice(0, -1)
        .join("\n");
    } else if (line !== "") {
      outputs[line.slice(0, line.indexOf("="))] = line.slice(line.indexOf("=") + 1);
    }
  }
  const undeclared = Object.keys(outputs).filter((name) => !(name in action.outputs));
  if (undeclared.length > 0) {
    throw new Error(`action.yml does not declare the output ${undeclared.join(", ")}`);
  }
  return outputs;
}

/** What the runner would do with the lines of the step. Between stop-commands and its token it does nothing. */
export function readCommands(stdout: string): { commands: Command[]; log: string } {
  const commands: Command[] = [];
  const log: string[] = [];
  let stopped: string | undefined;
  for (const line of stdout.split("\n")) {
    const command = parseCommand(line);
    if (stopped !== undefined) {
      if (command?.name === stopped) {
        stopped = undefined;
      } else {
        log.push(line);
      }
    } else if (command === undefined || !REGISTERED.has(command.name)) {
      log.push(line);
    } else if (command.name === "stop-commands") {
      stopped = command.text;
    } else {
      commands.push(command);
    }
  }
  return { commands, log: log.join("\n") };
}

const REGISTERED = new Set([
  ...["add-mask", "add-matcher", "remove-matcher", "add-path", "debug", "echo", "group", "endgroup", "stop-commands"],
  ...["error", "warning", "notice", "set-env", "set-output", "save-state", "internal-set-repo-path"],
]);

/** `::name properties::text` after blanks only, and the older `##[name properties]text` anywhere in the line. */
function parseCommand(line: string): Command | undefined {
  const [, head = "", text = ""] = /^\s*::(.*?)::(.*)$/.exec(line) ?? /##\[([^\]]*)\](.*)$/.exec(line) ?? [];
  const [name = "", ...rest] = head.split(" ");
  const pairs = rest
    .join(" ")
    .split(/[,;]/)
    .filter((pair) => pair.includes("="));
  const properties = pairs.map((pair) => [
    pair.slice(0, pair.indexOf("=")).trim(),
    decodeText(pair.slice(pair.indexOf("=") + 1)),
  ]);
  return { name, properties: Object.fromEntries(properties), text: decodeText(text) };
}

function decodeText(text: string): string {
  const codes: Record<string, string> = { "%0D": "\r", "%0A": "\n", "%3A": ":", "%2C": ",", "%5D": "]", "%3B": ";" };
  return text.replaceAll(/%0D|%0A|%3A|%2C|%5D|%3B/g, (code) => codes[code] ?? code).replaceAll("%25", "%");
}
