import { fieldsOfClass } from "./class-fields.ts";
import { kindOfClass, knownBasesOf } from "./class-kind.ts";
import { PLAIN_VALUE } from "./instantiate.ts";
import type { Interpreter } from "./interpreter.ts";
import type { Json } from "./schema.ts";
import { type InstanceValue, truthOf, type Value } from "./value.ts";

/**
 * A value as pydantic writes it into a schema. `none`: certainly no JSON, so the schema has no default;
 * `unknown`: we cannot tell, with the reason.
 */
export type JsonResult = { kind: "json"; json: Json } | { kind: "none" } | { kind: "unknown"; why: string };

const MAX_DEPTH = 50;
const NOT_JSON: JsonResult = { kind: "none" };

export function toJson(value: Value, interpreter: Interpreter, depth = 0): JsonResult {
  interpreter.step();
  if (depth > MAX_DEPTH) return { kind: "unknown", why: "it is nested too deeply" };
  const inner = (one: Value): JsonResult => toJson(one, interpreter, depth + 1);
  switch (value.kind) {
    case "none":
      return json(null);
    case "bool":
    case "str":
      return json(value.value);
    case "bytes":
      return bytesToJson(value.value);
    case "int": {
      const number = Number(value.value);
      return Number.isSafeInteger(number) ? json(number) : { kind: "unknown", why: "the number is too large" };
    }
    case "float":
      return json(Number.isFinite(value.value) ? value.value : null);
    case "complex":
      return json(`${value.real === 0 ? "" : `${value.real}${value.imaginary < 0 ? "" : "+"}`}${value.imaginary}j`);
    case "list":
    case "tuple":
    case "set":
    case "frozenset":
      return combine(value.items.map(inner), (items) => items);
    case "dict":
      return dictToJson(value, inner);
    case "member":
      return inner(value.value);
    case "instance":
      return instanceToJson(value, interpreter, inner);
    case "object":
      return objectToJson(value);
    case "unknown":
      return { kind: "unknown", why: value.why };
    case "known":
      return isKnownWithoutJson(value.name)
        ? NOT_JSON
        : { kind: "unknown", why: `what ${value.name} is here is not known` };
    default:
      return NOT_JSON;
  }
}

/** Bytes are written as the UTF-8 text that they are; others cannot be. */
function bytesToJson(bytes: string): JsonResult {
  try {
    return json(new TextDecoder("utf-8", { fatal: true }).decode(Buffer.from(bytes, "latin1")));
  } catch {
    return NOT_JSON;
  }
}

const json = (value: Json): JsonResult => ({ kind: "json", json: value });

/** Classes and functions of Python itself are no JSON; a known name of another package may be any constant. */
function isKnownWithoutJson(name: string): boolean {
  return !name.includes(".") || /\.[A-Z][A-Za-z]*[a-z][A-Za-z]*$/.test(name);
}

function objectToJson(value: Extract<Value, { kind: "object" }>): JsonResult {
  if (value.json !== undefined) return json(value.json);
  const isKnown = /^(?:object|range|datetime\.timezone|logging\.|zoneinfo\.|threading\.|prefect\.)/.test(value.type);
  return isKnown ? NOT_JSON : { kind: "unknown", why: `what ${value.type}() is here is not known` };
}

function combine(results: readonly JsonResult[], build: (items: Json[]) => Json): JsonResult {
  const items: Json[] = [];
  for (const result of results) {
    if (result.kind !== "json") return result;
    items.push(result.json);
  }
  return json(build(items));
}

function dictToJson(value: Extract<Value, { kind: "dict" }>, inner: (one: Value) => JsonResult): JsonResult {
  const keys = value.entries.map((entry) => keyText(entry.key, inner));
  if (keys.includes(null)) return { kind: "unknown", why: "one of its keys is not known" };
  return combine(
    value.entries.map((entry) => inner(entry.value)),
    (items) => Object.fromEntries(items.map((item, index) => [keys[index] ?? "", item])),
  );
}

function keyText(key: Value, inner: (one: Value) => JsonResult): string | null {
  if (key.kind === "none") return "None";
  const result = inner(key);
  if (result.kind !== "json" || result.json === null || typeof result.json === "object") return null;
  return String(result.json);
}

function instanceToJson(value: InstanceValue, interpreter: Interpreter, inner: (one: Value) => JsonResult): JsonResult {
  const { type } = value;
  const kind = kindOfClass(type);
  const plain = value.fields.get(PLAIN_VALUE);
  if (plain !== undefined)
    return value.isExact ? inner(plain) : { kind: "unknown", why: `how ${type.name} is made is not known` };
  if (kind === "plain" || kind === "protocol") return NOT_JSON;
  const fields = fieldsOfClass(type, interpreter);
  if (!value.isExact || fields === null)
    return { kind: "unknown", why: `how ${type.name} fills its fields is not followed` };
  if (kind === "named-tuple")
    return combine(
      fields.map((field) => inner(value.fields.get(field.name) ?? { kind: "none" })),
      (items) => items,
    );
  const root = fields.find((field) => field.name === "root" && knownBasesOf(type).includes("pydantic.RootModel"));
  if (root !== undefined) return inner(value.fields.get("root") ?? { kind: "none" });
  const shown = fields.filter((field) => truthOf(field.options?.named.get("exclude") ?? { kind: "none" }) !== true);
  return combine(
    shown.map((field) => inner(value.fields.get(field.name) ?? { kind: "none" })),
    (items) =>
      Object.fromEntries(
        shown.map((field, index): [string, Json] => [
          kind === "model" ? field.writtenName : field.name,
          items[index] ?? null,
        ]),
      ),
  );
}
