import { callBuiltin } from "./call-builtin.ts";
import { callFlow, withOptions } from "./call-flow.ts";
import { callFunction } from "./call-function.ts";
import { callMethod } from "./call-method.ts";
import { callTyping } from "./call-typing.ts";
import { classAttribute } from "./class-kind.ts";
import { instantiate } from "./instantiate.ts";
import type { Interpreter, Site } from "./interpreter.ts";
import { constructObject } from "./known-objects.ts";
import { type CallArguments, type KnownValue, unknown, type Value } from "./value.ts";

/** `callee(…)`. What cannot be run gives an unknown value. */
export function call(callee: Value, args: CallArguments, site: Site, interpreter: Interpreter): Value {
  interpreter.step();
  switch (callee.kind) {
    case "known":
      return callKnown(callee, args, site, interpreter);
    case "function":
      return callFunction(callee, args, site, interpreter);
    case "bound":
      return callFunction(
        callee.function,
        { ...args, positional: [callee.self, ...args.positional] },
        site,
        interpreter,
      );
    case "class":
      return instantiate(callee, args, site, interpreter);
    case "generic":
      return call(callee.origin, args, site, interpreter);
    case "newtype":
      return args.positional[0] ?? unknown("it is called without a value");
    case "partial": {
      const merged: CallArguments = {
        positional: [...callee.args.positional, ...args.positional],
        named: new Map([...callee.args.named, ...args.named]),
        isPartial: callee.args.isPartial || args.isPartial,
      };
      return call(callee.callee, merged, site, interpreter);
    }
    case "wrapper":
      return callee.wrapper === "property"
        ? unknown("a property is called")
        : call(callee.inner, args, site, interpreter);
    case "method":
      if (callee.self.kind === "flow")
        return callee.name === "with_options"
          ? withOptions(callee.self, args, site)
          : unknown("a flow's method is called");
      return callMethod(callee.self, callee.name, args);
    case "instance": {
      const method = classAttribute(callee.type, "__call__");
      if (method?.kind !== "function") return unknown("an object is called");
      return callFunction(method, { ...args, positional: [callee, ...args.positional] }, site, interpreter);
    }
    default:
      return unknown("what is called is not known");
  }
}

function callKnown(callee: KnownValue, args: CallArguments, site: Site, interpreter: Interpreter): Value {
  return (
    callFlow(callee.name, args, site) ??
    callTyping(callee.name, args, site) ??
    callBuiltin(callee.name, args, site, interpreter) ??
    constructObject(callee.name, args) ??
    unknown(`the result of ${callee.name}() is not known`)
  );
}
