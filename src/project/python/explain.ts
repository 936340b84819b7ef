import { UserError } from "../../shared/errors.ts";
import { suggestNearest } from "../did-you-mean.ts";
import { listDecoratedFlows } from "./decorated-flows.ts";
import type { Entrypoint } from "./entrypoint.ts";
import { parseSource } from "./parse-module.ts";
import { locate, MAX_SOURCE_BYTES, type SourceProblem } from "./source-file.ts";
import type { SyntaxProblem } from "./syntax-error.ts";
import type { ModuleValue, PythonFailure, SourceOfModule, Value } from "./value.ts";

/** Every way in which an entrypoint names no flow, as an error for the person who wrote it. */

export function explainSource(entrypoint: Entrypoint, file: string, problem: SourceProblem): UserError {
  const start = `The entrypoint "${entrypoint.text}" cannot be read:`;
  switch (problem) {
    case "missing":
      return invalid(`${start} there is no file ${file}.`, "The path is relative to the project's folder.");
    case "outside":
      return invalid(
        `${start} ${file} lies outside the project's folder.`,
        "Move the file into the project, or run from the folder above.",
      );
    case "directory":
      return invalid(`${start} ${file} is a folder.`, "Name a Python file in it.");
    case "too-large":
      return invalid(
        `${start} ${file} is larger than ${MAX_SOURCE_BYTES / 1024} KiB, which is the most that is read.`,
        "Move the flow into a file of its own.",
      );
    case "undecodable":
      return invalid(
        `${start} ${file} is no text in the encoding that it declares (UTF-8 unless it says otherwise).`,
        "Save it as UTF-8.",
      );
  }
}

export function explainSyntax(entrypoint: Entrypoint, source: SourceOfModule, problem: SyntaxProblem): UserError {
  return new UserError(
    "ENTRYPOINT_INVALID",
    `The entrypoint "${entrypoint.text}" cannot be read: ${problem.message}.`,
    {
      hint: `Run "python -m py_compile ${source.file}" for Python's own words.`,
      location: locate(source, problem.at),
    },
  );
}

const HINTS: Readonly<Record<string, string>> = {
  ModuleNotFoundError: "Name the package in the project's requirements.txt, or keep it out of the flow's decorator.",
  TypeError: "See the options of @flow in Prefect's documentation.",
  InvalidNameError: "Give the flow a name without these characters.",
  ReservedArgumentError: "Rename the parameter: Prefect uses this name itself.",
};

/** Python or Prefect would raise this when the file is imported. */
export function explainFailure(entrypoint: Entrypoint, failure: PythonFailure): UserError {
  const nearest = /unexpected keyword argument '(\w+)'/.exec(failure.message)?.[1];
  const guess = nearest === undefined ? "" : suggestNearest(nearest, FLOW_OPTIONS);
  const hint = HINTS[failure.type];
  return new UserError(
    "ENTRYPOINT_INVALID",
    `The flow "${entrypoint.text}" cannot be loaded: ${failure.type}: ${failure.message}${guess}`,
    {
      location: locate(failure.source, failure.at),
      ...(hint === undefined ? {} : { hint }),
    },
  );
}

const FLOW_OPTIONS =
  "name version flow_run_name retries retry_delay_seconds task_runner description timeout_seconds validate_parameters persist_result log_prints".split(
    " ",
  );

/** No such name in the file. */
export function explainMissing(entrypoint: Entrypoint, module: ModuleValue, failure: PythonFailure | null): UserError {
  const wanted = entrypoint.path.join(".");
  const flows = listFlows(module);
  const [broken] = parseSource(module.source).errors;
  const doubt =
    broken === undefined ? "" : ` A syntax error at line ${locate(module.source, broken).line} may hide it.`;
  const guess = suggestNearest(wanted, flows);
  const hint =
    flows.length > 0
      ? `Flows in it: ${flows.slice(0, 10).join(", ")}.`
      : "It has no function that is decorated with @flow.";
  const why = failure === null ? "" : ` The file cannot be imported either: ${failure.type}: ${failure.message}.`;
  return new UserError(
    "ENTRYPOINT_INVALID",
    `The entrypoint "${entrypoint.text}" names "${wanted}", which ${module.path} does not define.${guess}${doubt}${why}`,
    {
      hint,
      location: locate(module.source, failure?.at ?? 0),
    },
  );
}

/** There is something of that name, and it is no flow. */
export function explainNoFlow(entrypoint: Entrypoint, module: ModuleValue, value: Value): UserError {
  const wanted = entrypoint.path.join(".");
  const what =
    value.kind === "function"
      ? "a function without @flow"
      : value.kind === "class"
        ? "a class"
        : value.kind === "unknown"
          ? `unknown here: ${value.why}`
          : "no flow";
  const at = value.kind === "function" || value.kind === "class" ? value.definition.at : 0;
  const source = value.kind === "function" || value.kind === "class" ? value.scope.module.source : module.source;
  return new UserError(
    "ENTRYPOINT_INVALID",
    `The entrypoint "${entrypoint.text}" is not a flow: "${wanted}" is ${what}.`,
    {
      hint: "Decorate the function with @flow from prefect.",
      location: locate(source, at),
    },
  );
}

function listFlows(module: ModuleValue): string[] {
  const names = [...module.scope.names].filter(([, value]) => value.kind === "flow").map(([name]) => name);
  return [...new Set([...names, ...listDecoratedFlows(parseSource(module.source).body).map((one) => one.objectPath)])];
}

function invalid(message: string, hint: string): UserError {
  return new UserError("ENTRYPOINT_INVALID", message, { hint });
}
