import { cleanDocstring } from "./docstring.ts";
import { PythonError, type Site } from "./interpreter.ts";
import {
  type CallArguments,
  type FlowValue,
  type FunctionValue,
  known,
  truthOf,
  unknown,
  type Value,
} from "./value.ts";

/** The options of `@flow` in the order of `Flow`'s positional parameters after the function. */
const OPTIONS =
  `name version flow_run_name retries retry_delay_seconds task_runner description timeout_seconds validate_parameters
persist_result result_storage result_serializer cache_result_in_memory log_prints on_completion on_failure on_cancellation on_crashed
on_running`.split(/\s+/);

const RESERVED_PARAMETERS: readonly string[] = ["return_state", "wait_for"];

/** Parameter names that pydantic cannot validate calls with, since its models use them themselves. */
const UNVALIDATABLE_PARAMETERS: ReadonlySet<string> = new Set(
  `model_config model_dump model_dump_json model_validate model_validate_json model_validate_strings v__args v__kwargs v__positional_only
v__duplicate_kwargs`.split(/\s+/),
);

const HOOKS: readonly string[] = ["on_completion", "on_failure", "on_cancellation", "on_crashed", "on_running"];

/** `flow(…)` and `Flow(…)`; null if the callee is neither. */
export function callFlow(name: string, args: CallArguments, site: Site): Value | null {
  if (name !== "prefect.flow" && name !== "prefect.Flow") return null;
  const options = new Map(args.named);
  const fn = args.positional[0] ?? options.get("fn");
  options.delete("fn");
  const caller = name === "prefect.flow" ? "FlowDecorator.__call__()" : "Flow.__init__()";
  for (const option of options.keys()) {
    if (!OPTIONS.includes(option))
      throw new PythonError("TypeError", `${caller} got an unexpected keyword argument '${option}'`, site);
  }
  for (const [index, value] of args.positional.slice(1).entries()) {
    const option = name === "prefect.Flow" ? OPTIONS[index] : undefined;
    if (option === undefined) throw new PythonError("TypeError", `${caller} got too many positional arguments`, site);
    options.set(option, value);
  }
  if (fn === undefined || fn.kind === "none") {
    return name === "prefect.flow" ? { kind: "partial", callee: known(name), args } : null;
  }
  return makeFlow(fn, options, site);
}

function makeFlow(fn: Value, options: Map<string, Value>, site: Site): Value {
  const inner = fn.kind === "wrapper" ? fn.inner : fn.kind === "bound" ? fn.function : fn;
  if (inner.kind === "partial")
    throw new PythonError("AttributeError", "'functools.partial' object has no attribute '__name__'", site);
  if (inner.kind !== "function") return unknown("the function that the flow is made of is not known");
  checkOptions(options, site);
  checkParameters(inner, options, site);
  return {
    kind: "flow",
    function: inner,
    options,
    name: nameOfFlow(inner, options.get("name"), site),
    description: descriptionOfFlow(inner, options.get("description")),
    version: options.get("version") ?? null,
    at: site.at,
  };
}

function nameOfFlow(fn: FunctionValue, given: Value | undefined, site: Site): Value {
  if (given !== undefined && !/^(?:none|str|unknown)$/.test(given.kind)) {
    throw new PythonError(
      "TypeError",
      `Expected string for flow parameter 'name'; got ${typeName(given)} instead.`,
      site,
    );
  }
  const isGiven = given !== undefined && truthOf(given) !== false;
  const name: Value = isGiven
    ? given
    : { kind: "str", value: fn.name.replaceAll("_", "-").replaceAll("<lambda>", "unknown-lambda") };
  if (name.kind === "str" && /[/%&><]/.test(name.value)) {
    throw new PythonError(
      "InvalidNameError",
      `Name '${name.value}' contains an invalid character. Must not contain any of: ['/', '%', '&', '>', '<'].`,
      site,
    );
  }
  return name;
}

function typeName(value: Value): string {
  return value.kind === "known" || value.kind === "class" ? "type" : value.kind;
}

function descriptionOfFlow(fn: FunctionValue, given: Value | undefined): Value | null {
  if (given !== undefined && truthOf(given) !== false) return given;
  return fn.docstring === null ? null : { kind: "str", value: cleanDocstring(fn.docstring) };
}

function checkOptions(options: ReadonlyMap<string, Value>, site: Site): void {
  const isNumber = (value: Value | undefined): boolean => /^(?:bool|int|float)$/.test(value?.kind ?? "");
  for (const name of HOOKS) {
    const value = options.get(name);
    if (value?.kind === "function" || isNumber(value)) {
      throw new PythonError(
        "TypeError",
        `Expected iterable for '${name}'; got ${value?.kind} instead. Please provide a list of hooks.`,
        site,
      );
    }
  }
  if (isNumber(options.get("flow_run_name"))) {
    throw new PythonError(
      "TypeError",
      `Expected string or callable for 'flow_run_name'; got ${options.get("flow_run_name")?.kind} instead.`,
      site,
    );
  }
}

function checkParameters(fn: FunctionValue, options: ReadonlyMap<string, Value>, site: Site): void {
  const signature = signatureOf(fn);
  for (const { name, at } of signature.parameters) {
    const place: Site = { scope: signature.scope, at };
    if (RESERVED_PARAMETERS.includes(name)) {
      throw new PythonError(
        "ReservedArgumentError",
        `'${name}' is a reserved argument name and cannot be used.`,
        place,
      );
    }
    if (name.startsWith("_")) {
      throw new PythonError(
        "PydanticUserError",
        `Fields must not use names with leading underscores; e.g., use '${name.replace(/^_+/, "")}' instead of '${name}'.`,
        place,
      );
    }
    const isValidated = truthOf(options.get("validate_parameters") ?? { kind: "bool", value: true });
    if (isValidated === true && UNVALIDATABLE_PARAMETERS.has(name)) {
      throw new PythonError(
        "ValueError",
        `Flow function is not compatible with \`validate_parameters\`: the parameter name '${name}' is taken. Disable validation or change the argument names.`,
        { scope: site.scope, at },
      );
    }
  }
}

/** The function whose signature Python shows: what `functools.wraps` points to, at the end of the chain. */
export function signatureOf(fn: FunctionValue): FunctionValue {
  let current = fn;
  for (let depth = 0; depth < 50 && current.wrapped?.kind === "function"; depth += 1) current = current.wrapped;
  return current;
}

/** `flow.with_options(…)`: what is not given stays. */
export function withOptions(flow: FlowValue, args: CallArguments, site: Site): Value {
  for (const option of args.named.keys()) {
    if (!OPTIONS.includes(option))
      throw new PythonError("TypeError", `Flow.with_options() got an unexpected keyword argument '${option}'`, site);
  }
  const given = new Map([...args.named].filter(([, value]) => value.kind !== "none"));
  const options = new Map([...flow.options, ...given]);
  const [name, description, version] = [given.get("name"), given.get("description"), given.get("version")];
  return {
    ...flow,
    options,
    name: name === undefined ? flow.name : nameOfFlow(flow.function, name, site),
    description: description === undefined ? flow.description : descriptionOfFlow(flow.function, description),
    version: version ?? flow.version,
    at: site.at,
  };
}
