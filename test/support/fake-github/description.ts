import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv, type ValidateFunction } from "ajv";
import { z } from "zod";
import { isObject, Json, type JsonObject } from "./json.ts";

export interface Parameter {
  name: string;
  in: "path" | "query";
  schema: JsonObject;
  multiSegment: boolean;
}

export interface Operation {
  id: string;
  method: string;
  path: string;
  /** The token needs one of these sets; none listed: no permission at all. */
  permissions: Record<string, string>[];
  parameters: Parameter[];
  bodySchema: JsonObject | null;
  bodyRequired: boolean;
  /** By status; null where the answer has no JSON body. */
  responses: Map<number, JsonObject | null>;
}

const Document = z.object({
  paths: z.record(z.string(), z.record(z.string(), z.record(z.string(), Json))),
  components: z.record(z.string(), z.record(z.string(), z.record(z.string(), Json))),
});
const Permissions = z.array(z.record(z.string(), z.string()));
const document = Document.parse(
  JSON.parse(readFileSync(join(import.meta.dirname, "../../fixtures/github-rest.json"), "utf8")),
);

/** GitHub answers these everywhere with its usual error, whatever the description lists. 400 and 422 are for bad requests. */
const EVERYWHERE = new Set([400, 401, 403, 404, 422, 429]);

export const operations: Operation[] = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => readOperation(path, method.toUpperCase(), operation)),
);

function readOperation(path: string, method: string, operation: JsonObject): Operation {
  const body = operation["requestBody"];
  return {
    id: z.string().parse(operation["operationId"]),
    method,
    path,
    permissions: Permissions.parse(operation["x-permissions"]),
    parameters: asList(operation["parameters"]).map(readParameter),
    bodySchema: isObject(body) ? findJsonSchema(body) : null,
    bodyRequired: isObject(body) && body["required"] === true,
    responses: new Map(
      Object.entries(isObject(operation["responses"]) ? operation["responses"] : {}).map(([status, response]) => [
        Number(status),
        isObject(response) ? findJsonSchema(dereference(response)) : null,
      ]),
    ),
  };
}

function readParameter(found: Json): Parameter {
  const parameter = isObject(found) ? dereference(found) : {};
  return {
    name: z.string().parse(parameter["name"]),
    in: z.enum(["path", "query"]).parse(parameter["in"]),
    schema: isObject(parameter["schema"]) ? parameter["schema"] : {},
    multiSegment: parameter["x-multi-segment"] === true,
  };
}

function findJsonSchema(holder: JsonObject): JsonObject | null {
  const content = holder["content"];
  const json = isObject(content) ? content["application/json"] : undefined;
  return isObject(json) && isObject(json["schema"]) ? json["schema"] : null;
}

function asList(value: Json | undefined): Json[] {
  return Array.isArray(value) ? value : [];
}

export function findComponent(name: string): JsonObject {
  const schema = document.components["schemas"]?.[name];
  if (schema === undefined) {
    throw new Error(`GitHub's description has no schema ${name}`);
  }
  return schema;
}

/** What a `$ref` points to; the schema itself where it is none. */
export function dereference(schema: JsonObject): JsonObject {
  const reference = schema["$ref"];
  if (typeof reference !== "string") {
    return schema;
  }
  const [, , kind = "", name = ""] = reference.split("/");
  const target = document.components[kind]?.[name];
  if (target === undefined) {
    throw new Error(`GitHub's description has no ${reference}`);
  }
  return dereference(target);
}

/** The operation that a request names, with the values in its path. A path that fixes more of it goes first. */
export function findOperation(method: string, path: string): { operation: Operation; params: JsonObject } | null {
  const matches = operations
    .filter((operation) => operation.method === method)
    .flatMap((operation) => {
      const params = matchPath(operation, path);
      return params === null ? [] : [{ operation, params }];
    });
  const countFixed = (path: string) => path.replaceAll(/\{\w+\}/g, "").length;
  matches.sort((a, b) => countFixed(b.operation.path) - countFixed(a.operation.path));
  return matches[0] ?? null;
}

