import { applyMetadata } from "./annotated-schema.ts";
import { typeOfVariable } from "./call-typing.ts";
import { classSchema } from "./class-schema.ts";
import { PythonError } from "./interpreter.ts";
import { toJson } from "./json-value.ts";
import { isStandardLibrary } from "./known-modules.ts";
import { KNOWN_TYPES, PREFECT_BLOCKS, WITHOUT_SCHEMA } from "./known-types.ts";
import { parseExpressionText } from "./parse-module.ts";
import {
  doubtful,
  type Json,
  NoSchema,
  nullable,
  plain,
  type Schema,
  type SchemaBuilder,
  type TypeSchema,
  uniteSchemas,
} from "./schema.ts";
import type { Expression } from "./syntax.ts";
import type { Value } from "./value.ts";

const MAX_DEPTH = 60;

/** The JSON schema that pydantic makes of a type. Throws NoSchema where pydantic has none. */
export function typeSchema(type: Value, builder: SchemaBuilder): TypeSchema {
  builder.interpreter.step();
  if (builder.depth >= MAX_DEPTH) return doubtful(builder, "its type is nested too deeply");
  builder.depth += 1;
  try {
    return schemaOf(type, builder);
  } finally {
    builder.depth -= 1;
  }
}

function schemaOf(type: Value, builder: SchemaBuilder): TypeSchema {
  switch (type.kind) {
    case "none":
      return plain({ type: "null" });
    case "known":
      return knownSchema(type.name, builder);
    case "class":
      return classSchema(type, [], builder);
    case "generic":
      return genericSchema(type.origin, type.args, builder);
    case "union":
      return unionSchema(type.members, builder);
    case "annotated":
      return applyMetadata(type.base, type.metadata, builder);
    case "literal":
      return literalSchema(type.values, builder);
    case "newtype":
      return builder.build(type.base);
    case "typevar":
      return builder.build(builder.variables.get(type.name) ?? typeOfVariable(type));
    case "alias":
      return builder.build(builder.interpreter.evaluate(type.expression, type.scope));
    case "str":
      return builder.build(resolveQuoted(type.value, builder));
    case "unknown":
      return doubtful(builder, type.why);
    default:
      // Whatever is no type is compared by identity or not at all: pydantic accepts anything.
      return plain({});
  }
}

/** A quoted type inside another one. */
function resolveQuoted(text: string, builder: SchemaBuilder): Value {
  const expression: Expression | null = parseExpressionText(text);
  if (expression === null) throw new NoSchema(`'${text}' is no type`, { isPartOfUnion: false });
  try {
    return builder.interpreter.evaluate(expression, builder.scope);
  } catch (error) {
    if (error instanceof PythonError) throw new NoSchema(error.message, { isPartOfUnion: false, cause: error });
    throw error;
  }
}

function knownSchema(name: string, builder: SchemaBuilder): TypeSchema {
  const schema = KNOWN_TYPES[name];
  if (schema !== undefined) return plain(schema);
  if (name === "typing.Any" || name === "object") return { schema: {}, isReference: false, isOpen: true };
  if (WITHOUT_SCHEMA.has(name)) throw new NoSchema(name, { isPartOfUnion: true });
  if (name === "pydantic.JsonValue") return reference("JsonValue", { kind: "known", name }, {}, builder);
  const block = PREFECT_BLOCKS[name];
  if (block !== undefined) {
    for (const [title, definition] of Object.entries(block))
      reference(title, { kind: "known", name: title }, definition, builder);
    return { schema: { $ref: `#/definitions/${name.slice(name.lastIndexOf(".") + 1)}` }, isReference: true };
  }
  const top = name.split(".")[0] ?? name;
  if (!name.includes(".") || isStandardLibrary(top) || isPlainClass(name)) return plain({});
  return doubtful(builder, `what ${name} looks like is not known`);
}

/** Classes of other packages that are known to have no schema of their own. */
function isPlainClass(name: string): boolean {
  return (
    /^(?:pendulum|pandas|numpy|polars|sqlalchemy\.engine|requests|httpx)\.(?:\w+\.)*[A-Z]\w*$/.test(name) ||
    name === "numpy.ndarray"
  );
}

function reference(name: string, type: Value, schema: Schema, builder: SchemaBuilder): TypeSchema {
  builder.definitions.set(name, { type, schema, isUsed: true });
  return { schema: { $ref: `#/definitions/${name}` }, isReference: true };
}

/** Containers that hold values of one type, and their schema without it. */
const CONTAINERS: ReadonlySet<string> = new Set([
  "list",
  "set",
  "frozenset",
  "collections.deque",
  ...["Set", "MutableSet", "Sequence", "MutableSequence", "Iterable", "Generator"].map(
    (name) => `collections.abc.${name}`,
  ),
]);

