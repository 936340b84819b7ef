import { applyMetadata } from "./annotated-schema.ts";
import { titleCase } from "./call-method.ts";
import { type FieldOfClass, fieldsOfClass } from "./class-fields.ts";
import { classAttribute, kindOfClass, knownBasesOf } from "./class-kind.ts";
import { displayType } from "./display-type.ts";
import { cleanDocstring } from "./docstring.ts";
import { enumSchema } from "./enum-schema.ts";
import { PythonError } from "./interpreter.ts";
import { toJson } from "./json-value.ts";
import { readModelConfig } from "./model-config.ts";
import { type Definition, doubtful, plain, type Schema, type SchemaBuilder, type TypeSchema } from "./schema.ts";
import { type ClassValue, truthOf, type Value } from "./value.ts";

/** A class as pydantic describes it: models, dataclasses and the like by reference, other classes not at all. */
export function classSchema(type: ClassValue, args: readonly Value[], builder: SchemaBuilder): TypeSchema {
  switch (kindOfClass(type)) {
    case "enum":
      if (![...type.attributes.values()].some((one) => one.kind === "member"))
        return plain({ ...descriptionOf(type), enum: [] });
      return referTo(type, type.name, builder, () => enumSchema(type, builder));
    case "model":
      return modelReference(type, args, builder);
    case "dataclass":
    case "typed-dict":
      return args.length > 0
        ? doubtful(builder, `${type.name}[…] is not followed`)
        : referTo(type, type.name, builder, () => recordSchema(type, type.name, builder));
    case "named-tuple":
      return referTo(type, type.name, builder, () => namedTupleSchema(type, builder));
    case "protocol":
      if (type.isRuntimeCheckable) return plain({});
      throw new PythonError(
        "SchemaError",
        `the protocol ${type.name} cannot be checked at run time; decorate it with @runtime_checkable`,
        {
          scope: type.scope,
          at: type.definition.at,
        },
      );
    case "plain":
      return plainClassSchema(type, builder);
    case "unknown":
      return doubtful(builder, `what ${type.name} derives from is not known`);
  }
}

/** Makes the definition once; a class that is being made already is only referred to. */
function referTo(
  type: ClassValue,
  title: string,
  builder: SchemaBuilder,
  make: () => Schema | null,
  identity: Value = type,
): TypeSchema {
  const name = title.replace(/[^a-zA-Z0-9.\-_]/g, "_");
  const existing = builder.definitions.get(name);
  const reference: TypeSchema = { schema: { $ref: `#/definitions/${name}` }, isReference: true };
  if (existing !== undefined) {
    existing.isUsed = true;
    const isSame =
      existing.type === identity ||
      (existing.type.kind === "generic" && identity.kind === "generic" && existing.type.origin === identity.origin);
    return isSame ? reference : doubtful(builder, `two classes are called ${title}`);
  }
  const definition: Definition = { type: identity, schema: {}, isUsed: false };
  builder.definitions.set(name, definition);
  const [scope, variables] = [builder.scope, builder.variables];
  builder.scope = { ...type.scope, names: new Map([...type.scope.names, [type.name, type]]) };
  try {
    const schema = make();
    if (schema === null && !definition.isUsed) {
      builder.definitions.delete(name);
      return plain({});
    }
    // What refers to itself and turns out to be unknown stays defined, as anything.
    definition.schema = schema ?? {};
    return reference;
  } catch (error) {
    builder.definitions.delete(name);
    throw error;
  } finally {
    builder.scope = scope;
    builder.variables = variables;
  }
}

function modelReference(type: ClassValue, args: readonly Value[], builder: SchemaBuilder): TypeSchema {
  if (args.length === 0) return referTo(type, type.name, builder, () => modelSchema(type, type.name, builder));
  const names = typeVariablesOf(type);
  const shown = args.map(displayType);
  if (names.length !== args.length || shown.includes(null)) return doubtful(builder, `${type.name}[…] is not followed`);
  const title = `${type.name}[${shown.join(", ")}]`;
  const variables = new Map(names.map((name, index): [string, Value] => [name, resolveVariable(args[index], builder)]));
  const make = (): Schema | null => {
    builder.variables = variables;
    return modelSchema(type, title, builder);
  };
  // In the definition's name the arguments are joined without the space that the title has.
  return referTo(type, `${type.name}[${shown.join(",")}]`, builder, make, {
    kind: "generic",
    origin: type,
    args: [...args],
  });
}

function resolveVariable(type: Value | undefined, builder: SchemaBuilder): Value {
  if (type?.kind === "typevar") return builder.variables.get(type.name) ?? type;
  return type ?? { kind: "known", name: "typing.Any" };
}

function typeVariablesOf(type: ClassValue): string[] {
  if (type.typeParameters.length > 0) return type.typeParameters;
  for (const base of type.bases) {
    if (base.kind === "generic" && base.origin.kind === "known" && base.origin.name === "typing.Generic") {
      return base.args.flatMap((arg) => (arg.kind === "typevar" ? [arg.name] : []));
    }
  }
  return [];
}

function modelSchema(type: ClassValue, name: string, builder: SchemaBuilder): Schema | null {
  const config = readModelConfig(type, builder.interpreter);
  if (typeof config === "string") {
    doubtful(builder, config);
    return null;
  }
  if (
    classAttribute(type, "__get_pydantic_core_schema__") !== null ||
    classAttribute(type, "__get_pydantic_json_schema__") !== null
  ) {
    doubtful(builder, `${type.name} makes its schema itself`);
    return null;
  }
  const title = config.title ?? name;
  const schema = knownBasesOf(type).includes("pydantic.RootModel")
    ? rootSchema(type, title, builder)
    : recordSchema(type, title, builder);
  if (schema === null) return null;
  if (config.additionalProperties !== null) schema.additionalProperties = config.additionalProperties;
  return { ...schema, ...config.extra };
}