function matchPath(operation: Operation, path: string): JsonObject | null {
  const multi = new Set(operation.parameters.filter((it) => it.multiSegment).map((it) => it.name));
  const pattern = operation.path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
    multi.has(name) ? `(?<${name}>.+)` : `(?<${name}>[^/]+)`,
  );
  const groups = new RegExp(`^${pattern}$`).exec(path)?.groups;
  if (groups === undefined) {
    return new RegExp(`^${pattern}$`).test(path) ? {} : null;
  }
  return Object.fromEntries(Object.entries(groups).map(([name, value]) => [name, decodeURIComponent(value)]));
}

const ajv = new Ajv({ strict: false, allErrors: true, logger: false });
ajv.addFormat("date-time", (text: string) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(text));
ajv.addFormat("uri", (text: string) => text === "" || URL.canParse(text));
ajv.addSchema({
  $id: "github",
  definitions: Object.fromEntries(
    Object.entries(document.components["schemas"] ?? {}).map(([name, schema]) => [name, toDraft7(schema)]),
  ),
});
const compiled = new Map<JsonObject, ValidateFunction>();

/** OpenAPI 3.0 says `nullable`, JSON schema wants null among the types. */
function toDraft7(schema: Json): Json {
  if (Array.isArray(schema)) {
    return schema.map(toDraft7);
  }
  if (!isObject(schema)) {
    return schema;
  }
  const { nullable, ...rest } = schema;
  const converted: JsonObject = {};
  for (const [key, value] of Object.entries(rest)) {
    converted[key] =
      key === "$ref" && typeof value === "string"
        ? value.replace("#/components/schemas/", "github#/definitions/")
        : toDraft7(value);
  }
  if (nullable !== true) {
    return converted;
  }
  if (typeof converted["type"] === "string") {
    const withNull = Array.isArray(converted["enum"]) ? { enum: [...new Set([...converted["enum"], null])] } : {};
    return { ...converted, ...withNull, type: [converted["type"], "null"] };
  }
  return { anyOf: [converted, { type: "null" }] };
}

/** One sentence for each way in which the value is not what the schema says. */
export function validate(schema: JsonObject, value: unknown): string[] {
  const check = compiled.get(schema) ?? ajv.compile(z.record(z.string(), z.unknown()).parse(toDraft7(schema)));
  compiled.set(schema, check);
  return check(value) ? [] : (check.errors ?? []).map((error) => `${error.instancePath || "/"} ${error.message}`);
}

/** The schema an answer must meet; undefined when the description knows no such status here. */
export function findResponseSchema(operation: Operation, status: number): JsonObject | null | undefined {
  const listed = operation.responses.get(status);
  if (listed !== undefined && (listed !== null || status < 400)) {
    return listed;
  }
  // A listed refusal without a schema has GitHub's usual body too.
  const refused = listed === null || EVERYWHERE.has(status) || status >= 500;
  return refused ? findComponent(status === 422 ? "validation-error" : "basic-error") : undefined;
}

/** Schemas are open, so a misspelt field passes them: paths of all properties that no schema in force knows. */
export function findUnknownProperties(schema: JsonObject, value: Json, at = ""): string[] {
  return walk([schema], value, at);
}

function walk(schemas: JsonObject[], value: Json, at: string): string[] {
  const inForce = schemas.flatMap(flatten);
  if (Array.isArray(value)) {
    const items = inForce.flatMap((schema) => (isObject(schema["items"]) ? [schema["items"]] : []));
    return items.length === 0 ? [] : value.flatMap((item, index) => walk(items, item, `${at}/${index}`));
  }
  if (!isObject(value)) {
    return [];
  }
  const open = inForce.some((it) => it["additionalProperties"] !== undefined && it["additionalProperties"] !== false);
  const described = inForce.flatMap((it) => (isObject(it["properties"]) ? [it["properties"]] : []));
  if (described.length === 0) {
    return [];
  }
  return Object.entries(value).flatMap(([name, property]) => {
    const known = described.flatMap((properties) => (isObject(properties[name]) ? [properties[name]] : []));
    if (known.length === 0) {
      return open ? [] : [`${at}/${name}`];
    }
    return walk(known, property, `${at}/${name}`);
  });
}

/** The schema and everything it is made of by reference, union or intersection. */
export function flatten(schema: JsonObject): JsonObject[] {
  const target = dereference(schema);
  const parts = ["allOf", "anyOf", "oneOf"].flatMap((key) => asList(target[key]).filter(isObject));
  return [target, ...parts.flatMap(flatten)];
}
