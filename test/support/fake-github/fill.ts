import { dereference, findComponent } from "./description.ts";
import { isObject, type Json, type JsonObject } from "./json.ts";

const SOME_TIME = "2026-11-23T09:00:00Z";

/**
 * The whole object that GitHub would send: what is given, cut to what the schema knows, and every property that the
 * schema demands beside it, made up. GitHub sends dozens of links that no test looks at.
 */
export function fill(schemaName: string, given: JsonObject): JsonObject {
  const filled = complete(findComponent(schemaName), given);
  if (!isObject(filled)) {
    throw new Error(`${schemaName} is no object`);
  }
  return filled;
}

function complete(schema: JsonObject, given: Json): Json {
  const parts = listParts(schema);
  if (Array.isArray(given)) {
    const items = parts.map((it) => it["items"]).find(isObject);
    return items === undefined ? given : given.map((item) => complete(items, item));
  }
  const described = parts.flatMap((it) => (isObject(it["properties"]) ? [it["properties"]] : []));
  if (!isObject(given) || described.length === 0) {
    return given;
  }
  const result: JsonObject = {};
  for (const [name, value] of Object.entries(given)) {
    const known = described.map((it) => it[name]).find(isObject);
    if (known !== undefined) {
      result[name] = complete(known, value);
    }
  }
  const required = parts.flatMap((it) => (Array.isArray(it["required"]) ? it["required"] : []));
  for (const name of required.filter((it) => typeof it === "string")) {
    const known = described.map((it) => it[name]).find(isObject);
    if (!(name in result) && known !== undefined) {
      result[name] = makeUp(known, name);
    }
  }
  return result;
}

/** The schema with all parts of an intersection, and the first of a union. */
function listParts(schema: JsonObject): JsonObject[] {
  const target = dereference(schema);
  const parts = ["allOf", "anyOf", "oneOf"].flatMap((key) => {
    const branches = Array.isArray(target[key]) ? target[key].filter(isObject) : [];
    return key === "allOf" ? branches : branches.slice(0, 1);
  });
  return [target, ...parts.flatMap(listParts)];
}

function makeUp(schema: JsonObject, name: string): Json {
  const target = dereference(schema);
  if (target["nullable"] === true) {
    return null;
  }
  if (Array.isArray(target["enum"])) {
    return target["enum"][0] ?? null;
  }
  const [branch] = ["oneOf", "anyOf", "allOf"].map((key) => target[key]).find(Array.isArray) ?? [];
  if (target["type"] === undefined && branch !== undefined && isObject(branch)) {
    return makeUp(branch, name);
  }
  switch (target["type"]) {
    case "object":
      return complete(schema, {});
    case "array":
      return [];
    case "integer":
    case "number":
      return 0;
    case "boolean":
      return false;
    default:
      return makeUpText(target, name);
  }
}

function makeUpText(schema: JsonObject, name: string): string {
  if (schema["format"] === "date-time" || name.endsWith("_at")) {
    return SOME_TIME;
  }
  return schema["format"] === "uri" || name.endsWith("url") ? `https://github.example/${name}` : "";
}
