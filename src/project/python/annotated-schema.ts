import { toJson } from "./json-value.ts";
import {
  doubtful,
  isSchema as isObject,
  type Json,
  nullable,
  plain,
  type Schema,
  type SchemaBuilder,
  type TypeSchema,
} from "./schema.ts";
import { type CallArguments, type ObjectValue, truthOf, type Value } from "./value.ts";

/** A type with what `Annotated` or a field says about it. */
export function applyMetadata(base: Value, metadata: readonly Value[], builder: SchemaBuilder): TypeSchema {
  const discriminator = metadata.flatMap((one) =>
    one.kind === "object" ? (one.args.named.get("discriminator") ?? []) : [],
  )[0];
  let result = discriminator === undefined ? builder.build(base) : discriminatedSchema(base, discriminator, builder);
  for (const one of metadata) {
    if (one.kind === "object") result = applyOne(result, one, builder);
    else if (one.kind === "unknown") return doubtful(builder, one.why);
    else if (one.kind === "slice") return doubtful(builder, "the length in its annotation is not followed");
  }
  return result;
}

function applyOne(target: TypeSchema, one: ObjectValue, builder: SchemaBuilder): TypeSchema {
  if (one.args.isPartial) return doubtful(builder, "the arguments in its annotation are not known");
  const name = one.type.slice(one.type.lastIndexOf(".") + 1);
  if (one.type.startsWith("annotated_types.")) return applyAnnotatedType(target, name, one.args, builder);
  switch (one.type) {
    case "pydantic.Field":
      return applyField(target, one.args, builder);
    case "pydantic.StringConstraints":
      return applyConstraints(target, one.args, builder);
    case "pydantic.PlainValidator":
      return plain({});
    case "pydantic.WithJsonSchema": {
      const [given] = one.args.positional;
      const json = given === undefined ? null : toJson(given, builder.interpreter);
      return json?.kind === "json" && isObject(json.json)
        ? plain(json.json)
        : doubtful(builder, "its schema is not known");
    }
    case "pydantic.Tag":
    case "pydantic.Discriminator":
      return doubtful(builder, `${name} is not followed`);
    default:
      return target;
  }
}

const ANNOTATED_TYPES: Readonly<Record<string, readonly string[]>> = {
  Gt: ["gt"],
  Ge: ["ge"],
  Lt: ["lt"],
  Le: ["le"],
  MultipleOf: ["multiple_of"],
  MinLen: ["min_length"],
  MaxLen: ["max_length"],
  Len: ["min_length", "max_length"],
  Interval: [],
};

function applyAnnotatedType(target: TypeSchema, name: string, args: CallArguments, builder: SchemaBuilder): TypeSchema {
  const names = ANNOTATED_TYPES[name];
  if (names === undefined) return target;
  const named = new Map(args.named);
  for (const [index, value] of args.positional.entries()) {
    const constraint = names[index];
    // `Len(0, …)` says nothing about the minimum.
    const isIdle = constraint === "min_length" && value.kind === "int" && value.value === 0n;
    if (constraint !== undefined && !isIdle) named.set(constraint, value);
  }
  return applyConstraints(target, { positional: [], named, isPartial: false }, builder);
}

/** What a field says about the value itself, by the keyword of pydantic. */
const CONSTRAINTS: Readonly<Record<string, Partial<Record<"number" | "string" | "array" | "object", string>>>> = {
  gt: { number: "exclusiveMinimum" },
  ge: { number: "minimum" },
  lt: { number: "exclusiveMaximum" },
  le: { number: "maximum" },
  multiple_of: { number: "multipleOf" },
  min_length: { string: "minLength", array: "minItems", object: "minProperties" },
  max_length: { string: "maxLength", array: "maxItems", object: "maxProperties" },
  pattern: { string: "pattern" },
};

