import { isJsonObject } from "../../prefect-api/exact-json.ts";
import type { JsonObject } from "../../prefect-api/primitives.ts";

const MASK = "********";

/**
 * A block's data with its secret fields masked. Fields are named by paths (`password`, `auth.token`); everything below
 * a `*` is secret. Numbers and lists are masked as a whole; null has nothing to hide.
 */
export function maskSecrets(data: JsonObject, fields: JsonObject): JsonObject {
  return listSecretPaths(fields).reduce((masked, path) => maskPath(masked, path), data);
}

function listSecretPaths(fields: JsonObject): string[][] {
  const paths = fields["secret_fields"];
  return Array.isArray(paths) ? paths.map((path) => String(path).split(".")) : [];
}

function maskPath(data: JsonObject, [key, ...rest]: string[]): JsonObject {
  if (key === "*") {
    return maskLeaves(data);
  }
  const value = key === undefined ? undefined : data[key];
  if (key === undefined || value === undefined || value === null) {
    return data;
  }
  if (rest.length === 0) {
    return { ...data, [key]: MASK };
  }
  return isJsonObject(value) ? { ...data, [key]: maskPath(value, rest) } : data;
}

function maskLeaves(data: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, isJsonObject(value) ? maskLeaves(value) : MASK]),
  );
}

/**
 * New data in which a mask that was read and sent back stands for the secret that is stored: a form that shows masked
 * values and saves all fields must not destroy them.
 */
export function unmaskSecrets(data: JsonObject, stored: JsonObject, fields: JsonObject): JsonObject {
  return listSecretPaths(fields).reduce((unmasked, path) => unmaskPath(unmasked, stored, path), data);
}

function unmaskPath(data: JsonObject, stored: JsonObject, [key, ...rest]: string[]): JsonObject {
  if (key === "*") {
    return Object.fromEntries(Object.entries(data).map(([name, value]) => [name, keepLeaf(value, stored[name])]));
  }
  if (key === undefined || !(key in data)) {
    return data;
  }
  const [value, before] = [data[key], stored[key]];
  if (rest.length === 0) {
    return { ...data, [key]: keepLeaf(value, before) };
  }
  return isJsonObject(value) && isJsonObject(before) ? { ...data, [key]: unmaskPath(value, before, rest) } : data;
}

function keepLeaf(value: unknown, before: unknown): unknown {
  return value === MASK && before !== undefined ? before : value;
}
