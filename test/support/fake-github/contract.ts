import { findResponseSchema, findUnknownProperties, flatten, type Operation, validate } from "./description.ts";
import { asObject, type Json, type JsonObject } from "./json.ts";

/** What is wrong with the caller's query and body: a wrong value is refused, an unknown name is only a bug to report. */
export function checkRequest(operation: Operation, query: URLSearchParams, body: Json | undefined) {
  const invalid: string[] = [];
  const unknown: string[] = [];
  for (const [name, value] of query) {
    const parameter = operation.parameters.find((it) => it.in === "query" && it.name === name);
    if (parameter === undefined) {
      unknown.push(`query ${name}`);
    } else {
      const { schema } = parameter;
      invalid.push(...validate(schema, isNumeric(schema) ? Number(value) : value).map((it) => `query ${name}: ${it}`));
    }
  }
  if (operation.bodySchema !== null && (body !== undefined || operation.bodyRequired)) {
    invalid.push(...validate(operation.bodySchema, body ?? null));
    unknown.push(...findUnknownProperties(operation.bodySchema, body ?? null).map((it) => `body ${it}`));
  } else if (operation.bodySchema === null && Object.keys(asObject(body) ?? {}).length > 0) {
    unknown.push("a body where none is known");
  }
  return { invalid, unknown };
}

function isNumeric(schema: JsonObject): boolean {
  return flatten(schema).some((it) => it["type"] === "integer" || it["type"] === "number");
}

/** What is wrong with an answer of the fake: its status, its shape, and properties that GitHub does not send. */
export function checkResponse(operation: Operation, status: number, body: Json | undefined): string[] {
  if (status === 304 || status === 301) {
    return []; // GitHub answers both everywhere: unchanged, and moved to another name
  }
  const schema = findResponseSchema(operation, status);
  if (schema === undefined) {
    return [`status ${status} is not listed`];
  }
  if (schema === null || body === undefined) {
    return schema === null && body === undefined ? [] : [`status ${status}: a body where none is described, or none`];
  }
  // `status` is in every error body of GitHub, though not in every schema of one.
  const unknown = findUnknownProperties(schema, body).filter((it) => status < 400 || it !== "/status");
  return [...validate(schema, body), ...unknown.map((it) => `unknown property ${it}`)];
}