const MAPPINGS: ReadonlySet<string> = new Set([
  "dict",
  "collections.defaultdict",
  "collections.OrderedDict",
  "collections.abc.Mapping",
  "collections.abc.MutableMapping",
]);

function genericSchema(origin: Value, args: readonly Value[], builder: SchemaBuilder): TypeSchema {
  if (origin.kind === "class") return classSchema(origin, args, builder);
  if (origin.kind !== "known") return doubtful(builder, "its type takes arguments that are not followed");
  const { name } = origin;
  const [first, second] = args;
  if (name === "tuple") return tupleSchema(args, builder);
  if (CONTAINERS.has(name) && first !== undefined) {
    return plain({ ...KNOWN_TYPES[name], items: builder.build(first).schema });
  }
  if (MAPPINGS.has(name)) {
    if (first === undefined || second === undefined)
      throw new NoSchema(`${name} needs two arguments`, { isPartOfUnion: false });
    return mappingSchema(first, second, builder);
  }
  switch (name) {
    case "typing.Final":
    case "typing.ClassVar":
    case "typing.Required":
    case "typing.NotRequired":
    case "typing.ReadOnly":
    case "dataclasses.InitVar":
      return first === undefined ? plain({}) : builder.build(first);
    case "pydantic.Json":
      return plain({ ...KNOWN_TYPES[name], contentSchema: first === undefined ? {} : builder.build(first).schema });
    case "pydantic.Secret":
    case "pydantic.SkipValidation":
    case "pydantic.InstanceOf":
    case "pydantic.SerializeAsAny":
      return doubtful(builder, `${name}[…] is not followed`);
    default:
      return knownSchema(name, builder);
  }
}

function tupleSchema(args: readonly Value[], builder: SchemaBuilder): TypeSchema {
  const [first, second] = args;
  if (first !== undefined && second?.kind === "ellipsis")
    return plain({ items: builder.build(first).schema, type: "array" });
  const items = args
    .filter((arg) => arg.kind !== "tuple" || arg.items.length > 0)
    .map((arg) => builder.build(arg).schema);
  const size = { maxItems: items.length, minItems: items.length, type: "array" };
  return plain(items.length === 0 ? size : { ...size, prefixItems: items });
}

function mappingSchema(key: Value, value: Value, builder: SchemaBuilder): TypeSchema {
  const { title: _keyTitle, ...keys } = builder.build(key).schema;
  const { title: _valueTitle, ...values } = builder.build(value).schema;
  const isReference = "$ref" in keys;
  const pattern = isReference ? undefined : keys.pattern;
  if (!isReference) delete keys.pattern;
  const schema: Schema = { type: "object" };
  if (typeof pattern === "string") schema.patternProperties = { [pattern]: values };
  else schema.additionalProperties = Object.keys(values).length > 0 ? values : true;
  if (isReference || (keys.type === "string" && Object.keys(keys).length > 1)) {
    const { type: _type, ...names } = keys;
    schema.propertyNames = names;
  }
  return plain(schema);
}

/** `None` goes last; members without a schema are left out; equal ones count once. */
function unionSchema(members: readonly Value[], builder: SchemaBuilder): TypeSchema {
  const others = members.filter((member) => !isNone(member));
  const built: TypeSchema[] = [];
  let failure: NoSchema | null = null;
  for (const member of others) {
    try {
      built.push(builder.build(member));
    } catch (error) {
      if (!(error instanceof NoSchema && error.isPartOfUnion)) throw error;
      failure = error;
    }
  }
  if (failure !== null && built.length === 0) throw failure;
  const union = uniteSchemas(built);
  return others.length < members.length ? nullable(union) : union;
}

function isNone(type: Value): boolean {
  return type.kind === "none" || (type.kind === "known" && type.name === "types.NoneType");
}

function literalSchema(values: readonly Value[], builder: SchemaBuilder): TypeSchema {
  const choices: Json[] = [];
  for (const value of values) {
    const result = toJson(value, builder.interpreter);
    if (result.kind !== "json") return doubtful(builder, "the values of Literal are not known");
    choices.push(result.json);
  }
  const type = commonType(values.map((value) => (value.kind === "member" ? value.value : value)));
  const [only] = choices;
  const schema: Schema = choices.length === 1 && only !== undefined ? { const: only } : { enum: choices };
  return plain(type === null ? schema : { ...schema, type });
}

/** The JSON type that all values share; null if they differ. */
export function commonType(values: readonly Value[]): string | null {
  const names: Readonly<Record<string, string>> = {
    str: "string",
    bytes: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    none: "null",
    list: "array",
    tuple: "array",
  };
  const kinds = new Set(values.map((value) => value.kind));
  const [kind] = kinds;
  return kinds.size === 1 && kind !== undefined ? (names[kind] ?? null) : null;
}
