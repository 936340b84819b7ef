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
  /** `X | None`: what constrains the whole constrains the inner one. */
  nullableOf?: TypeSchema;
  /** Several types, or any: pydantic writes constraints beside them under its own names. */
  isOpen?: boolean;
}

/** A class under `#/definitions`. `isUsed`: something referred to it while it was being made. */
export interface Definition {
  type: Value;
  schema: Schema;
  isUsed: boolean;
}

/** What the makers of schemas share while one flow's schema is made. */
export interface SchemaBuilder {
  interpreter: Interpreter;
  definitions: Map<string, Definition>;
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

/** `anyOf`, flat, equal members once; a single one stands for itself. */
export function uniteSchemas(members: readonly TypeSchema[]): TypeSchema {
  const choices = members.flatMap(({ schema }): Json[] => (isPlainUnion(schema) ? schema.anyOf : [schema]));
  const unique = choices.filter((choice, index) => choices.findIndex((other) => areSameJson(other, choice)) === index);
  const [only] = members;
  if (members.length === 1 && only !== undefined) return only;
  const [one] = unique;
  if (unique.length === 1 && one !== undefined && isSchema(one))
    return { schema: one, isReference: false, isOpen: true };
  return { schema: { anyOf: unique }, isReference: false, isOpen: true };
}

export function nullable(inner: TypeSchema): TypeSchema {
  const none: TypeSchema = plain({ type: "null" });
  return { schema: uniteSchemas([inner, none]).schema, isReference: inner.isReference, nullableOf: inner };
}

function isPlainUnion(schema: Schema): schema is { anyOf: Json[] } {
  return Object.keys(schema).length === 1 && Array.isArray(schema.anyOf);
}

export function isSchema(value: Json): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