/** What a `RootModel` holds, in its place. */
function rootSchema(type: ClassValue, title: string, builder: SchemaBuilder): Schema | null {
  const root = fieldsOfClass(type, builder.interpreter)?.find((field) => field.name === "root");
  if (root === undefined) {
    doubtful(builder, `what ${type.name} holds is not known`);
    return null;
  }
  return { ...fieldSchema(root, "root", builder), ...descriptionOf(type), title };
}

function descriptionOf(type: ClassValue): Schema {
  return type.docstring === null || type.docstring === "" ? {} : { description: cleanDocstring(type.docstring) };
}

function recordSchema(type: ClassValue, title: string, builder: SchemaBuilder): Schema | null {
  const fields = fieldsOfClass(type, builder.interpreter);
  if (fields === null) {
    doubtful(builder, `the fields of ${type.name} are not known`);
    return null;
  }
  if (isTypedDictOfOldPython(type)) {
    doubtful(
      builder,
      `${type.name} is a typing.TypedDict, which pydantic only accepts from Python 3.12 on; take it from typing_extensions`,
    );
    return null;
  }
  const isTypedDict = kindOfClass(type) === "typed-dict";
  const properties: Schema = {};
  const required: string[] = [];
  for (const field of fields) {
    properties[field.alias] = fieldSchema(field, field.alias, builder);
    const isRequired = isTypedDict ? isRequiredKey(field) : field.default === null && field.factory === null;
    if (isRequired) required.push(field.alias);
  }
  return { ...descriptionOf(type), properties, ...(required.length > 0 ? { required } : {}), title, type: "object" };
}

function isTypedDictOfOldPython(type: ClassValue): boolean {
  return knownBasesOf(type).includes("typing.TypedDict");
}

function isRequiredKey(field: FieldOfClass): boolean {
  const { annotation, owner } = field;
  const origin = annotation.kind === "generic" && annotation.origin.kind === "known" ? annotation.origin.name : "";
  if (origin === "typing.Required") return true;
  if (origin === "typing.NotRequired") return false;
  const total = owner.keywords.get("total");
  return total === undefined || truthOf(total) !== false;
}

function fieldSchema(field: FieldOfClass, alias: string, builder: SchemaBuilder): Schema {
  const built = hasPlainValidator(field)
    ? plain({})
    : field.options === null
      ? builder.build(field.annotation)
      : applyMetadata(
          field.annotation,
          [{ kind: "object", type: "pydantic.Field", args: field.options, json: undefined }],
          builder,
        );
  const schema: Schema = { ...built.schema };
  if (schema.title === undefined && !built.isReference) schema.title = titleOf(alias);
  if (field.default === null || kindOfClass(field.owner) === "typed-dict") return schema;
  const value = toJson(field.default, builder.interpreter);
  if (value.kind === "json") schema.default = value.json;
  else if (value.kind === "unknown")
    builder.doubts.push(`the default of its field ${field.name} is left out: ${value.why}`);
  return schema;
}

function titleOf(name: string): string {
  return titleCase(name).replaceAll("_", " ").trim();
}

/** `@field_validator("x", mode="plain")` replaces the type's own schema. */
function hasPlainValidator(field: FieldOfClass): boolean {
  return [...field.owner.attributes.values()].some((value) => {
    if (value.kind !== "object" || value.type !== "pydantic.field_validator") return false;
    const mode = value.args.named.get("mode");
    return mode?.kind === "str" && mode.value === "plain";
  });
}

function namedTupleSchema(type: ClassValue, builder: SchemaBuilder): Schema | null {
  const fields = fieldsOfClass(type, builder.interpreter);
  if (fields === null) return null;
  const items = fields.map((field) => fieldSchema(field, field.name, builder));
  const required = fields.filter((field) => field.default === null).length;
  return { maxItems: items.length, minItems: required, prefixItems: items, type: "array" };
}

/** A class that tells pydantic itself what it is, as `handler(int)`; any other class accepts its instances only. */
function plainClassSchema(type: ClassValue, builder: SchemaBuilder): TypeSchema {
  const hook = classAttribute(type, "__get_pydantic_core_schema__");
  if (hook === null) return plain({});
  const fn = hook.kind === "wrapper" ? hook.inner : hook;
  if (fn.kind !== "function") return doubtful(builder, `${type.name} makes its schema itself`);
  const args = {
    positional: [type, type, { kind: "known", name: CORE_SCHEMA_HANDLER } as const],
    named: new Map<string, Value>(),
    isPartial: false,
  };
  const result = builder.interpreter.call(fn, args, { scope: type.scope, at: type.definition.at });
  const isHandled = result.kind === "object" && result.type === CORE_SCHEMA_HANDLER;
  const handled = isHandled ? result.args.positional[0] : undefined;
  return handled === undefined || handled === type
    ? doubtful(builder, `${type.name} makes its schema itself`)
    : builder.build(handled);
}

/** Stands for pydantic's `handler`; a call of it keeps the type that it is given. */
const CORE_SCHEMA_HANDLER = "pydantic.GetCoreSchemaHandler";
