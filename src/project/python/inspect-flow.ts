import { isAbsolute, posix, relative } from "node:path";
import { type SourceLocation, UserError } from "../../shared/errors.ts";
import { createInterpreter, type ReaderOfPython } from "./create-interpreter.ts";
import { type Entrypoint, parseEntrypoint } from "./entrypoint.ts";
import { explainFailure, explainMissing, explainNoFlow, explainSource, explainSyntax } from "./explain.ts";
import { buildFlowSource, type FlowSource } from "./flow-source.ts";
import { OutOfSteps, PythonError } from "./interpreter.ts";
import { parseSource } from "./parse-module.ts";
import { createModule, ProjectModules, runModule } from "./project-modules.ts";
import { findDefinition, readInPieces } from "./read-in-pieces.ts";
import { locate, readSource } from "./source-file.ts";
import type { ModuleSyntax } from "./syntax.ts";
import { findSyntaxError } from "./syntax-error.ts";
import type { FlowValue, ModuleValue, PythonFailure, Value } from "./value.ts";

/**
 * Reads a flow's name, description, version, options and parameter schema from its Python source, without Python:
 * what `prefect deploy` would send. `root` is the project's folder; nothing outside it is read.
 * What cannot be told is left open and named in `notices`.
 * Throws UserError ENTRYPOINT_INVALID, with the place, for what Prefect would refuse.
 */
export async function inspectFlow(request: { root: string; entrypoint: string }): Promise<FlowSource> {
  const entrypoint = parseEntrypoint(request.entrypoint);
  if (entrypoint.kind === "script" && isAbsolute(entrypoint.file))
    entrypoint.file = relative(request.root, entrypoint.file);
  const folder = entrypoint.kind === "script" ? posix.dirname(entrypoint.file) : "";
  const modules = new ProjectModules(request.root, folder === "." ? "" : folder);
  const interpreter = createInterpreter(modules);
  try {
    const module =
      entrypoint.kind === "script"
        ? loadScript(entrypoint, request.root, interpreter)
        : loadModule(entrypoint, interpreter);
    const { flow, reason } = findFlow(entrypoint, module, interpreter);
    interpreter.refill();
    const result = buildFlowSource(flow, interpreter);
    return reason === null ? result : { ...result, notices: [explainPieces(reason), ...result.notices] };
  } catch (error) {
    if (error instanceof PythonError) throw explainFailure(entrypoint, error.failure);
    if (error instanceof OutOfSteps || error instanceof RangeError)
      throw new UserError("ENTRYPOINT_INVALID", `The flow "${entrypoint.text}" takes too long to read.`);
    throw error;
  }
}

function loadScript(
  entrypoint: Extract<Entrypoint, { kind: "script" }>,
  root: string,
  interpreter: ReaderOfPython,
): ModuleValue {
  const source = readSource(root, entrypoint.file);
  if (typeof source === "string") throw explainSource(entrypoint, entrypoint.file, source);
  const name = posix.basename(entrypoint.file, ".py");
  const module = createModule(name, source);
  module.isScript = true;
  run(module, entrypoint, interpreter);
  return module;
}

function loadModule(entrypoint: Extract<Entrypoint, { kind: "module" }>, interpreter: ReaderOfPython): ModuleValue {
  const module = interpreter.importProjectModule(entrypoint.module);
  const isFound = module !== null && (module.name === entrypoint.module || module.failure !== null);
  if (!isFound)
    throw new UserError(
      "ENTRYPOINT_INVALID",
      `The entrypoint "${entrypoint.text}" names the module "${entrypoint.module}", which the project does not have.`,
      { hint: "A module is looked for from the project's folder: package.module is package/module.py." },
    );
  checkSyntax(parseSource(module.source), module, entrypoint);
  return module;
}

function run(module: ModuleValue, entrypoint: Entrypoint, interpreter: ReaderOfPython): void {
  const syntax = parseSource(module.source);
  checkSyntax(syntax, module, entrypoint);
  runModule(module, interpreter, syntax);
}

/** Throws for what no Python accepts: unbalanced brackets, a broken head of the flow itself, parameters that clash. */
function checkSyntax(syntax: ModuleSyntax, module: ModuleValue, entrypoint: Entrypoint): void {
  const error = findSyntaxError(syntax, module, entrypoint.path);
  if (error !== null) throw explainSyntax(entrypoint, module.source, error);
}

interface FoundFlow {
  flow: FlowValue;
  /** What kept the file from being imported, if it was read in pieces. */
  reason: PythonFailure | null;
}

function findFlow(entrypoint: Entrypoint, module: ModuleValue, interpreter: ReaderOfPython): FoundFlow {
  const { failure } = module;
  if (failure === null) {
    const value = follow(entrypoint, module, interpreter);
    if (value.kind !== "flow") throw explainNoFlow(entrypoint, module, value);
    return { flow: value, reason: null };
  }
  const syntax = parseSource(module.source);
  let value: Value | null;
  try {
    value = readInPieces(module.source, syntax, entrypoint.path, interpreter);
  } catch (error) {
    if (!(error instanceof PythonError)) throw error;
    // The flow itself needs what cannot be imported, or is what is wrong.
    throw explainFailure(entrypoint, isAboutNames(error.failure) ? failure : error.failure);
  }
  if (value === null) throw explainMissing(entrypoint, module, failure);
  if (value.kind !== "flow") throw explainNoFlow(entrypoint, module, value);
  return { flow: value, reason: failure };
}

function isAboutNames(failure: PythonFailure): boolean {
  return failure.type === "NameError" || failure.type === "AttributeError";
}

function follow(entrypoint: Entrypoint, module: ModuleValue, interpreter: ReaderOfPython): Value {
  let value: Value = module;
  for (const name of entrypoint.path) {
    try {
      value = interpreter.getAttribute(value, name, { scope: module.scope, at: 0 });
    } catch (error) {
      if (error instanceof PythonError) throw explainMissing(entrypoint, module, null);
      throw error;
    }
  }
  const [first = ""] = entrypoint.path;
  const isLost =
    value.kind === "unknown" &&
    !module.scope.names.has(first) &&
    findDefinition(parseSource(module.source).body, first) === null;
  if (isLost) throw explainMissing(entrypoint, module, null);
  return value;
}

function explainPieces(reason: PythonFailure): { message: string; location: SourceLocation } {
  const why = reason.type === "ModuleNotFoundError" ? reason.message : `${reason.type}: ${reason.message}`;
  return {
    message: `the file cannot be imported here (${why}); what needs it is left open, and the version is not set`,
    location: locate(reason.source, reason.at),
  };
}
