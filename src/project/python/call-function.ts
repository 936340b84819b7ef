import { type Interpreter, PythonError, type Site } from "./interpreter.ts";
import { type CallArguments, type FunctionValue, NONE, type Scope, tuple, unknown, type Value } from "./value.ts";

const MAX_CALL_DEPTH = 30;

/** Runs a function of the project for its result, as far as its body is understood. */
export function callFunction(callee: FunctionValue, args: CallArguments, site: Site, interpreter: Interpreter): Value {
  const { isAsync, isGenerator, body } = callee.definition;
  if (isAsync || isGenerator) return unknown(`${callee.name} runs later`);
  if (callee.decoratedBy !== null) return unknown(`${callee.name} is decorated by ${callee.decoratedBy}`);
  if (interpreter.callDepth >= MAX_CALL_DEPTH) return unknown("calls are nested too deeply");
  const scope: Scope = {
    names: bindParameters(callee, args, site),
    parent: callee.scope,
    module: callee.scope.module,
    kind: "function",
    isOpen: false,
    qualname: `${callee.name}.<locals>`,
    annotations: null,
  };
  interpreter.callDepth += 1;
  try {
    if (!Array.isArray(body)) return interpreter.evaluate(body, scope);
    const completion = interpreter.execute(body, scope);
    return completion?.kind === "return" ? completion.value : NONE;
  } finally {
    interpreter.callDepth -= 1;
  }
}

function bindParameters(callee: FunctionValue, args: CallArguments, site: Site): Map<string, Value> {
  const names = new Map<string, Value>();
  const positional = [...args.positional];
  const named = new Map(args.named);
  for (const parameter of callee.parameters) {
    const { name, kind } = parameter;
    if (kind === "args") {
      names.set(name, args.isPartial ? unknown("its arguments are not known") : tuple(positional.splice(0)));
    } else if (kind === "kwargs") {
      const entries = [...named].map(([key, value]): { key: Value; value: Value } => ({
        key: { kind: "str", value: key },
        value,
      }));
      names.set(name, args.isPartial ? unknown("its arguments are not known") : { kind: "dict", entries });
      named.clear();
    } else {
      const given = kind === "keyword" ? undefined : positional.shift();
      const value = given ?? named.get(name);
      if (given === undefined) named.delete(name);
      names.set(name, value ?? missingArgument(callee, parameter, args, site));
    }
  }
  if (positional.length > 0 || named.size > 0)
    throw new PythonError("TypeError", `${callee.name}() got an argument too many`, site);
  return names;
}

function missingArgument(
  callee: FunctionValue,
  parameter: FunctionValue["parameters"][number],
  args: CallArguments,
  site: Site,
): Value {
  if (args.isPartial) return unknown("its arguments are not known");
  if (parameter.default !== null) return parameter.default;
  throw new PythonError("TypeError", `${callee.name}() missing the argument '${parameter.name}'`, site);
}