export function applyConstraints(target: TypeSchema, args: CallArguments, builder: SchemaBuilder): TypeSchema {
  if (target.nullableOf !== undefined) return nullable(applyConstraints(target.nullableOf, args, builder));
  let { schema } = target;
  for (const [name, value] of args.named) {
    const keywords = CONSTRAINTS[name];
    if (keywords === undefined || value.kind === "none") continue;
    const json = toJson(value, builder.interpreter);
    if (json.kind !== "json" || "$ref" in schema) return doubtful(builder, `the constraint ${name} is not followed`);
    schema =
      target.isOpen === true
        ? { ...schema, [OPEN_NAMES[name] ?? name]: json.json }
        : constrain(schema, keywords, json.json);
  }
  return { ...target, schema };
}

/** How pydantic names a constraint on something that is of no single JSON type. */
const OPEN_NAMES: Readonly<Record<string, string>> = { min_length: "minLength", max_length: "maxLength" };

function constrain(schema: Schema, keywords: Partial<Record<string, string>>, value: Json): Schema {
  const choices = schema.anyOf;
  if (Array.isArray(choices))
    return {
      ...schema,
      anyOf: choices.map((choice) => (isObject(choice) ? constrain(choice, keywords, value) : choice)),
    };
  const type = schema.type === "integer" ? "number" : schema.type;
  const keyword = typeof type === "string" ? keywords[type] : undefined;
  // Dates and the like are text in JSON, and their bounds are not shown.
  if (keyword === undefined || (type === "string" && schema.format !== undefined && schema.format !== "binary"))
    return schema;
  return { ...schema, [keyword]: value };
}

/** Everything of `Field(…)` that shows: constraints, texts and what the author adds. */
export function applyField(target: TypeSchema, args: CallArguments, builder: SchemaBuilder): TypeSchema {
  const result = applyConstraints(target, args, builder);
  const extra: Schema = {};
  for (const name of ["title", "description", "examples", "deprecated"]) {
    const value = args.named.get(name);
    if (value === undefined || value.kind === "none" || (name === "deprecated" && truthOf(value) === false)) continue;
    const json = toJson(value, builder.interpreter);
    if (json.kind !== "json") return doubtful(builder, `the field's ${name} is not known`);
    extra[name] = name === "deprecated" ? true : json.json;
  }
  const more = args.named.get("json_schema_extra");
  if (more === undefined || more.kind === "none") return { ...result, schema: { ...result.schema, ...extra } };
  const json = toJson(more, builder.interpreter);
  if (json.kind !== "json" || !isObject(json.json))
    return doubtful(builder, "the field's json_schema_extra is not known");
  return { ...result, schema: { ...result.schema, ...extra, ...json.json } };
}

/** `Field(discriminator="kind")` over a union of models. */
function discriminatedSchema(base: Value, discriminator: Value, builder: SchemaBuilder): TypeSchema {
  const { schema } = builder.build(base);
  const choices = schema.anyOf;
  if (discriminator.kind !== "str" || !Array.isArray(choices))
    return doubtful(builder, "its discriminator is not followed");
  const mapping: Schema = {};
  for (const choice of choices) {
    const pointer = isObject(choice) ? choice.$ref : undefined;
    const tags = typeof pointer === "string" ? tagsOf(pointer, discriminator.value, builder) : null;
    if (typeof pointer !== "string" || tags === null) return doubtful(builder, "its discriminator is not followed");
    for (const tag of tags) mapping[tag] = pointer;
  }
  return plain({ discriminator: { mapping, propertyName: discriminator.value }, oneOf: choices });
}

function tagsOf(pointer: string, property: string, builder: SchemaBuilder): string[] | null {
  const definition = builder.definitions.get(pointer.slice("#/definitions/".length))?.schema;
  const properties = definition?.properties;
  const field =
    isObject(properties ?? null) && properties !== undefined && isObject(properties) ? properties[property] : undefined;
  if (field === undefined || !isObject(field)) return null;
  const values = field.const !== undefined ? [field.const] : field.enum;
  return Array.isArray(values) ? values.map(String) : null;
}
