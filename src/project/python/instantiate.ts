import { callFunction } from "./call-function.ts";
import { type FieldOfClass, fieldsOfClass } from "./class-fields.ts";
import { ancestorsOf, classAttribute, classOfBase, kindOfClass, knownBasesOf } from "./class-kind.ts";
import { fitsExactly } from "./fits-exactly.ts";
import type { Interpreter, Site } from "./interpreter.ts";
import {
  areEqual,
  type CallArguments,
  type ClassValue,
  type InstanceValue,
  NO_ARGUMENTS,
  str,
  unknown,
  type Value,
} from "./value.ts";

/** The field under which an instance of a subclass of `str`, `int` … keeps its plain value. */
export const PLAIN_VALUE = "<plain value>";

/** `Class(…)`. Fields are only trusted where nothing could have changed them on the way in. */
export function instantiate(type: ClassValue, args: CallArguments, site: Site, interpreter: Interpreter): Value {
  switch (kindOfClass(type)) {
    case "enum":
      return memberByValue(type, args);
    case "model":
      return makeRecord(type, args, "validated", site, interpreter);
    case "dataclass":
      return makeRecord(type, args, type.dataclass?.library === "pydantic" ? "validated" : "stored", site, interpreter);
    case "named-tuple":
      return makeRecord(type, args, "stored", site, interpreter);
    case "typed-dict": {
      const entries = [...args.named].map(([key, value]) => ({ key: str(key), value }));
      return args.isPartial || args.positional.length > 0
        ? unknown("its keys are not known")
        : { kind: "dict", entries };
    }
    case "protocol":
    case "plain":
      return makePlain(type, args, site, interpreter);
    case "unknown":
      return unknown(`what ${type.name} derives from is not known`);
  }
}

function memberByValue(type: ClassValue, args: CallArguments): Value {
  const [wanted] = args.positional;
  for (const member of type.attributes.values()) {
    if (member.kind === "member" && wanted !== undefined && areEqual(member.value, wanted) === true) return member;
  }
  return wanted?.kind === "member" ? wanted : unknown(`the member of ${type.name} is not known`);
}

function makeRecord(
  type: ClassValue,
  args: CallArguments,
  how: "validated" | "stored",
  site: Site,
  interpreter: Interpreter,
): Value {
  const fields = fieldsOfClass(type, interpreter);
  if (fields === null || args.isPartial) return unknown(`the fields of ${type.name} are not known`);
  const instance: InstanceValue = { kind: "instance", type, fields: new Map(), isExact: !hasOwnConstruction(type) };
  const positional = [...args.positional];
  for (const field of fields) {
    const isByName = field.isKeywordOnly || (kindOfClass(type) === "model" && field.name !== "root");
    const given = (isByName ? undefined : positional.shift()) ?? givenByName(field, args);
    if (given !== undefined && how === "validated" && !fitsExactly(field.annotation, given)) instance.isExact = false;
    const value = given ?? defaultOf(field, site, interpreter);
    if (value === null) return unknown(`${field.name} of ${type.name} is not given`);
    instance.fields.set(field.name, value);
  }
  const known = new Set(fields.flatMap((field) => [field.name, field.alias]));
  if ([...args.named.keys()].some((name) => !known.has(name))) instance.isExact = false;
  return instance;
}

function givenByName(field: FieldOfClass, args: CallArguments): Value | undefined {
  return args.named.get(field.alias) ?? args.named.get(field.name);
}

function defaultOf(field: FieldOfClass, site: Site, interpreter: Interpreter): Value | null {
  if (field.factory !== null) return interpreter.call(field.factory, NO_ARGUMENTS, site);
  return field.default;
}

/** Whether the class computes its fields in ways that are not followed: validators, `__init__`, `__post_init__`. */
function hasOwnConstruction(type: ClassValue): boolean {
  return ancestorsOf(type).some((one) =>
    [...one.attributes].some(
      ([name, value]) =>
        /^(?:__init__|__new__|__post_init__|model_post_init)$/.test(name) ||
        (value.kind === "object" && /validator|serializer|computed_field/.test(value.type)),
    ),
  );
}

function makePlain(type: ClassValue, args: CallArguments, site: Site, interpreter: Interpreter): Value {
  const instance: InstanceValue = { kind: "instance", type, fields: new Map(), isExact: false };
  const init = classAttribute(type, "__init__");
  const plainBase = knownBasesOf(type).find((name) =>
    /^(?:str|int|float|bytes|list|dict|tuple|set|frozenset)$/.test(name),
  );
  if (plainBase !== undefined && init === null) {
    instance.fields.set(PLAIN_VALUE, interpreter.call({ kind: "known", name: plainBase }, args, site));
    instance.isExact = classAttribute(type, "__new__") === null;
  }
  if (init?.kind === "function")
    callFunction(init, { ...args, positional: [instance, ...args.positional] }, site, interpreter);
  else if (init !== null) return unknown(`how ${type.name} is made is not known`);
  return type.bases.every((base) => classOfBase(base) !== null || base.kind !== "unknown")
    ? instance
    : unknown(`what ${type.name} derives from is not known`);
}
