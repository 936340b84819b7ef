import assert from "node:assert/strict";
import { test } from "node:test";
import type { OutputStream } from "../../../src/docker/logs.ts";
import {
  buildMarkedFormats,
  createOutputReader,
  dropMarks,
  type OutputEntry,
} from "../../../worker/logs/output-lines.ts";

/** What Python's logging makes of one of the formats. */
function format(name: string, values: Record<string, string>, environment: Record<string, string> = {}): string {
  const template = buildMarkedFormats(environment)[`PREFECT_LOGGING_FORMATTERS_STANDARD_${name}`] ?? "";
  const all = { asctime: "08:00:00", msecs: "123", ...values };
  return template.replaceAll(/%\((\w+)\)[-\w]*?[sdr]/g, (_, key) => (key in all ? String(Reflect.get(all, key)) : ""));
}

const flowRun = (message: string, levelname = "INFO   ") =>
  format("FLOW_RUN_FMT", { levelname, flow_run_name: "'curious-otter'", message });
const taskRun = (message: string) => format("TASK_RUN_FMT", { levelname: "INFO   ", task_run_name: "'t-1'", message });
const other = (name: string, message: string, levelname = "WARNING") => format("FORMAT", { levelname, name, message });

const TRACEBACK = ["Traceback (most recent call last):", '  File "a.py", line 1, in f', "    raise ValueError(1)"];

function read(text: string, stream: OutputStream = "stderr"): OutputEntry[] {
  const reader = createOutputReader();
  const entries: OutputEntry[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    entries.push(...reader.push({ stream, text: line, at: "2026-11-24T08:00:00.000000000Z", place: String(index) }));
  }
  return [...entries, ...reader.end()];
}

const shorten = (entries: OutputEntry[]) =>
  entries.map(({ source, level, name, message }) => [source, level, name, message]);

test("what a flow prints is output, with the level of its stream", () => {
  assert.deepEqual(shorten(read("hello\n\nworld", "stdout")), [
    ["output", 20, "flowyard.stdout", "hello"],
    ["output", 20, "flowyard.stdout", ""],
    ["output", 20, "flowyard.stdout", "world"],
  ]);
  assert.deepEqual(shorten(read("oops")), [["output", 30, "flowyard.stderr", "oops"]]);
});

test("the engine's lines are told from the flow's, several lines of one message included", () => {
  const text = `${flowRun("Beginning")}\nprinted\n${taskRun("one\ntwo")}\n${flowRun("looks | like - a header")}`;

  assert.deepEqual(shorten(read(text)), [
    ["engine", 20, "prefect.flow_runs", "Beginning"],
    ["output", 30, "flowyard.stderr", "printed"],
    ["engine", 20, "prefect.task_runs", "one\ntwo"],
    ["engine", 20, "prefect.flow_runs", "looks | like - a header"],
  ]);
});

test("lines of other loggers are output with their own level and name", () => {
  assert.deepEqual(shorten(read(other("prefect.engine", "a\nb", "ERROR  "))), [
    ["output", 40, "prefect.engine", "a\nb"],
  ]);
});

test("a traceback belongs to the error before it, chained ones included", () => {
  const chained = [
    ...TRACEBACK,
    "ValueError: 1",
    "",
    "During handling of the above exception, another exception occurred:",
    "",
    ...TRACEBACK,
    "ValueError: 2",
  ].join("\n");

  assert.deepEqual(shorten(read(`${flowRun("Encountered", "ERROR  ")}\n${chained}\nprinted`)), [
    ["engine", 40, "prefect.flow_runs", `Encountered\n${chained}`],
    ["output", 30, "flowyard.stderr", "printed"],
  ]);
});

test("a traceback that no error of the engine announced is output", () => {
  const text = [flowRun("fine"), ...TRACEBACK, "ValueError: 1"].join("\n");

  assert.deepEqual(shorten(read(text)), [
    ["engine", 20, "prefect.flow_runs", "fine"],
    ...[...TRACEBACK, "ValueError: 1"].map((line) => ["output", 30, "flowyard.stderr", line]),
  ]);
});

test("an engine that does not send its log to the plane has it sent for it", () => {
  const environment = { PREFECT_LOGGING_TO_API_ENABLED: "false" };
  const line = format("FLOW_RUN_FMT", { levelname: "INFO   ", flow_run_name: "'x'", message: "hi" }, environment);

  assert.deepEqual(shorten(read(line)), [["output", 20, "prefect.flow_runs", "hi"]]);
});

test("a message that was cut off by the end, or by the next one, is not lost", () => {
  assert.deepEqual(shorten(read(`${flowRun("one\ntwo").slice(0, -1)}\n${flowRun("three")}`)), [
    ["engine", 20, "prefect.flow_runs", "one\ntwo"],
    ["engine", 20, "prefect.flow_runs", "three"],
  ]);
});

test("people see no marks", () => {
  assert.equal(dropMarks(flowRun("hi")), "08:00:00.123 | INFO    | Flow run 'curious-otter' - hi");
});
