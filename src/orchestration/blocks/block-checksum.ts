import { createHash } from "node:crypto";
import { isJsonObject } from "../../prefect-api/exact-json.ts";
import type { JsonObject } from "../../prefect-api/primitives.ts";

/**
 * The checksum by which Prefect's clients look for their block's schema: sha256 over Python's JSON of the fields,
 * without secrets' names and without the definitions of other blocks. Source: prefect/blocks/core.py.
 */
export function computeBlockChecksum(fields: JsonObject): string {
  const { definitions, ...rest } = removeKey(fields, "secret_fields");
  const own = isJsonObject(definitions) ? listOwnDefinitions(rest, definitions) : {};
  const hashed = Object.keys(own).length > 0 ? { ...rest, definitions: own } : rest;
  const text = pythonJson([[hashed], {}]);
  return `sha256:${createHash("sha256").update(text).digest("hex")}`;
}

function removeKey(value: JsonObject, key: string): JsonObject {
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => name !== key)
      .map(([name, inner]) => [name, isJsonObject(inner) ? removeKey(inner, key) : inner]),
  );
}

/** Definitions that the fields refer to, directly or not, and that are no blocks themselves. */
function listOwnDefinitions(fields: JsonObject, definitions: JsonObject): JsonObject {
  const found: JsonObject = {};
  const waiting = listReferences(fields);
  for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
    const definition = definitions[name];
    // An empty definition ("any JSON value") does not count, as in Python.
    const counts = isJsonObject(definition) && Object.keys(definition).length > 0 && !(name in found);
    if (counts && (definition["block_type_slug"] ?? null) === null) {
      found[name] = definition;
      waiting.push(...listReferences(definition));
    }
  }
  return found;
}

function listReferences(value: unknown): string[] {
  if (Array.isArray(value)) {
    return value.flatMap(listReferences);
  }
  if (!isJsonObject(value)) {
    return [];
  }
  const own = typeof value["$ref"] === "string" ? [value["$ref"].replace("#/definitions/", "")] : [];
  return [...own, ...Object.values(value).flatMap(listReferences)];
}

/** `json.dumps(value, sort_keys=True)`: blanks after `,` and `:`, only ASCII. Whole floats cannot be told from ints. */
function pythonJson(value: unknown): string {
  if (Array.isArray(value)) {
    return `[${value.map(pythonJson).join(", ")}]`;
  }
  if (isJsonObject(value)) {
    const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${entries.map(([key, inner]) => `${pythonText(key)}: ${pythonJson(inner)}`).join(", ")}}`;
  }
  return typeof value === "string" ? pythonText(value) : JSON.stringify(value ?? null);
}

function pythonText(text: string): string {
  return JSON.stringify(text).replace(
    /[\u007f-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
