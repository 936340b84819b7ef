import type { SourceLocation } from "../../shared/errors.ts";
import type { ReaderOfPython } from "./create-interpreter.ts";
import { toJson } from "./json-value.ts";
import { type ParameterSchema, parameterSchema } from "./parameter-schema.ts";
import type { Json } from "./schema.ts";
import { locate } from "./source-file.ts";
import { type FlowValue, type SourceOfModule, truthOf, type Value } from "./value.ts";

/** Something that could not be told from the source. */
export interface FlowNotice {
  message: string;
  location: SourceLocation;
}

/** A flow as `prefect deploy` reads it. */
export interface FlowSource {
  name: string;
  description: string | null;
  /** What the flow gives, or the MD5 of its file; null when the file cannot be imported. */
  version: string | null;
  retries: number;
  /** A number, or a list of them. */
  retry_delay_seconds: Json;
  timeout_seconds: number | null;
  log_prints: boolean | null;
  persist_result: boolean | null;
  validate_parameters: boolean;
  is_async: boolean;
  flow_run_name: string | null;
  parameter_openapi_schema: ParameterSchema;
  notices: FlowNotice[];
}

export function buildFlowSource(flow: FlowValue, interpreter: ReaderOfPython): FlowSource {
  const { function: fn } = flow;
  const { source, isImported } = fn.scope.module;
  const notices: FlowNotice[] = [];
  const place = locate(source, fn.definition.at);
  const tell = (message: string): void => {
    notices.push({ message, location: place });
  };
  if (fn.decoratedBy !== null)
    tell(`the decorator ${fn.decoratedBy} is not run here: the function is taken to keep its signature`);
  const read = createOptionReader(flow, interpreter, tell);
  const { schema, doubts } = parameterSchema(flow, interpreter);
  for (const doubt of doubts)
    notices.push({ message: doubt.message, location: locate(doubt.site.scope.module.source, doubt.site.at) });
  tellOfEnvironment(flow, interpreter, notices);
  return {
    name: textOr(flow.name, () => {
      tell(`the flow's name is not known: it is computed when the file runs; the function's name is used`);
      return fn.name.replaceAll("_", "-");
    }),
    description: flow.description === null ? null : textOr(flow.description, () => whenUnknown("description", tell)),
    version: versionOf(flow, source, isImported, tell),
    retries: numberOption(read("retries")) ?? 0,
    retry_delay_seconds: read("retry_delay_seconds") ?? 0,
    timeout_seconds: numberOption(read("timeout_seconds")) || null,
    log_prints: booleanOption(read("log_prints")),
    persist_result: booleanOption(read("persist_result")) ?? (storesResults(flow) ? true : null),
    validate_parameters: booleanOption(read("validate_parameters")) ?? true,
    is_async: fn.definition.isAsync,
    flow_run_name: textOption(read("flow_run_name")),
    parameter_openapi_schema: schema,
    notices,
  };
}

function createOptionReader(
  flow: FlowValue,
  interpreter: ReaderOfPython,
  tell: (message: string) => void,
): (name: string) => Json {
  return (name) => {
    const value = flow.options.get(name);
    // A function that makes the name of each run is fine; it has no text to show.
    if (value === undefined || value.kind === "function") return null;
    const result = toJson(value, interpreter);
    if (result.kind === "json") return result.json;
    if (result.kind === "unknown") tell(`the flow's ${name} is not known: ${result.why}`);
    return null;
  };
}

function textOr<Other>(value: Value, otherwise: () => Other): string | Other {
  return value.kind === "str" ? value.value : otherwise();
}

function whenUnknown(what: string, tell: (message: string) => void): null {
  tell(`the flow's ${what} is not known: it is computed when the file runs`);
  return null;
}

function versionOf(
  flow: FlowValue,
  source: SourceOfModule,
  isImported: boolean,
  tell: (message: string) => void,
): string | null {
  const { version } = flow;
  if (version !== null && truthOf(version) !== false) {
    if (version.kind === "str") return version.value;
    tell("the flow's version is not known: it is computed when the file runs; the hash of the file is used");
  }
  return isImported ? source.md5 : null;
}

function storesResults(flow: FlowValue): boolean {
  return ["result_storage", "result_serializer"].some((name) => (flow.options.get(name)?.kind ?? "none") !== "none");
}

function numberOption(value: Json): number | null {
  return typeof value === "number" ? value : typeof value === "boolean" ? Number(value) : null;
}

function booleanOption(value: Json): boolean | null {
  return typeof value === "boolean" ? value : null;
}

function textOption(value: Json): string | null {
  return typeof value === "string" ? value : null;
}

function tellOfEnvironment(flow: FlowValue, interpreter: ReaderOfPython, notices: FlowNotice[]): void {
  for (const { name, at, default: value } of flow.function.parameters) {
    if (value === null || !interpreter.fromEnvironment.has(value)) continue;
    notices.push({
      message: `parameter "${name}": its default comes from the environment, which is not read here; the value for an unset variable is used`,
      location: locate(flow.function.scope.module.source, at),
    });
  }
}
