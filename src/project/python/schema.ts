import type { Interpreter } from "./interpreter.ts";
import type { Scope, Value } from "./value.ts";

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
/** The keywords that are looked at by name are listed; the rest only passes through. */
export interface Schema {
  [key: string]: Json;
  $ref?: Json;
  additionalProperties?: Json;
  anyOf?: Json;
  const?: Json;
  default?: Json;
  description?: Json;
  enum?: Json;
  format?: Json;
  pattern?: Json;
  patternProperties?: Json;
  properties?: Json;
  propertyNames?: Json;
  title?: Json;
  type?: Json;
}

/** A type's JSON schema. `isReference`: pydantic gives a field of it no title of its own. */
export interface TypeSchema {
  schema: Schema;
  isReference: boolean;
}

/** What the makers of schemas share while one flow's schema is made. */
export interface SchemaBuilder {
  interpreter: Interpreter;
  definitions: Map<string, { type: Value; schema: Schema }>;
  /** Why something was left open that pydantic may describe more closely. */
  doubts: string[];
  /** Where quoted names are looked up now. */
  scope: Scope;
  /** What type variables stand for now. */
  variables: ReadonlyMap<string, Value>;
  depth: number;
  build(type: Value): TypeSchema;
}

/**
 * pydantic has no schema for this type: Prefect then accepts any value for the parameter.
 * `isPartOfUnion`: a union with such a member is described without it.
 */
export class NoSchema extends Error {
  readonly isPartOfUnion: boolean;

  constructor(message: string, details: { isPartOfUnion: boolean; cause?: unknown }) {
    super(message, { cause: details.cause });
    this.isPartOfUnion = details.isPartOfUnion;
  }
}

export const plain = (schema: Schema): TypeSchema => ({ schema, isReference: false });

/** Accepts anything, and says that this is our doubt rather than the type's nature. */
export function doubtful(builder: Pick<SchemaBuilder, "doubts">, why: string): TypeSchema {
  builder.doubts.push(why);
  return plain({});
}

/** Keys in the order in which pydantic writes them; the order of properties and of defaults is the source's. */
export function sortKeys(value: Json, parent = ""): Json {
  if (Array.isArray(value)) return value.map((item) => sortKeys(item, parent));
  if (value === null || typeof value !== "object") return value;
  if (parent === "default") return value;
  const keys = Object.keys(value);
  const ordered = parent === "properties" ? keys : keys.toSorted((a, b) => (a < b ? -1 : 1));
  return Object.fromEntries(
    ordered.map((key) => [key, sortKeys(value[key] ?? null, parent === "properties" ? "" : key)]),
  );
}

export function areSameJson(a: Json, b: Json): boolean {
  return JSON.stringify(sortKeys(a)) === JSON.stringify(sortKeys(b));
}
