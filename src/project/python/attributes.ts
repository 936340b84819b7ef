import { ancestorsOf, classAttribute, classOfBase } from "./class-kind.ts";
import { type Interpreter, PythonError, type Site } from "./interpreter.ts";
import { knownValue } from "./known-names.ts";
import { pathAttribute } from "./known-objects.ts";
import {
  type ClassValue,
  type FlowValue,
  type FunctionValue,
  type ModuleValue,
  NO_ARGUMENTS,
  NONE,
  str,
  unknown,
  type Value,
} from "./value.ts";

/** `object.name`. Throws PythonError AttributeError where Python certainly would. */
export function getAttribute(object: Value, name: string, site: Site, interpreter: Interpreter): Value {
  switch (object.kind) {
    case "known":
      return name === "__name__"
        ? str(object.name.slice(object.name.lastIndexOf(".") + 1))
        : knownValue(`${object.name}.${name}`);
    case "module":
      return moduleAttribute(object, name, site, interpreter);
    case "class":
      return ofClass(object, name, site);
    case "instance": {
      const field = object.fields.get(name);
      return field ?? boundAttribute(object, object.type, name, site, interpreter);
    }
    case "member":
      if (name === "value" || name === "_value_") return object.value;
      if (name === "name" || name === "_name_") return str(object.name);
      return boundAttribute(object, object.type, name, site, interpreter);
    case "function":
      return ofFunction(object, name);
    case "flow":
      return ofFlow(object, name);
    case "object":
      return pathAttribute(object, name) ?? { kind: "method", self: object, name };
    case "str":
    case "bytes":
    case "list":
    case "tuple":
    case "set":
    case "frozenset":
    case "dict":
      return { kind: "method", self: object, name };
    case "generic":
      return getAttribute(object.origin, name, site, interpreter);
    case "wrapper":
      return object.wrapper === "property" ? { kind: "method", self: object, name } : unknown(`${name} is not known`);
    default:
      return unknown(`${name} of something unknown`);
  }
}

export function moduleAttribute(module: ModuleValue, name: string, site: Site, interpreter: Interpreter): Value {
  const value = module.scope.names.get(name) ?? interpreter.importProjectModule(`${module.name}.${name}`);
  if (value !== null && value !== undefined) return value;
  if (name === "__name__") return str(module.name);
  if (module.scope.isOpen || module.isLoading || name.startsWith("__"))
    return unknown(`${name} of ${module.name} is not known`);
  throw new PythonError("AttributeError", `module '${module.name}' has no attribute '${name}'`, site);
}

function ofClass(type: ClassValue, name: string, site: Site): Value {
  if (name === "__name__" || name === "__qualname__") return str(name === "__name__" ? type.name : type.qualname);
  if (name === "__doc__") return type.docstring === null ? NONE : str(type.docstring);
  const value = classAttribute(type, name);
  if (value === null) {
    const isWhole = ancestorsOf(type).every(
      (one) => !one.scope.isOpen && one.keywords.size === 0 && one.bases.every((base) => classOfBase(base) !== null),
    );
    if (isWhole && !name.startsWith("__"))
      throw new PythonError("AttributeError", `type object '${type.name}' has no attribute '${name}'`, site);
    return unknown(`${name} of ${type.name} is not known`);
  }
  if (value.kind !== "wrapper") return value;
  if (value.inner.kind === "flow") return value.inner;
  if (value.wrapper === "classmethod" && value.inner.kind === "function")
    return { kind: "bound", self: type, function: value.inner };
  return value.wrapper === "staticmethod" ? value.inner : value;
}

function boundAttribute(self: Value, type: ClassValue, name: string, site: Site, interpreter: Interpreter): Value {
  if (name === "__class__") return type;
  const value = classAttribute(type, name);
  if (value === null) return unknown(`${name} of ${type.name} is not known`);
  if (value.kind === "function") return { kind: "bound", self, function: value };
  if (value.kind !== "wrapper") return value;
  if (value.wrapper === "staticmethod") return value.inner;
  if (value.inner.kind !== "function") return unknown(`${name} of ${type.name} is not known`);
  if (value.wrapper === "classmethod") return { kind: "bound", self: type, function: value.inner };
  return interpreter.call({ kind: "bound", self, function: value.inner }, NO_ARGUMENTS, site);
}

function ofFunction(value: FunctionValue, name: string): Value {
  if (name === "__name__" || name === "__qualname__") return str(value.name);
  if (name === "__doc__") return value.docstring === null ? NONE : str(value.docstring);
  if (name === "__wrapped__" && value.wrapped !== null) return value.wrapped;
  return unknown(`${name} of a function is not known`);
}

function ofFlow(flow: FlowValue, name: string): Value {
  if (name === "fn") return flow.function;
  if (name === "name") return flow.name;
  if (name === "description") return flow.description ?? NONE;
  return { kind: "method", self: flow, name };
}
